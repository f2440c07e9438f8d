"""The corpora: where each is read from, and which label each utterance carries."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import orjson

from dialog.conversation import Conversation
from dialog.corpora.original import ORIGINS, read_original


class MissingCorpus(ValueError):
    """A corpus that is not in the data folder."""


def load_corpus(data: Path, corpus: str, split: str) -> list[Conversation]:
    """One split of a corpus from `<data>/<corpus>/<split>.jsonl.gz` (or .jsonl), or from its original file there.

    MissingCorpus says which file was looked for, and where it is published.
    """
    for suffix in (".jsonl.gz", ".jsonl"):
        path = data / corpus / f"{split}{suffix}"
        if path.is_file():
            return list(read_jsonl(path))
    wanted = f"no {corpus} {split}: expected {data / corpus / split}.jsonl.gz"
    origin = ORIGINS.get(corpus)
    if origin is None or split not in origin.files:
        raise MissingCorpus(wanted)
    original = data / corpus / origin.files[split]
    if original.is_file():
        return list(origin.read(original))
    raise MissingCorpus(f"{wanted}, or beside it {original.name} from github.com/{origin.repository}, {origin.folder}")


def gold(conversation: Conversation, corpus: str) -> list[str | None]:
    """The label of each utterance in the corpus's own words; None where there is none, or more than one."""
    if corpus == "goemotions":
        many = [u.extra.get("emotions") or [] for u in conversation.utterances]
        return [labels[0] if len(labels) == 1 else None for labels in many]
    if corpus == "empathetic_dialogues":  # One label a conversation: what its first message tells of.
        whole = conversation.extra.get("emotion")
        return [whole if i == 0 and isinstance(whole, str) else None for i in range(len(conversation.utterances))]
    return [u.emotion for u in conversation.utterances]


def read(path: Path) -> Iterator[Conversation]:
    """The conversations of a .jsonl or .jsonl.gz file, or of a corpus's original file, told by its name."""
    return read_jsonl(path) if path.name.endswith((".jsonl", ".jsonl.gz")) else read_original(path)


def read_jsonl(path: Path) -> Iterator[Conversation]:
    """The conversations of a .jsonl or .jsonl.gz file; the first line that is none ends it with an error."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield Conversation.from_dict(orjson.loads(line), default_id=f"{path.name}-{number}")
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
