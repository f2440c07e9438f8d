"""The words people write, how often, and which of them a typed word may stand for."""

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

from dialog.correction.keyboard import edits, weight

N_FEATURES = 12
MAX_CANDIDATES = 12
_FAR = 2
"""Edits between a word nobody writes and what it may stand for; one for words that somebody does."""
_SURE = 3.3
"""A word met more than 2,000 times is taken for what it is, unless it is one of CONFUSED."""
_ALIKE = (
    *(("there", "their", "they're"), ("your", "you're"), ("its", "it's"), ("to", "too"), ("then", "than")),
    *(("of", "off", "have"), ("form", "from"), ("lose", "loose"), ("were", "where", "we're"), ("hear", "here")),
    *(("know", "now", "no"), ("quite", "quiet"), ("whose", "who's"), ("weather", "whether"), ("affect", "effect")),
    *(("accept", "except"), ("buy", "by", "bye"), ("right", "write"), ("piece", "peace"), ("week", "weak")),
    *(("wear", "where"), ("brake", "break"), ("passed", "past"), ("advice", "advise"), ("lets", "let's")),
    *(("well", "we'll"), ("ill", "i'll"), ("id", "i'd"), ("were", "we're"), ("hell", "he'll"), ("shell", "she'll")),
    *(("wed", "we'd"), ("won't", "wont"), ("cant", "can't"), ("dont", "don't"), ("im", "i'm"), ("ive", "i've")),
)
CONFUSED: dict[str, tuple[str, ...]] = {}
"""Words that are written for one another, by word."""
for _group in _ALIKE:
    for _word in _group:
        CONFUSED[_word] = (*CONFUSED.get(_word, ()), *(w for w in _group if w != _word))


class Candidate(NamedTuple):
    """What a typed word may stand for; two words where a space was left out."""

    text: str
    features: tuple[float, ...]
    """N_FEATURES numbers, what is known of the pair."""


class Lexicon:
    """Words in lower case, with how often each occurs; the commonest first."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        order = sorted(counts, key=lambda w: (-counts[w], w))
        self.words = order
        self.counts = np.array([counts[w] for w in order], dtype=np.int64)
        self._logs = {w: math.log10(1 + n) for w, n in zip(order, self.counts.tolist(), strict=True)}
        self._alphabetical = sorted(order)
        by_length: dict[int, list[str]] = {}
        for word in order:
            by_length.setdefault(len(word), []).append(word)
        self._by_length = by_length
        self._bare = {w.replace("'", ""): w for w in reversed(order) if "'" in w}
        """Without its apostrophe, the commonest word that has one."""
        self.candidates = lru_cache(maxsize=20_000)(self._candidates)

    def __contains__(self, word: object) -> bool:
        return word in self._logs

    def log_count(self, word: str) -> float:
        """log10 of one more than its count; 0 where nobody writes it."""
        return self._logs.get(word, 0.0)

    def beginning_with(self, prefix: str) -> Sequence[str]:
        """The words that begin so, in alphabetical order."""
        words = self._alphabetical
        return words[bisect_left(words, prefix) : bisect_left(words, prefix + "\uffff")]

    def typed_features(self, word: str) -> tuple[float, ...]:
        """What is known of a word (lower case) by itself, as long as a candidate's features."""
        log = self.log_count(word)
        best = self.candidates(word)[:1]
        near = self.log_count(best[0].text.split(" ")[0]) if best else 0.0
        return (log / 6, float(log == 0), len(word) / 10, float(len(word) == 1), near / 6, float("'" in word)) + (
            0.0,
        ) * (N_FEATURES - 6)

    def _candidates(self, word: str) -> tuple[Candidate, ...]:
        log = self.log_count(word)
        known = log > 0
        if log > _SURE and word not in CONFUSED:
            return ()
        reach = 1 if known or len(word) <= 3 else _FAR
        near: dict[str, int] = {}
        for length in range(max(1, len(word) - reach), len(word) + reach + 1):
            some = self._by_length.get(length, ())
            if not some:
                continue
            far = process.cdist([word], some, scorer=OSA.distance, score_cutoff=reach, dtype=np.uint8)[0]
            near |= {some[i]: int(far[i]) for i in np.flatnonzero(far <= reach)}
        bare = self._bare.get(word)
        if bare is not None:
            near[bare] = 1
        near.pop(word, None)
        if word in CONFUSED:
            near |= dict.fromkeys((w for w in CONFUSED[word] if w in self._logs), 1)
        ranked = sorted(near, key=lambda w: self._cheap(word, w, near[w]), reverse=True)[: MAX_CANDIDATES + 4]
        found = [Candidate(w, self._features(word, w, near[w])) for w in ranked]
        found += [Candidate(" ".join(two), self._of_two(*two)) for two in self._splits(word, known)]
        return tuple(sorted(found, key=_rough, reverse=True)[:MAX_CANDIDATES])

    def _cheap(self, typed: str, word: str, distance: int) -> float:
        return self._logs[word] - 1.6 * distance + 0.5 * (typed[:1] == word[:1])

    def _features(self, typed: str, word: str, distance: int) -> tuple[float, ...]:
        steps = edits(word, typed)
        cost = sum(weight(e, word) for e in steps)
        bare = word.replace("'", "") == typed.replace("'", "")
        return (
            self._logs[word] / 6,
            self.log_count(typed) / 6,
            distance / 2,
            cost / 2,
            float(typed[:1] == word[:1]),
            float(typed[-1:] == word[-1:]),
            (len(word) - len(typed)) / 3,
            0.0,
            float(bare),
            float(any(e.kind == "swap" for e in steps)),
            float(_skeleton(typed) == _skeleton(word)),
            len(word) / 10,
        )

    def _splits(self, word: str, known: bool) -> Iterable[tuple[str, str]]:
        if known or len(word) < 4:
            return ()
        both = [(word[:i], word[i:]) for i in range(1, len(word)) if self._common(word[:i]) and self._common(word[i:])]
        return sorted(both, key=lambda two: min(map(self.log_count, two)), reverse=True)[:2]

    def _common(self, word: str) -> bool:
        return self.log_count(word) > (2.0 if len(word) > 2 else 3.2)

    def _of_two(self, one: str, two: str) -> tuple[float, ...]:
        log = min(self.log_count(one), self.log_count(two))
        return (log / 6, 0.0, 0.5, 0.4, 1.0, 1.0, 1 / 3, 1.0, 0.0, 0.0, 0.0, (len(one) + len(two)) / 10)


def _rough(candidate: Candidate) -> float:
    f = candidate.features
    return 6 * f[0] - 3.2 * f[3] * 2 + 0.6 * f[8] + 0.5 * f[10]


_RUN = re.compile(r"(.)\1+")


def single_letters(word: str) -> str:
    """The word with doubled letters single: alike for `tommorow` and `tomorrow`."""
    return _RUN.sub(r"\1", word)


_MERGED = str.maketrans("czy", "ksi", "eaiou")


def _skeleton(word: str) -> str:
    """The word as it sounds, roughly: letters that are mute or alike fall together, doubled ones are one."""
    for a, b in (("ph", "f"), ("ck", "k"), ("qu", "k"), ("gh", ""), ("wr", "r"), ("kn", "n"), ("tion", "shun")):
        word = word.replace(a, b)
    word = word.translate(_MERGED)
    return "".join(b for a, b in pairwise(" " + word) if a != b)
