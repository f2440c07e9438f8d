"""What a corrector learns from: the lexicon, messages typed badly, and the candidates of each doubtful place."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dialog.corpora import load_corpus
from dialog.corpora.typos import Slip, tidy, typo_pairs
from dialog.correction.keyboard import count_slips
from dialog.correction.lexicon import Lexicon, single_letters
from dialog.correction.pieces import pieces
from dialog.training.correction.slips import Noise, Typed
from models.encoders.text import built_in_folder

CORPORA = (
    *("self_dialogue", "dailydialog", "cmu_dog", "swda", "taskmaster4", "goemotions", "xed", "meld", "emorynlp"),
    *("tweet_emoji", "ubuntu_irc"),
)
"""Whose train parts the words are counted in."""
SPOKEN = ("self_dialogue", "dailydialog", "cmu_dog", "taskmaster4", "goemotions", "xed", "meld", "tweet_emoji")
"""Whose messages are typed badly and learned."""
MOST_WORDS = 40


def messages(data: Path, corpora: Sequence[str], split: str) -> Iterator[str]:
    """The messages of corpora, tidied."""
    for corpus in corpora:
        for conversation in load_corpus(data, corpus, split):
            for u in conversation.utterances:
                yield tidy(u.text)


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word that may be corrected occurs, in lower case."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(p.text.lower() for p in pieces(text) if p.kind == "word")
    return counts


def english_words() -> frozenset[str]:
    """The whole words among the tokens of the built-in encoder: words of books and of Wikipedia, hardly any slips."""
    vocabulary = json.loads((built_in_folder() / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    return frozenset(word for word in vocabulary if word.isalpha() and word.isascii() and len(word) > 1)


def make_lexicon(
    counts: Counter[str], slips: Iterable[Slip], words: Container[str] = (), *, least: int = 4, most: int = 32_000
) -> Lexicon:
    """The words met at least so often, without those that are known slips of a word met far more often.

    Lists of slips have real words in them too ("cat" for "can"): one of `words` is never taken for a slip.
    """
    meant_by: dict[str, list[str]] = {}
    real = set()
    for slip in slips:
        meant_by.setdefault(slip.typed.lower(), []).append(slip.meant.lower())
        real.add(slip.meant.lower())

    def is_slip(word: str, n: int) -> bool:
        if word in real or word in _WORDS_BARE:
            return False
        if "'" not in word and any(counts[w] > 2 * n for w in _with_apostrophe(word)):
            return True
        often = 8 if n > 40 else 1
        return word not in words and any(counts[m] > often * n for m in meant_by.get(word, ()))

    single: dict[str, int] = {}
    for word, count in counts.items():
        single[single_letters(word)] = max(count, single.get(single_letters(word), 0))
    kept = {
        w: n
        for w, n in counts.most_common()
        if n >= least
        and w.isascii()
        and not is_slip(w, n)
        and (w in real or w in words or not _beside_commoner(w, n, counts, single))
    }
    return Lexicon(dict(sorted(kept.items(), key=lambda row: (-row[1], row[0]))[:most]))


def _with_apostrophe(word: str) -> list[str]:
    return [f"{word[:i]}'{word[i:]}" for i in (len(word) - 1, len(word) - 2) if i > 0 and word[i:] in _ENDINGS]


def _beside_commoner(word: str, n: int, counts: Mapping[str, int], single: Mapping[str, int]) -> bool:
    """Whether a word that is seldom met is a far commoner one with letters doubled or single, or with one swapped with
    the next: "tommorow", "recieve". Such slips come back again and again, so that a count alone takes them for words.
    `single` counts the commonest word of each spelling without doubled letters."""
    if len(word) < 5 or n > _SELDOM:
        return False
    swapped = (word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1))
    most = max((counts.get(w, 0) for w in swapped if w != word), default=0)
    return max(most, single[single_letters(word)]) > _FAR_COMMONER * n


_SELDOM, _FAR_COMMONER = 60, 30
_WORDS_BARE = {
    "its",
    "lets",
    "well",
    "were",
    "ill",
    "id",
    "hell",
    "shell",
    "wed",
    "one",
    "us",
    "as",
    "is",
    "had",
    "red",
}
"""Words that would be others with an apostrophe, or like them, and are words without."""
_ENDINGS = {"t", "m", "s", "re", "ve", "ll", "d"}


def make_noise(data: Path) -> Noise:
    """Slips with the frequencies of typo_pairs' train part, and its typos of each word."""
    slips = [s for s in typo_pairs(data, "train") if s.typed.isascii() and s.meant.isascii() and " " not in s.typed]
    typos: dict[str, list[str]] = {}
    for s in slips:
        if s.meant.isalpha() and s.typed.isalpha():
            typos.setdefault(s.meant.lower(), []).append(s.typed.lower())
    return Noise(count_slips((s.typed.lower(), s.meant.lower()) for s in slips), typos)


class Place(NamedTuple):
    """One word of a message that is asked about."""

    at: int
    candidates: tuple[str, ...]
    features: tuple[tuple[float, ...], ...]
    typed: tuple[float, ...]
    right: int
    """0 to keep it, else 1 + the candidate that was meant."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A message as typed and as meant, and its doubtful places."""

    typed: tuple[str, ...]
    meant: tuple[str, ...]
    places: tuple[Place, ...]


def tokens(text: str) -> tuple[list[str], list[bool]]:
    """The pieces of a message in lower case, and which of them are words that may be corrected."""
    found = pieces(text)[:MOST_WORDS]
    return [p.text.lower().replace("’", "'") for p in found], [p.kind == "word" for p in found]


def without_some(lexicon: Lexicon, seed: int) -> Lexicon:
    """The lexicon as somebody meets it whose words are not all in it: a third of the seldom ones are gone."""
    rng = random.Random(seed)
    counts = dict(zip(lexicon.words, lexicon.counts.tolist(), strict=True))
    return Lexicon({w: n for w, n in counts.items() if n > _SELDOM_KNOWN or rng.random() > _GONE})


_SELDOM_KNOWN, _GONE = 150, 1 / 3


def lesson(typed: Typed, may: Sequence[bool], lexicon: Lexicon, known: Container[str] = ()) -> Lesson:
    """The places of a message whose typed word has candidates. One whose meaning is not among them is left out.

    So is a word nobody else writes, left as the corpus has it: it is as likely a slip ("congradulations");
    but for those `known` to be words.
    """
    places = []
    for at, (word, meant, asked) in enumerate(zip(typed.typed, typed.meant, may, strict=True)):
        candidates = lexicon.candidates(word) if asked and len(word) < 24 else ()
        texts = tuple(c.text for c in candidates)
        if not texts or (word != meant and meant not in texts):
            continue
        if word == meant and word not in lexicon and word not in known:
            continue
        right = 0 if word == meant else 1 + texts.index(meant)
        places.append(Place(at, texts, tuple(c.features for c in candidates), lexicon.typed_features(word), right))
    return Lesson(typed.typed, typed.meant, tuple(places))


RATES = (0.0, 0.05, 0.15, 0.3)


def lessons(
    texts: Sequence[str], noise: Noise, lexicon: Lexicon, seed: int, progress: Callable[[int], None] | None = None
) -> list[Lesson]:
    """A lesson a message, each typed at a rate of slips drawn from RATES; a message's slips hang on it and the seed.

    Every second message is read with words missing from the lexicon, as people's own are: a name, a trade's word.
    """
    found = []
    poorer = without_some(lexicon, seed)
    for text in texts:
        words, may = tokens(text)
        if len(words) < 2:
            continue
        rng = random.Random(int.from_bytes(hashlib.blake2b(f"{seed}-{text}".encode(), digest_size=8).digest(), "big"))
        typed = noise.type(words, may, rng.choice(RATES), rng)
        asked = may if len(typed.typed) == len(words) else _asked(typed, words, may)
        found.append(lesson(typed, asked, poorer if rng.random() < 0.5 else lexicon, lexicon))
        if progress:
            progress(len(found))
    return found


def _asked(typed: Typed, words: Sequence[str], may: Sequence[bool]) -> list[bool]:
    """Which typed tokens are words, where some stand for two."""
    found, at = [], 0
    for meant in typed.meant:
        found.append(may[at])
        at += 2 if meant == f"{words[at]} {words[at + 1] if at + 1 < len(words) else ''}" else 1
    return found
