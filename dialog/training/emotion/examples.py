"""What a training run reads: conversations as tokens, with a label index for every utterance that has one."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dialog.conversation import Conversation
from dialog.corpora import gold, load_corpus
from dialog.corpora.derived.leaks import long_utterances, without
from dialog.corpora.ekman import TO_EKMAN
from dialog.reading.batching import Packer, Span, Tokens

UNKNOWN = -100
"""The label index of an utterance without a label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One corpus as a recipe uses it."""

    corpus: str
    split: str = "train"
    avoid: tuple[tuple[str, str], ...] = ()
    """(corpus, split) parts whose utterances must not be seen: conversations that share a long one are left out."""
    share: float = 0.0
    """With it, only conversations of which this share or more stands in `avoid` are left out."""
    emotional_only: bool = False
    """Keep conversations with two emotional utterances, or one that is neither happy nor surprised."""
    limit: int | None = None
    """Keep this many conversations, drawn at random with the recipe's seed, emotional ones first up to 60 %."""


class Example(NamedTuple):
    """A conversation as tokens. `labels` index the corpus's own set, `ekman` Ekman's; UNKNOWN where there is none."""

    corpus: str
    utterances: list[Tokens]
    labels: list[int]
    ekman: list[int]
    whole: str | None
    """The label of the conversation as a whole, where the corpus has one."""


def load_source(source: Source, data: Path, seed: int) -> list[Conversation]:
    """The conversations a source stands for, leaks left out."""
    conversations = load_corpus(data, source.corpus, source.split)
    if source.avoid:
        held_out = long_utterances(c for corpus, split in source.avoid for c in load_corpus(data, corpus, split))
        conversations = without(conversations, held_out, share=source.share)
    if source.emotional_only:
        conversations = [c for c in conversations if _is_emotional(c, source.corpus)]
    if source.limit is not None and len(conversations) > source.limit:
        conversations = _draw(conversations, source.corpus, source.limit, random.Random(seed))
    return conversations


def make_examples(
    conversations: Sequence[Conversation], corpus: str, labels: Sequence[str], ekman: Sequence[str], packer: Packer
) -> list[Example]:
    """Conversations as examples; those without any utterance are dropped."""
    own = {label: i for i, label in enumerate(labels)}
    coarse = {label: i for i, label in enumerate(ekman)}
    mapping: Mapping[str, str] = TO_EKMAN.get(corpus, {})
    examples = []
    for c in conversations:
        if not c.utterances:
            continue
        tokens = packer.tokenize([u.speaker for u in c.utterances], [u.text for u in c.utterances])
        named = gold(c, corpus)
        whole = c.extra.get("emotion")
        examples.append(
            Example(
                corpus,
                tokens,
                [own.get(label, UNKNOWN) if label else UNKNOWN for label in named],
                [coarse.get(mapping.get(label, ""), UNKNOWN) if label else UNKNOWN for label in named],
                whole if isinstance(whole, str) else None,
            )
        )
    return examples


def random_spans(lengths: Sequence[int], max_tokens: int, rng: random.Random) -> list[Span]:
    """A conversation cut at random, so that a model learns to read with much, little and no context.

    Of the conversations 15 % are cut into ones and twos, 35 % into pieces of up to 12, the rest only where a sequence
    is full.
    """
    n, mood = len(lengths), rng.random()
    spans, begin = [], 0
    while begin < n:
        most = rng.choice([1, 1, 2]) if mood < 0.15 else rng.randint(1, min(n, 12)) if mood < 0.5 else n
        end, used = begin, 1
        while end < n and end - begin < most and (end == begin or used + lengths[end] + 3 <= max_tokens):
            used += lengths[end] + 3
            end += 1
        spans.append(Span(begin, begin, end))
        begin = end
    return spans


def _is_emotional(c: Conversation, corpus: str) -> bool:
    emotions = [label for label in gold(c, corpus) if label and label != "neutral"]
    return len(emotions) >= 2 or any(label in ("anger", "sadness", "fear", "disgust") for label in emotions)


def _draw(conversations: list[Conversation], corpus: str, limit: int, rng: random.Random) -> list[Conversation]:
    shuffled = rng.sample(conversations, len(conversations))
    emotional = [c for c in shuffled if any(label not in (None, "neutral", "others") for label in gold(c, corpus))]
    first = {id(c) for c in emotional[: round(0.6 * limit)]}
    rest = [c for c in shuffled if id(c) not in first]
    return [c for c in shuffled if id(c) in first] + rest[: limit - len(first)]
