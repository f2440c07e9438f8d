"""A recording as it is shown: its wave with the speakers in colour, a player for each voice; and the list of all."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from serve.client import Envelope, Recording
from ui.messages import ShownMessage, number
from ui.page.drawing.people import Person
from ui.page.drawing.render import size
from ui.page.templates import render

OTHER_FORMATS = {"parquet": "Parquet", "label-studio": "Label Studio"}
"""What a browser fetches by itself, since it is no text or large; the other formats are behind buttons."""
_WIDTH, _MIDDLE, _HIGH = 1000.0, 60.0, 56.0


def messages_of(recording: Recording) -> list[ShownMessage]:
    """What is said, as the page shows messages."""
    return [
        ShownMessage(
            n=u.n,
            speaker=u.speaker,
            text=u.text or "(no words heard)",
            prediction=u.prediction,
            error=None if u.prediction else "no words" if not u.text else "not labelled",
            voice=u.voice,
        )
        for u in recording.utterances
    ]


def listed(
    found: Sequence[Recording], *, known: bool = True, shown: str | None = None, asked: str | None = None
) -> Markup:
    """Recordings with how far they are: `shown` is the one that is open, `asked` the one whose deletion is to be
    confirmed."""
    rows = [
        {
            "id": one.id,
            "filename": one.filename,
            "state": one.state,
            "told": _told(one),
            "created": one.created,
            "when": one.created.replace("T", " ")[:16] + " UTC",
            "percent": round(100 * one.fraction),
            "shown": one.id == shown,
            "asked": one.id == asked,
        }
        for one in found
    ]
    return render("recordings.html.j2", rows=rows, known=known)


def _told(recording: Recording) -> str:
    if recording.state == "queued":
        return f"waiting; {recording.ahead} before it" if recording.ahead else "waiting; it is the next"
    if recording.state == "running":
        return f"listening, {recording.fraction:.0%}".replace("%", " %")
    if recording.state == "failed":
        return f"failed: {recording.error}"
    return f"{clock(recording.seconds or 0.0)} long, {size(recording.bytes)}"


def shown(recording: Recording, envelope: Envelope, people: Mapping[str, Person]) -> Markup:
    """The wave and the players. Each speaker has a colour and a name, so that no colour stands alone."""
    seconds = recording.seconds or 0.0
    scale = _WIDTH / seconds if seconds else 0.0
    stretches = [
        {
            "colour": people[u.speaker].colour,
            "title": f"{u.speaker}, {clock(u.starts)} to {clock(u.ends)}",
            "x": round(u.starts * scale, 2),
            "width": round((u.ends - u.starts) * scale, 2),
            "path": _path(envelope.peaks, u.starts / seconds, u.ends / seconds),
        }
        for u in recording.utterances
        if seconds
    ]
    voices = [
        {
            "n": s.n,
            "name": s.name,
            "seconds": f"{s.seconds:.1f}",
            "src": s.voice,
            "colour": people[s.name].colour if s.name in people else 0,
        }
        for s in recording.speakers
    ]
    who = ", ".join(f"{s.name} speaks {s.seconds:.0f} seconds" for s in recording.speakers) or "nobody speaks"
    counted = f"{number(len(recording.speakers), 'speaker')}, {number(recording.total, 'utterance')}"
    return render(
        "recording.html.j2",
        called=recording.filename,
        stem=Path(recording.filename).stem,
        summary=f"{clock(seconds)} long, {counted}",
        aria=f"The wave of the recording, {clock(seconds)} long: {who}",
        rest=_path(envelope.peaks, 0.0, 1.0),
        stretches=stretches,
        voices=voices,
        sound=recording.sound or "",
        others=[
            (what, f"{(recording.sound or '').removesuffix('/sound')}/output?to={to}")
            for to, what in OTHER_FORMATS.items()
        ],
        length=clock(seconds),
    )


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def _path(peaks: Sequence[float], begin: float, end: float) -> str:
    """The outline of a part of the wave, from shares of its length."""
    n = len(peaks)
    first, last = int(begin * n), min(n, max(int(begin * n) + 1, round(end * n)))
    if first >= last:
        return ""
    points = [(i * _WIDTH / n, max(peak * _HIGH, 0.4)) for i, peak in enumerate(peaks[first:last], first)]
    upper = [f"{x:.1f},{_MIDDLE - high:.1f}" for x, high in points]
    lower = [f"{x:.1f},{_MIDDLE + high:.1f}" for x, high in reversed(points)]
    return f"M{' L'.join([*upper, *lower])}Z"
