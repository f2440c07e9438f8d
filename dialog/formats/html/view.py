"""What the report shows of a conversation, worked out so that the template only has to lay it down."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from dialog.conversation import Cause, Conversation, Prediction, Utterance, Voice
from dialog.formats.source import Unreadable
from dialog.labels import LABEL_SETS, SENTIMENT, VOICE_SOUNDS

_SPEAKERS_SHOWN = 12
_UNSURE = 0.6  # below this the runner-up is named too


class Piece(NamedTuple):
    """A stretch of a text, the utterances it is a cause of (none: just text), and those whose span ends with it."""

    text: str
    causes: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()


class Because(NamedTuple):
    """One cause of an utterance's emotion, as it is told below the text. utterance None: outside the conversation."""

    utterance: int | None
    span: str | None
    probability: float
    of: str | None
    """The emotion, where it is not the label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UtteranceView:
    """One utterance: its label (from the model, or else the one it came with), and its text in pieces."""

    number: int
    speaker: str
    time: str | None
    pieces: tuple[Piece, ...]
    label: str | None
    probability: float | None
    runner_up: tuple[str, float] | None
    given: str | None
    tags: tuple[str, ...]
    tone: str | None
    """Valence and arousal in words."""
    care: bool
    reason: str | None
    """Why the model says no label."""
    because: tuple[Because, ...]
    cause_of: tuple[int, ...]
    """Utterances that all of this one is a cause of."""
    probabilities: dict[str, float]
    voice: tuple[str, float] | None
    """How the voice sounds, in a word, and how probable that is; "" where that is not sure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeakerRow:
    """A line of the table of speakers and emotions: counts in the order of the labels, and how dark each cell is."""

    name: str
    total: int
    counts: tuple[int, ...]
    shades: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversationView:
    """One conversation of the report."""

    id: str
    number: int
    utterances: tuple[UtteranceView, ...]
    labels: tuple[str, ...]
    counts: Counter[str]
    n_speakers: int
    speakers: tuple[SpeakerRow, ...]
    error: str | None
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, conversation: Conversation, number: int, labels: Sequence[str]) -> "ConversationView":
        """labels are those of the whole report, so that every conversation shows them in the same order."""
        marks: list[list[tuple[int, int, int]]] = [[] for _ in conversation.utterances]
        whole: list[list[int]] = [[] for _ in conversation.utterances]
        for i, u in enumerate(conversation.utterances):
            for cause in u.prediction.causes if u.prediction else ():
                if cause.utterance is None or cause.utterance >= len(marks):
                    continue
                if cause.start is None or cause.end is None:
                    whole[cause.utterance].append(i)
                else:
                    marks[cause.utterance].append((cause.start, cause.end, i))
        shown = tuple(_utterance(i, u, marks[i], tuple(whole[i])) for i, u in enumerate(conversation.utterances))
        return cls(
            id=conversation.id,
            number=number,
            utterances=shown,
            labels=tuple(labels),
            counts=Counter(u.label for u in shown if u.label),
            n_speakers=len(conversation.speakers),
            speakers=_speakers(shown, labels),
            error=conversation.error,
            warnings=conversation.warnings,
        )

    @property
    def labelled(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.counts)


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentsLine:
    """One line of the table of contents."""

    id: str
    number: int
    utterances: int
    speakers: int
    top: tuple[tuple[str, int], ...]
    error: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """The whole report in numbers."""

    labels: tuple[str, ...]
    counts: Counter[str]
    conversations: int
    utterances: int
    speakers: int
    failed: int
    lines: tuple[ContentsLine, ...]
    models: tuple[str, ...]
    modes: tuple[str, ...]
    has_causes: bool


def overview_of(items: Iterable[Conversation | Unreadable]) -> Overview:
    """One pass over everything."""
    labels: dict[str, None] = {}
    counts: Counter[str] = Counter()
    lines: list[ContentsLine] = []
    speakers: set[str] = set()
    models: dict[str, None] = {}
    modes: dict[str, None] = {}
    utterances = failed = 0
    has_causes = False
    for item in items:
        failed += item.error is not None
        if isinstance(item, Unreadable):
            continue
        own: Counter[str] = Counter()
        for u in item.utterances:
            labels.update(dict.fromkeys(u.prediction.probabilities if u.prediction else ()))
            if label := _label(u):
                own[label] += 1
            has_causes |= bool(u.prediction and u.prediction.causes)
        counts += own
        utterances += len(item.utterances)
        speakers.update(item.speakers)
        for key, into in (("model_version", models), ("mode", modes)):
            if isinstance(item.extra.get(key), str):
                into[item.extra[key]] = None
        lines.append(
            ContentsLine(
                id=item.id,
                number=len(lines) + 1,
                utterances=len(item.utterances),
                speakers=len(item.speakers),
                top=tuple(own.most_common(3)),
                error=item.error,
            )
        )
    labels.update(dict.fromkeys(counts))
    return Overview(
        labels=_in_order(labels),
        counts=counts,
        conversations=len(lines),
        utterances=utterances,
        speakers=len(speakers),
        failed=failed,
        lines=tuple(lines),
        models=tuple(models),
        modes=tuple(modes),
        has_causes=has_causes,
    )


def percent(probability: float) -> str:
    """A probability for people: `71 %`; never a certainty the model does not claim."""
    if probability != probability:
        return "? %"
    if 0.995 <= probability < 1:
        return "> 99 %"
    if 0 < probability < 0.005:
        return "< 1 %"
    return f"{probability * 100:.0f} %"


def _in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Pleasant, neither, unpleasant; the neutral label last of all, because it is the background of the others."""
    rank = {"positive": 0, "neutral": 1, "negative": 2}
    known = [label for names in LABEL_SETS.values() for label in names]
    return tuple(
        sorted(
            labels,
            key=lambda x: (x == "neutral", rank.get(SENTIMENT.get(x, "neutral"), 1), x not in known, x),
        )
    )


def _label(u: Utterance) -> str | None:
    return u.prediction.emotion if u.prediction else u.emotion


def _utterance(i: int, u: Utterance, marks: list[tuple[int, int, int]], cause_of: tuple[int, ...]) -> UtteranceView:
    p = u.prediction
    return UtteranceView(
        number=i,
        speaker=u.speaker,
        time=u.time.replace("T", " ") if u.time else None,
        pieces=_pieces(u.text, marks),
        label=_label(u),
        probability=p.probability if p else None,
        runner_up=_runner_up(p),
        given=u.emotion if p and u.emotion else None,
        tags=tuple(tag.tag for tag in p.tags) if p else (),
        tone=_tone(p),
        care=bool(p and p.care),
        reason=p.reason if p else None,
        because=tuple(_because(c, p) for c in p.causes) if p else (),
        cause_of=cause_of,
        probabilities=dict(p.probabilities) if p else ({u.emotion: 1.0} if u.emotion else {}),
        voice=_sounding(u.voice),
    )


def _sounding(voice: Voice | None) -> tuple[str, float] | None:
    if voice is None:
        return None
    return VOICE_SOUNDS.get(voice.emotion, voice.emotion) if voice.emotion else "", voice.probability


def _because(c: Cause, p: Prediction) -> Because:
    return Because(c.utterance, c.span, c.probability, c.emotion if c.emotion != p.emotion else None)


def _tone(p: Prediction | None) -> str | None:
    if p is None or p.valence is None or p.arousal is None:
        return None
    return f"valence {p.valence:.1f}, arousal {p.arousal:.1f} (of 5; 3 is neutral)"


def _runner_up(p: Prediction | None) -> tuple[str, float] | None:
    if p is None or p.probability >= _UNSURE:
        return None
    others = [(label, q) for label, q in p.probabilities.items() if label != p.emotion and q >= 0.1]
    return max(others, key=lambda pair: pair[1], default=None)


def _pieces(text: str, marks: list[tuple[int, int, int]]) -> tuple[Piece, ...]:
    """The text cut wherever a marked span begins or ends; spans may overlap."""
    spans = [(max(0, start), min(len(text), end), by) for start, end, by in marks if start < min(len(text), end)]
    cuts = sorted({0, len(text), *(s for s, _, _ in spans), *(e for _, e, _ in spans)})
    pieces = []
    for start, end in pairwise(cuts):
        by = tuple(sorted({b for s, e, b in spans if s <= start and end <= e}))
        pieces.append(Piece(text[start:end], by, tuple(sorted({b for _, e, b in spans if e == end}))))
    return tuple(pieces)


def _speakers(utterances: Sequence[UtteranceView], labels: Sequence[str]) -> tuple[SpeakerRow, ...]:
    """The table of speakers and emotions: who says most first, the rest together."""
    counts: dict[str, Counter[str]] = {}
    totals: Counter[str] = Counter()
    for u in utterances:
        counts.setdefault(u.speaker, Counter())[u.label or ""] += 1
        totals[u.speaker] += 1
    order = [name for name, _ in totals.most_common()]
    shown, rest = (
        (order, []) if len(order) <= _SPEAKERS_SHOWN else (order[: _SPEAKERS_SHOWN - 1], order[_SPEAKERS_SHOWN - 1 :])
    )
    rows = [(name, totals[name], counts[name]) for name in shown]
    if rest:
        together = sum((counts[name] for name in rest), Counter())
        rows.append((f"{len(rest)} others", sum(totals[name] for name in rest), together))
    return tuple(
        SpeakerRow(
            name=name,
            total=total,
            counts=tuple(own[label] for label in labels),
            shades=tuple(min(5, -(-5 * own[label] // max(total, 1))) for label in labels),
        )
        for name, total, own in rows
    )
