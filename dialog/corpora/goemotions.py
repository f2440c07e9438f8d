"""GoEmotions after the agreement filter: github.com/monologg/GoEmotions-pytorch, `data/original/{train,dev,test}.tsv`
(the files of google-research/goemotions)."""

from collections.abc import Iterator
from pathlib import Path

from dialog.conversation import Conversation

FILES = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}

LABELS = (
    *("admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire"),
    *("disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy"),
    *("love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral"),
)
"""In the order of the source's label numbers."""


def read(path: Path) -> Iterator[Conversation]:
    """The comments of one file, in order, each a conversation of one utterance with a list of labels, `emotions`.

    ValueError, with the line, where a line is not text, label numbers and id.
    """
    with path.open(encoding="utf-8", newline="") as file:
        for number, line in enumerate(file, 1):
            try:
                text, labels, key = line.rstrip("\r\n").split("\t")
                emotions = [LABELS[int(label)] for label in labels.split(",")]
            except (ValueError, IndexError) as error:
                raise ValueError(
                    f"{path}, line {number}: expected text, label numbers and id between tabs: {error}"
                ) from error
            utterance = {"speaker": "A", "text": text.strip(), "emotions": emotions}
            yield Conversation.from_dict({"id": f"goemotions_{key}", "utterances": [utterance]})
