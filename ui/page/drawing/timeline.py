"""The mood of a conversation over time, as inline SVG. Positions are per cent, so it fits any width undistorted.

Each message is the drawing of its label, whose outline says what its colour says; where there are many they are small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from markupsafe import Markup

from dialog.formats.html.glyphs import glyph_of
from dialog.labels import COLOURS
from ui.messages import ShownMessage, colour, mood, percent
from ui.page.drawing.graphemes import shortened
from ui.page.drawing.people import Person
from ui.page.templates import render

FACES_UP_TO = 40
"""More messages than this are drawn small: their symbols would cover each other."""
STRIP_SHOWN = 60
"""The strip above a chat follows this many of the last messages."""
POINTS = 240
"""A longer conversation is drawn as the means of this many stretches of it."""
LINES = 4
"""Each of the first speakers has a line in a stroke of its own; more would be a tangle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One message, or the mean of several, in per cent of the drawing."""

    x: float
    y: float
    label: str
    title: str
    speaker: str
    n: int | None = None
    """The message, where the point is one."""
    newest: bool = False

    @property
    def colour(self) -> str:
        """The label's."""
        return colour(self.label)

    @property
    def drawing(self) -> Markup | None:
        """What is drawn for a label that the page's sprite does not have."""
        return None if self.label in COLOURS else glyph_of(self.label)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """From one message of a speaker to the next of the same one."""

    x1: float
    y1: float
    x2: float
    y2: float
    stroke: int


def strip(messages: Sequence[ShownMessage], people: Mapping[str, Person]) -> Markup:
    """The slim drawing above a chat: the last messages, each with its number, so that one leads to the other."""
    shown = messages[-STRIP_SHOWN:]
    points = _points(shown)
    names = list(dict.fromkeys(p.speaker for p in points))[:LINES]
    lines = [
        (people[name].colour, line)
        for n, name in enumerate(names)
        for line in _lines([p for p in points if p.speaker == name], n)
    ]
    return render("strip.html.j2", points=points, lines=lines, summary=_summary(messages))


def timeline(messages: Sequence[ShownMessage]) -> Markup:
    """The drawing of a whole log. Messages without a label leave a gap."""
    shown = messages
    points = _points(shown)
    speakers = list(dict.fromkeys(p.speaker for p in points if p.speaker))[:LINES]
    lines = [line for n, name in enumerate(speakers) for line in _lines([p for p in points if p.speaker == name], n)]
    faces = len(shown) <= FACES_UP_TO
    return render(
        "timeline.html.j2",
        points=points,
        # Lines from dot to dot would be a thicket; the mean of the neighbours shows where the mood goes.
        lines=lines if faces else [],
        mean=[] if faces else _lines(_smoothed(points), 0),
        speakers=speakers if faces else [],
        faces=faces,
        summary=_summary(messages),
        first=shown[0].n + 1 if shown else 1,
        last=shown[-1].n + 1 if shown else 1,
    )


def _points(messages: Sequence[ShownMessage]) -> list[Point]:
    if len(messages) > POINTS:
        return _means(messages)
    # A short chat starts on the left and grows; it is not stretched over the whole width.
    places = max(len(messages), 12)
    found = []
    for i, message in enumerate(messages):
        if message.prediction is None or message.emotion is None:
            continue
        found.append(
            Point(
                x=_x(i, places),
                # A correction is certain, the model's own view is a matter of degree.
                y=_y(mood({message.correction: 1.0} if message.correction else message.prediction.probabilities)),
                label=message.emotion,
                title=_title(message),
                speaker=message.speaker,
                n=message.n,
                newest=i == len(messages) - 1,
            )
        )
    return found


def _means(messages: Sequence[ShownMessage]) -> list[Point]:
    found = []
    for i in range(POINTS):
        stretch = messages[i * len(messages) // POINTS : (i + 1) * len(messages) // POINTS]
        labelled = [m for m in stretch if m.prediction and m.emotion]
        if not labelled:
            continue
        emotions = [m.emotion or "" for m in labelled]
        # What is not neutral says more about a stretch than what is.
        telling = [e for e in emotions if e != "neutral"] or emotions
        most = max(dict.fromkeys(telling), key=telling.count)
        mean = sum(mood(m.prediction.probabilities) for m in labelled if m.prediction) / len(labelled)
        title = f"messages {stretch[0].n + 1} to {stretch[-1].n + 1}: mostly {most}"
        found.append(Point(x=_x(i, POINTS), y=_y(mean), label=most, title=title, speaker="", n=stretch[0].n))
    return found


def _x(i: int, places: int) -> float:
    return round(3 + 94 * i / max(places - 1, 1), 2)


def _y(value: float) -> float:
    return round(50 - 38 * value, 2)


def _lines(points: Sequence[Point], stroke: int) -> list[Line]:
    pairs = pairwise(points)
    return [Line(x1=a.x, y1=a.y, x2=b.x, y2=b.y, stroke=stroke) for a, b in pairs]


def _smoothed(points: Sequence[Point]) -> list[Point]:
    """Each point at the mean height of its neighbours, a twelfth of them to either side."""
    reach = max(2, len(points) // 12)
    found = []
    for i, point in enumerate(points):
        near = points[max(0, i - reach) : i + reach + 1]
        found.append(replace(point, y=round(sum(p.y for p in near) / len(near), 2)))
    return found


def _title(message: ShownMessage) -> str:
    said = shortened(message.text, 80)
    p = None if message.correction or message.prediction is None else message.prediction.probability
    sure = "by hand" if p is None else percent(p)
    return f"{message.n + 1}. {message.speaker}: {message.emotion} {sure}: {said}"


def _summary(messages: Sequence[ShownMessage]) -> str:
    emotions = [m.emotion for m in messages if m.emotion]
    if not emotions:
        return "No labelled message yet."
    counts = sorted(((emotions.count(e), e) for e in dict.fromkeys(emotions)), key=lambda pair: -pair[0])
    total = f"{len(emotions):,} message{'s' * (len(emotions) != 1)}"
    return f"{total}: " + ", ".join(f"{count:,} {emotion}" for count, emotion in counts) + "."
