"""The corpora's original public files: which there are, where they are published, and who reads them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from dialog.conversation import Conversation
from dialog.corpora import dailydialog, ecf, emocontext, emorynlp, goemotions, meld, reccon


class Origin(NamedTuple):
    """Where a corpus is published: the repository on GitHub, the folder in it, a file by split, and its reader."""

    repository: str
    folder: str
    files: Mapping[str, str]
    read: Callable[[Path], Iterator[Conversation]]


ORIGINS: dict[str, Origin] = {
    "meld": Origin("declare-lab/MELD", "data/MELD", meld.FILES, meld.read),
    "emorynlp": Origin("declare-lab/MELD", "data/emorynlp", emorynlp.FILES, emorynlp.read),
    "dailydialog": Origin(
        "Ls-Dai/Deep-Reinforcement-Learning-for-Dialogue-Generation-in-PyTorch",
        "data",
        dailydialog.FILES,
        dailydialog.read,
    ),
    "emocontext": Origin("declare-lab/conv-emotion", "DialogueRNN/semeval19_emocon", emocontext.FILES, emocontext.read),
    "goemotions": Origin("monologg/GoEmotions-pytorch", "data/original", goemotions.FILES, goemotions.read),
    "reccon": Origin(
        "declare-lab/conv-emotion",
        "emotion-cause-extraction/RoBERTa Baseline/data/original_annotation",
        reccon.FILES,
        reccon.read,
    ),
    "ecf": Origin("NUSTM/MECPE", "data", ecf.FILES, ecf.read),
}
"""By corpus. IEMOCAP and EmpatheticDialogues are not here: their public copies are pickles, which we do not read."""


def read_original(path: Path) -> Iterator[Conversation]:
    """The conversations of an original file, told by its name, and by its content where two corpora share the name.

    ValueError where no corpus has such a file, or the file is not what its name says.
    """
    named = {corpus: origin for corpus, origin in ORIGINS.items() if path.name in origin.files.values()}
    if not named:
        names = ", ".join(sorted({name for origin in ORIGINS.values() for name in origin.files.values()}))
        raise ValueError(f"{path}: expected .jsonl, .jsonl.gz or an original file of a corpus ({names})")
    faults = []
    for origin in named.values():
        conversations = origin.read(path)
        try:
            first = next(conversations, None)
        except ValueError as fault:
            faults.append(str(fault))
            continue
        if first is not None:
            yield first
        yield from conversations
        return
    raise ValueError("; or ".join(faults))
