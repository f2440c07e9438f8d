"""The suite's probes: what each metric counts, built from the lines and templates in `cases/`.

A case asks of one message. Some cases have a reference, the same message without what is added to it, and count only
where the reference was read as it should be: what is measured is what the addition does, not whether the line was
understood before it.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dialog.evaluation.behaviour.reading import Ask, Said, spoken

CASES = Path(__file__).parent / "cases"

EXPLAINED_BY_KIND = {
    "thanks_routine": "thanks as a matter of form, neutral",
    "thanks_heartfelt": "thanks that are meant, joy",
    "sorry_routine": "sorry as a matter of form, neutral",
    "sorry_heartfelt": "sorry that is meant, sadness",
    "negation_removed": "a feeling denied: 'i'm not angry' is not anger",
    "negation_turned": "a feeling turned round: 'i'm not happy with this' is",
    "understatement": "'i've had nicer weeks'",
    "polite_anger": "anger in an office's words",
    "sarcasm": "praise whose cue, in the words or an emoji, says the contrary",
    "slang": "slang that names a feeling",
    "shouting": "feelings in capitals",
    "stretched": "feelings with letters drawn out",
    "emoji_agreeing": "situations whose emoji says the feeling",
    "emoji_disagreeing": "words and emoji at odds, where readers follow the emoji",
    "short_replies": "replies of a word or three ('me too', 'again?') that only the line before explains",
}
"""The kinds of `answers.jsonl`; each is the metric KIND_right."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question, and what is expected of the answer."""

    ask: Ask
    accepted: frozenset[str] | None = None
    """The labels that are right; of a case with a reference, those under which the reference counts. None: any."""
    reference: Ask | None = None
    wrong: frozenset[str] | None = None
    """The labels that count as changed; None: all but the reference's."""
    group: str = ""
    """What is drawn whole for an interval of means."""


Judge = Callable[[Case, Said, Said | None], float | None]
"""case, answer, answer to the reference -> what the case counts, 0 to 1; None where it does not count."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One metric: the mean of what its cases count, in per cent."""

    name: str
    explained: str
    cases: tuple[Case, ...]
    judge: Judge
    live: bool = True
    """Whether the live mode can say anything else; it never sees what comes after a message."""
    is_rate: bool = True
    """Whether every case counts 0 or 1."""
    aim: int = 0
    """What a case counts when the model does well."""


def right(case: Case, said: Said, reference: Said | None) -> float | None:
    """1 where the label is accepted."""
    return float(said.label in (case.accepted or ()))


def changed(case: Case, said: Said, reference: Said | None) -> float | None:
    """1 where the label is not the reference's; only where the reference's is accepted."""
    assert reference is not None
    if case.accepted is not None and reference.label not in case.accepted:
        return None
    return float(said.label in case.wrong if case.wrong is not None else said.label != reference.label)


def shifted(case: Case, said: Said, reference: Said | None) -> float | None:
    """By how much the probability moved of the label it moved most; only where both were answered."""
    assert reference is not None
    if said.label is None or reference.label is None:
        return None
    return max(abs(said.probabilities.get(k, 0.0) - p) for k, p in reference.probabilities.items())


def refused(case: Case, said: Said, reference: Said | None) -> float | None:
    """1 where no label is given."""
    return float(said.label is None)


def warned(case: Case, said: Said, reference: Said | None) -> float | None:
    """1 where no label is given, or a warning beside it."""
    return float(said.warned or said.label is None)


@lru_cache(maxsize=1)
def all_probes() -> tuple[Probe, ...]:
    """All of them, in the order they are reported."""
    return (
        *_feelings(),
        *_bleeding(),
        *neutral_line_probes(_neutral()),
        *_noise(),
        *(_answers(kind, explained) for kind, explained in EXPLAINED_BY_KIND.items()),
        *_words(),
        *_languages(),
    )


def flicker_chats() -> list[tuple[tuple[str, str], ...]]:
    """The chats that are read message by message."""
    return [spoken(row["chat"]) for row in _rows("chats.jsonl")]


def _feelings() -> Iterator[Probe]:
    for kind, explained in (
        ("named", "feelings a word names ('i'm scared'), as a chat's only message"),
        ("unnamed", "the same feelings where only the situation tells ('the footsteps stop whenever i stop')"),
    ):
        cases = (Case(_alone(row[kind]), frozenset(row["accepted"])) for row in _rows("feelings.jsonl"))
        yield Probe(f"{kind}_right", f"Share read rightly of {explained}.", tuple(cases), right, aim=1)
    lines = [
        *_neutral()[::4],
        *(t for _, t in strong_lines()[::2]),
        *(r["unnamed"] for r in _rows("feelings.jsonl")[::2]),
    ]
    before = _neutral()[1::4]
    cases = (
        Case(_alone(line), reference=Ask((("B", before[i % 24]), ("A", before[(i + 7) % 24]), ("A", line))))
        for i, line in enumerate(lines)
    )
    yield Probe(
        "changed_by_cold_start",
        "Share of lines, neutral and not, whose label as a chat's first message is not that after two neutral lines.",
        tuple(cases),
        changed,
    )


def _bleeding() -> Iterator[Probe]:
    strong, neutral = strong_lines(), _neutral()[::2]
    for side, place in (("before", -1), ("after", 0)):
        for who, speaker in (("same", "A"), ("other", "B")):
            cases = []
            for i, line in enumerate(neutral):
                pair = [("A", line), (speaker, strong[(i * 7) % len(strong)][1])]
                chat = tuple(pair[::-1] if side == "before" else pair)
                cases.append(Case(Ask(chat, place), frozenset({"neutral"}), _alone(line)))
            yield Probe(
                f"bleeding_{side}_{who}",
                f"Share of neutral lines called a feeling beside a strong line {side} them by the {who} speaker, "
                "of those called neutral alone.",
                tuple(cases),
                changed,
                live=side == "before",
            )
    for side, place in (("before", -1), ("after", 0)):
        cases = []
        for i, (feeling, line) in enumerate(strong):
            other, loud = strong[(i + 7) % len(strong)]
            for speaker in "AB":
                pair = [("A", line), (speaker, loud)]
                chat = tuple(pair[::-1] if side == "before" else pair)
                cases.append(Case(Ask(chat, place), frozenset({feeling}), _alone(line), frozenset({other})))
        yield Probe(
            f"bleeding_between_feelings_{side}",
            f"Share of strong lines that take the label of a strong line of another feeling {side} them, of those read "
            "rightly alone.",
            tuple(cases),
            changed,
            live=side == "before",
        )


def neutral_line_probes(lines: Sequence[str], prefix: str = "") -> Iterator[Probe]:
    """What changes neutral lines, the suite's or those of a user; metrics begin with `prefix`."""
    only_neutral, whose = frozenset({"neutral"}), " of --data" if prefix else ""

    def probe(what: str, explained: str, variants: Callable[[int, str], Sequence[Ask]]) -> Probe:
        cases = (Case(v, only_neutral, _alone(line)) for i, line in enumerate(lines) for v in variants(i, line))
        explained = f"Share of neutral lines{whose} called otherwise {explained}, of those called neutral alone."
        return Probe(f"{prefix}neutral_changed_by_{what}", explained, tuple(cases), changed)

    cases = tuple(Case(_alone(line), only_neutral) for line in lines)
    explained = f"Share called neutral of neutral lines{whose}, each a whole chat."
    yield Probe(f"{prefix}neutral_right", explained, cases, right, aim=1)
    yield probe("punctuation", "with '!' at the end", lambda i, line: [_alone(line + "!")])
    yield probe("full_stop", "with '.' at the end", lambda i, line: [_alone(line + ".")])
    yield probe("emoji", "with 👍, 👌 or ✅ at the end", lambda i, line: [_alone(f"{line} {'👍👌✅'[i % 3]}")])
    yield probe("haha", "with 'haha' at the end", lambda i, line: [_alone(f"{line} haha")])
    yield probe(
        "neutral_line",
        "behind one unrelated neutral line",
        lambda i, line: [Ask((("AB"[i % 2], lines[(i + 17) % len(lines)]), ("A", line)))],
    )


def _noise() -> Iterator[Probe]:
    known = [("neutral", line) for line in _neutral()] + strong_lines()
    for what, explained, disturbed in (
        ("typos", "with two letters swapped and one lost", _mistyped),
        ("asr", "as a speech recogniser writes: no case, no punctuation, 'um'", _recognised),
    ):
        cases = (Case(_alone(disturbed(line)), frozenset({label}), _alone(line)) for label, line in known)
        explained = f"Share of neutral and strong lines called otherwise {explained}, of those read rightly as written."
        yield Probe(f"changed_by_{what}", explained, tuple(cases), changed)


def _answers(kind: str, explained: str) -> Probe:
    rows = [row for row in _rows("answers.jsonl") if row["kind"] == kind]
    cases = (Case(Ask(spoken(row["chat"])), frozenset(row["accepted"])) for row in rows)
    return Probe(f"{kind}_right", f"Share read rightly: {explained}.", tuple(cases), right, aim=1)


def _words() -> Iterator[Probe]:
    told = json.loads((CASES / "words.json").read_text("utf-8"))
    for kind in ("state_words", "identity_words"):
        cases = (
            Case(_alone(t.format(word)), reference=_alone(t.format(told["plain"])), group=word)
            for word in told[kind]
            for t in told["templates"]
        )
        yield Probe(
            f"{kind}_shift",
            f"Points by which {told[kind][0]!r} and its like, put for {told['plain']!r} in a neutral line, move the "
            "probability of the label they move most: the mean.",
            tuple(cases),
            shifted,
            is_rate=False,
        )


def _languages() -> Iterator[Probe]:
    foreign = tuple(Case(_alone(row["text"])) for row in _rows("foreign.jsonl"))
    many = len({row["language"] for row in _rows("foreign.jsonl")})
    yield Probe(
        "foreign_refused", f"Share of lines in {many} other languages that get no label.", foreign, refused, aim=1
    )
    yield Probe("foreign_warned", "Share of them that get no label, or a warning with it.", foreign, warned, aim=1)
    rows = _rows("feelings.jsonl")
    english = [*_neutral(), *(t for _, t in strong_lines()), *(r[k] for r in rows for k in ("named", "unnamed"))]
    english += [spoken(row["chat"])[0][1] for row in _rows("answers.jsonl") if row["kind"] in ("slang", "stretched")]
    explained = "Share of English lines, slang among them, that get no label."
    yield Probe("english_refused", explained, tuple(Case(_alone(line)) for line in english), refused)


def _alone(text: str) -> Ask:
    return Ask((("A", text),))


def _mistyped(line: str) -> str:
    """The line with two neighbouring letters swapped in one long word, and one letter lost in another."""
    rng, words = random.Random(line), line.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    for i, swap in zip(rng.sample(long, min(2, len(long))), (True, False), strict=False):
        word, at = words[i], rng.randrange(1, len(words[i]) - 2)
        words[i] = word[:at] + (word[at + 1] + word[at] + word[at + 2 :] if swap else word[at + 1 :])
    return " ".join(words)


def _recognised(line: str) -> str:
    """The line without case and punctuation, and with the fillers of speech."""
    words = "".join(c for c in line.lower() if c.isalnum() or c in " '").split()
    middle = len(words) // 2
    return " ".join(["um", *words[:middle], "uh", *words[middle:]])


@lru_cache(maxsize=8)
def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / name).read_text("utf-8").splitlines()]


@lru_cache(maxsize=1)
def _lines() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CASES / "lines.json").read_text("utf-8"))
    return found


def _neutral() -> list[str]:
    neutral: list[str] = _lines()["neutral"]
    return neutral


def strong_lines() -> list[tuple[str, str]]:
    """Lines whose words leave no doubt of the feeling: (feeling, line)."""
    return [(row["feeling"], row["text"]) for row in _lines()["strong"]]
