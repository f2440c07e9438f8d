"""`rapport evaluate correction`: slips mended and clean text left alone, beside copying and the nearest common word.

What a file holds says what is measured of it: conversations are clean text, left alone or not, and typed badly by a
generator no training used; pairs of typo_pairs are put where their word stands in those conversations; LexNorm's tweets
are scored as published. Everything is seeded.
"""

import gzip
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from rapidfuzz.distance import Levenshtein

from dialog.conversation import Conversation
from dialog.corpora.typos import tidy
from dialog.correction.corrector import Correction, Edit, TextCorrector, applied
from dialog.correction.lexicon import Lexicon
from dialog.correction.pieces import in_case_of, pieces
from dialog.evaluation.correction.curve import beside
from dialog.evaluation.correction.mistyped import mistype
from dialog.evaluation.correction.spellers import LOWERED, Mend, looser, there
from dialog.metrics import share_interval
from models.catalogue import CORRECTION
from models.device import Where

RATES = (0.05, 0.15, 0.3)
SEED = 2019
"""Of the slips made here; training never draws from it."""
MOST_MESSAGES = 2_000
MOST_IN_CONTEXT = 2_000
LEAST_WORDS = 3


@dataclass(slots=True)
class Files:
    """What the files held."""

    messages: list[str] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    tweets: list[tuple[list[str], list[str]]] = field(default_factory=list)


class Slip(NamedTuple):
    """A message with one word mistyped, or several: as typed, as meant, and where the words stand that were hit."""

    typed: str
    meant: str
    hit: frozenset[int]


def evaluate_correction(
    data: Sequence[Path],
    model: str | Path = CORRECTION,
    *,
    device: Where = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate correction --json`. ValueError where a file holds nothing to measure.

    With conversations and pairs among the files, `curve` has how many of the slips in context are mended at how many
    clean words changed, margin by margin, and the correctors people use beside it.
    """
    corrector = TextCorrector.load(str(model), device=device)
    files = read_files(data)
    begun = time.perf_counter()
    metrics: dict[str, Any] = {}
    baselines: dict[str, dict[str, float]] = {"copy": {}, "nearest": {}}
    mends: dict[str, Mend] = {"copy": lambda text: Correction(text, text, ()), "nearest": nearest(corrector.lexicon)}
    rows: list[dict[str, Any]] = []
    steps = [1 + len(RATES)] * bool(files.messages) + [1] * bool(files.pairs) + [1] * bool(files.tweets)
    steps += [1] * bool(files.pairs and files.messages)
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, sum(steps))

    if files.messages:
        metrics |= clean_scores(corrector.correct, files.messages)
        baselines["nearest"] |= clean_scores(mends["nearest"], files.messages)
        metrics |= completion_scores(corrector, files.messages[:400])
        tell()
        for rate in RATES:
            slips = list(mistyped_messages(files.messages, rate))
            prefix = f"noise_{round(100 * rate)}_"
            metrics |= {prefix + k: v for k, v in slip_scores(corrector.correct, slips).items()}
            for name, mend in mends.items():
                baselines[name] |= {prefix + k: v for k, v in slip_scores(mend, slips).items()}
            tell()
    if files.pairs:
        slips = list(in_context(files.pairs, files.messages)) or [Slip(t, m, frozenset([0])) for t, m in files.pairs]
        metrics |= {f"pairs_{k}": v for k, v in slip_scores(corrector.correct, slips).items()}
        for name, mend in mends.items():
            baselines[name] |= {f"pairs_{k}": v for k, v in slip_scores(mend, slips).items()}
        metrics["pairs_n"] = len(slips)
        for name, scores in beside_spellers(corrector, slips).items():
            baselines.setdefault(name, {}).update({f"pairs_{k}": v for k, v in scores.items()})
        tell()
    if files.pairs and files.messages:
        rows = beside(
            corrector,
            lambda mend: slip_scores(mend, slips)["repair_rate"],
            lambda mend: float(clean_scores(mend, files.messages)["false_change_rate"]),
        )
        tell()
    if files.tweets:
        metrics |= tweet_scores(corrector.correct, files.tweets)
        baselines["nearest"] |= tweet_scores(mends["nearest"], files.tweets)
        tell()
    return {
        "task": "correction",
        "model": str(model),
        "data": [str(path) for path in data],
        "n": len(files.messages) + len(files.pairs) + len(files.tweets),
        "seconds": time.perf_counter() - begun,
        "metrics": metrics,
        "baselines": baselines,
        "curve": rows,
    }


def beside_spellers(corrector: TextCorrector, slips: Sequence[Slip]) -> dict[str, dict[str, float]]:
    """What the correctors people use make of slips, and ours with the lowest margins at which it spoils no more than
    each of them (`ours_as_...`)."""
    loose = [slip_scores(looser(corrector, less).correct, slips) for less in LOWERED]
    found: dict[str, dict[str, float]] = {}
    for name, mend in (there() | {"nearest": nearest(corrector.lexicon)}).items():
        scores = slip_scores(mend, slips)
        fair = [s for s in loose if s["false_change_rate"] <= scores["false_change_rate"]]
        found[name] = scores
        if fair:
            found[f"ours_as_{name}"] = max(fair, key=lambda s: s["repair_rate"])
    return found


def read_files(data: Sequence[Path]) -> Files:
    """What the files hold, as far as it is scored. ValueError names the file that holds none of it."""
    found = Files()
    for path in data:
        before = len(found.messages) + len(found.pairs) + len(found.tweets)
        for row in _rows(path):
            if "typo" in row and "correction" in row:
                found.pairs.append((str(row["typo"]), str(row["correction"])))
            elif "input" in row and "output" in row:
                found.tweets.append((list(row["input"]), list(row["output"])))
            elif "utterances" in row:
                found.messages += [tidy(u.text) for u in Conversation.from_dict(row).utterances]
        if len(found.messages) + len(found.pairs) + len(found.tweets) == before:
            raise ValueError(f"{path}: expected conversations, typo_pairs' pairs or LexNorm's tweets")
    rng = random.Random(SEED)
    found.messages = [m for m in dict.fromkeys(found.messages) if len(m.split()) >= LEAST_WORDS]
    found.messages = rng.sample(found.messages, min(MOST_MESSAGES, len(found.messages)))
    pairs = [(t.lower(), m.lower()) for t, m in found.pairs if t.isascii() and t.isalpha() and m.isalpha()]
    found.pairs = rng.sample(pairs, min(20_000, len(pairs)))
    return found


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise ValueError(f"{path}: not JSON Lines: {error}") from error
            if isinstance(row, dict):
                yield row


def nearest(lexicon: Lexicon) -> Mend:
    """The baseline without context: an unknown word becomes the commonest of its candidates that is least far."""

    def mend(text: str) -> Correction:
        edits = []
        for p in pieces(text):
            word = p.text.lower().replace("’", "'")
            candidates = lexicon.candidates(word) if p.kind == "word" and word not in lexicon else ()
            if candidates:
                best = min(candidates, key=lambda c: (c.features[2], -c.features[0]))
                edits.append(Edit(p.start, p.end, p.text, in_case_of(p.text, best.text), 1.0))
        return Correction(text, applied(text, edits), tuple(edits))

    return mend


def mistyped_messages(messages: Sequence[str], rate: float) -> Iterator[Slip]:
    """The messages with slips in some of their words."""
    for text in messages:
        rng = random.Random(f"{SEED}-{rate}-{text}")
        hits: dict[int, str] = {}
        found = pieces(text)
        for i, p in enumerate(found):
            if p.kind == "word" and len(p.text) > 1 and rng.random() < rate:
                word = p.text.lower().replace("’", "'")
                typed = mistype(word, rng)
                if typed != word:
                    hits[i] = in_case_of(p.text, typed)
        yield _with(text, hits)


def in_context(pairs: Sequence[tuple[str, str]], messages: Sequence[str]) -> Iterator[Slip]:
    """Each pair put where its word stands in a message, a message and a word used once or a few times."""
    typos: dict[str, list[str]] = {}
    for typed, meant in pairs:
        typos.setdefault(meant, []).append(typed)
    used: dict[str, int] = {}
    n = 0
    for text in messages:
        for i, p in enumerate(pieces(text)):
            word = p.text.lower()
            if p.kind == "word" and word in typos and used.get(word, 0) < 5:
                used[word] = used.get(word, 0) + 1
                typed = random.Random(f"{SEED}-{word}-{text}").choice(typos[word])
                yield _with(text, {i: in_case_of(p.text, typed)})
                n += 1
                if n == MOST_IN_CONTEXT:
                    return
                break


def _with(text: str, hits: Mapping[int, str]) -> Slip:
    parts, done = [], 0
    for i, p in enumerate(pieces(text)):
        if i in hits:
            parts += [text[done : p.start], hits[i]]
            done = p.end
    return Slip("".join(parts) + text[done:], text, frozenset(hits))


def clean_scores(mend: Mend, messages: Sequence[str]) -> dict[str, Any]:
    """How much of clean text is changed, in per cent of its words."""
    n = changed = 0
    for text in messages:
        words, after = text.split(), mend(text).corrected.split()
        n += len(words)
        changed += _word_errors(words, after)
    return {"false_change_rate": 100 * changed / n, "false_change_rate_ci": list(share_interval(changed, n))}


def slip_scores(mend: Mend, slips: Sequence[Slip]) -> dict[str, float]:
    """Words and messages right after mending, characters wrong, slips mended and clean words spoilt, in per cent."""
    words = wrong = letters = away = exact = hit = mended = clean = spoilt = 0
    for slip in slips:
        after = mend(slip.typed).corrected
        meant_words, typed_words, after_words = slip.meant.split(), slip.typed.split(), after.split()
        words += len(meant_words)
        wrong += _word_errors(meant_words, after_words)
        letters += len(slip.meant)
        away += Levenshtein.distance(slip.meant, after)
        exact += slip.meant == after
        if len(meant_words) == len(typed_words) == len(after_words):
            for m, t, a in zip(meant_words, typed_words, after_words, strict=True):
                if m != t:
                    hit += 1
                    mended += a == m
                else:
                    clean += 1
                    spoilt += a != m
        else:
            n_hit = _word_errors(meant_words, typed_words)
            hit += n_hit
            mended += max(0, n_hit - _word_errors(meant_words, after_words))
            clean += len(meant_words) - n_hit
            spoilt += max(0, _word_errors(meant_words, after_words) - n_hit)
    return {
        "word_accuracy": 100 * (1 - wrong / max(1, words)),
        "character_error_rate": 100 * away / max(1, letters),
        "sentence_accuracy": 100 * exact / max(1, len(slips)),
        "repair_rate": 100 * mended / max(1, hit),
        "false_change_rate": 100 * spoilt / max(1, clean),
    }


def _word_errors(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Substitutions, deletions and insertions between two lists of words."""
    if len(wanted) == len(found):
        return sum(a != b for a, b in zip(wanted, found, strict=True))
    return int(Levenshtein.distance(wanted, found))


def tweet_scores(mend: Mend, tweets: Sequence[tuple[Sequence[str], Sequence[str]]]) -> dict[str, float]:
    """LexNorm's precision, recall and F1 over tokens that are to change; abbreviations are part of it, not of ours."""
    right = changed = wanted = 0
    for typed, meant in tweets:
        text = " ".join(typed)
        spans, at = [], 0
        for token in typed:
            spans.append((at, at + len(token)))
            at += len(token) + 1
        edits = {e.start: e for e in mend(text).edits}
        for token, goal, (start, _) in zip(typed, meant, spans, strict=True):
            edit = edits.get(start)
            after = edit.meant.lower() if edit else token.lower()
            changed += after != token.lower()
            wanted += goal.lower() != token.lower()
            right += after == goal.lower() != token.lower()
    precision, recall = right / max(1, changed), right / max(1, wanted)
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    return {"lexnorm_precision": 100 * precision, "lexnorm_recall": 100 * recall, "lexnorm_f1": 100 * f1}


def completion_scores(corrector: TextCorrector, messages: Sequence[str]) -> dict[str, float]:
    """Whether the word being typed is offered after k letters, and the taps that taking it as soon as it is saves."""
    hits = {(k, n): 0 for k in (0, 1, 2, 3) for n in (1, 3)}
    asked = dict.fromkeys((0, 1, 2, 3), 0)
    letters = taps = 0
    for text in messages:
        rng = random.Random(f"{SEED}-{text}")
        words = [p for p in pieces(text) if p.kind == "word" and len(p.text) > 3]
        if not words:
            continue
        p = rng.choice(words)
        offered = None
        for k in range(len(p.text)):
            if k > 3 and offered is not None:
                break
            found = [c.word.lower() for c in corrector.complete(text[: p.start + k], 3)]
            wanted = p.text.lower().replace("’", "'")
            if k <= 3:
                asked[k] += 1
                for n in (1, 3):
                    hits[k, n] += wanted in found[:n]
            if wanted in found and offered is None:
                offered = k
        letters += len(p.text)
        taps += len(p.text) if offered is None else offered + 1
    scores = {f"completion_{k}_letters_top_{n}": 100 * hits[k, n] / max(1, asked[k]) for k, n in hits}
    return scores | {"keystrokes_saved": 100 * (1 - taps / max(1, letters))}
