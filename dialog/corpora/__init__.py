"""The corpora: where each is read from, and which label each utterance carries."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import orjson

from dialog.conversation import Conversation

EMOTION_CORPORA = ("meld", "emorynlp", "dailydialog", "iemocap", "emocontext", "goemotions", "empathetic_dialogues")


class MissingCorpus(ValueError):
    """A corpus that is not in the data folder."""


def load_corpus(data: Path, corpus: str, split: str) -> list[Conversation]:
    """One split of a corpus from `<data>/<corpus>/<split>.jsonl.gz` (or .jsonl), the layout README describes.

    MissingCorpus says which file was looked for.
    """
    for suffix in (".jsonl.gz", ".jsonl"):
        path = data / corpus / f"{split}{suffix}"
        if path.is_file():
            return list(read_jsonl(path))
    raise MissingCorpus(f"no {corpus} {split}: expected {data / corpus / split}.jsonl.gz")


def gold(conversation: Conversation, corpus: str) -> list[str | None]:
    """The label of each utterance in the corpus's own words; None where there is none, or more than one."""
    if corpus == "goemotions":
        many = [u.extra.get("emotions") or [] for u in conversation.utterances]
        return [labels[0] if len(labels) == 1 else None for labels in many]
    return [u.emotion for u in conversation.utterances]


def read_jsonl(path: Path) -> Iterator[Conversation]:
    """The conversations of a .jsonl or .jsonl.gz file; the first line that is none ends it with an error."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield Conversation.from_dict(orjson.loads(line), default_id=f"{path.name}-{number}")
