"""Whole conversations to learn to talk from: what is worth reading of a part, and how its messages feel."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dialog.conversation import Conversation, Utterance
from dialog.corpora import load_corpus
from dialog.corpora.derived.leaks import long_utterances, without
from dialog.corpora.ekman import TO_EKMAN

POOR = "1"
"""CMU_DoG's rating of a conversation in which people did not try."""


def emotions_of(corpus: str) -> Callable[[Utterance], str | None]:
    """How an utterance of the corpus feels, in Ekman's words; None where it does not say."""
    mapping: Mapping[str, str] = TO_EKMAN.get(corpus, {})
    return lambda u: mapping.get(u.emotion) if u.emotion else None


def talks(data: Path, corpus: str, split: str) -> list[Conversation]:
    """The conversations of a part; of train those left out that share half of their long lines with what is tested."""
    some = load_corpus(data, corpus, split)
    if corpus == "cmu_dog":
        some = [c for c in some if c.extra.get("rating") != POOR]
    if split == "train":
        held = long_utterances(c for part in ("validation", "test") for c in load_corpus(data, corpus, part))
        some = without(some, held, share=0.5)
    return some
