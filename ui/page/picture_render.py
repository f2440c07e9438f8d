"""What the Picture tab shows: pure functions from a dialogue about a picture to escaped HTML."""

import base64
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from dialog.pictures.answers import RETRIEVED, UNSURE, Answer, Thing
from serve.client import Round, ServiceError, VisualDialog
from ui.messages import percent
from ui.page import render
from ui.page.templates import render as fill

_ACROSS = ("left", "middle", "right")
_DOWN = ("top", "centre", "bottom")
THINGS_NAMED = 12
"""So many things are outlined in the picture."""
PLACES_NAMED = 3
"""So many places are named in words and numbered in the picture."""

Box = tuple[float, float, float, float]


def as_address(jpeg: bytes) -> str:
    """A picture as an address that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def place(box: Box) -> str:
    """Where in the picture a box is, in words."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if box[2] - box[0] > 0.8 and box[3] - box[1] > 0.8:
        return "the whole picture"
    across, down = _ACROSS[min(2, int(3 * x))], _DOWN[min(2, int(3 * y))]
    return "the centre" if (across, down) == ("middle", "centre") else f"{down} {across}"


def places(boxes: Sequence[Box], weights: Sequence[float]) -> list[tuple[str, float]]:
    """How much each part of the picture was looked at, the most first."""
    found: defaultdict[str, float] = defaultdict(float)
    for box, weight in zip(boxes, weights, strict=True):
        found[place(box)] += weight
    return sorted(found.items(), key=lambda pair: -pair[1])


def picture(dialog: VisualDialog | None, address: str, answer: Answer | None) -> Markup:
    """The picture, with the things the answer is about outlined and named; where it names none, with where the model
    looked drawn onto it and told in words."""
    if dialog is None:
        return fill("no_picture.html.j2")
    boxes, told = [], []
    things = [_outline(t, dialog) for t in answer.things[:THINGS_NAMED]] if answer is not None else []
    if answer is not None and not things and answer.regions and len(answer.regions) == len(dialog.boxes):
        most = max(answer.regions)
        order = sorted(range(len(answer.regions)), key=lambda i: -answer.regions[i])
        ranks = {i: rank + 1 for rank, i in enumerate(order[:PLACES_NAMED])}
        for i in reversed(order):
            x0, y0, x1, y1 = dialog.boxes[i]
            share = answer.regions[i]
            boxes.append(
                {
                    "x": x0 * dialog.width,
                    "y": y0 * dialog.height,
                    "width": (x1 - x0) * dialog.width,
                    "height": (y1 - y0) * dialog.height,
                    "shade": round(0.62 * (1 - share / most), 3) if most else 0,
                    "rank": ranks.get(i),
                    # Beyond the edge, so that what is blurred stays as dark there as it is inside.
                    "spread": _spread(x0, y0, x1, y1, dialog.width, dialog.height),
                }
            )
        told = [f"{name} ({percent(share)})" for name, share in places(dialog.boxes, answer.regions)[:PLACES_NAMED]]
    return fill(
        "picture.html.j2",
        width=dialog.width,
        height=dialog.height,
        address=address,
        boxes=boxes,
        told=told,
        size=max(dialog.width, dialog.height) / 30,
        blur=_cell(dialog) / 4 if boxes and _tiled(dialog.boxes) else 0,
        things=things,
        found=[f"{t['name']} ({t['likely']})" for t in things],
        strange=dialog.strangeness is not None and dialog.strangeness > 1,
    )


def _outline(thing: Thing, dialog: VisualDialog) -> dict[str, Any]:
    x0, y0, x1, y1 = thing.box
    width, height = dialog.width, dialog.height
    return {
        "x": round(x0 * width, 1),
        "y": round(y0 * height, 1),
        "width": round((x1 - x0) * width, 1),
        "height": round((y1 - y0) * height, 1),
        "name": thing.name,
        "likely": percent(thing.probability),
    }


def _spread(x0: float, y0: float, x1: float, y1: float, width: float, height: float) -> tuple[float, ...]:
    """x, y, width and height of a box that goes on beyond whatever edges of the picture it touches."""
    left, top, right, bottom = (x0 - (x1 - x0) * (x0 <= 0), y0 - (y1 - y0) * (y0 <= 0), x1, y1)
    right += (x1 - x0) * (x1 >= 1)
    bottom += (y1 - y0) * (y1 >= 1)
    found = (left * width, top * height, (right - left) * width, (bottom - top) * height)
    return tuple(round(value, 2) for value in found)


def _cell(dialog: VisualDialog) -> float:
    """The shortest side of a box, in the picture's units."""
    sides = [((x1 - x0) * dialog.width, (y1 - y0) * dialog.height) for x0, y0, x1, y1 in dialog.boxes]
    return min(min(pair) for pair in sides)


def _tiled(boxes: Sequence[Box]) -> bool:
    """Whether the boxes are a grid that covers the picture once; those of a detector lie as they lie."""
    return abs(sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes) - 1) < 0.01


def rounds(dialog: VisualDialog | None, asking: str | None = None, selected: int | None = None) -> Markup:
    """Questions and answers so far; `asking` has no answer yet."""
    found = [(r, _sure(r.answer), _guess(r.answer)) for r in dialog.rounds] if dialog else []
    return fill("rounds.html.j2", rounds=found, asking=asking, selected=selected, shown=dialog is not None)


def answer(chosen: Round | None, earlier: Sequence[Round] = ()) -> Markup:
    """One answer with its alternatives, and which earlier rounds it used."""
    if chosen is None:
        return Markup("")
    told = chosen.answer
    bars = [(c.text, round(100 * c.probability, 1), percent(c.probability)) for c in told.answers if c.probability]
    used = [
        (f"{n + 1}. {r.question}", round(100 * share, 1), percent(share))
        for n, (r, share) in enumerate(zip(earlier, told.rounds, strict=False))
    ]
    used.sort(key=lambda row: -row[1])
    return fill("answer.html.j2", round=chosen, answer=told, bars=bars, used=used[:5], retrieved=RETRIEVED)


def problem(error: ServiceError) -> Markup:
    """What went wrong, in the visitor's words."""
    if error.kind == "model-missing":
        lines = ["Everything else on this page works.", error.detail]
        return render.notice("info", "This service has no model for pictures.", lines)
    if error.status == 413:
        return render.notice("error", "This picture is too large.", [error.detail])
    if error.status == 415:
        return render.notice("error", "This is not a picture we can read.", [error.detail])
    if error.status == 422 and error.faults:
        return render.notice("error", "This cannot be used.", [detail for _, detail in error.faults])
    if error.status == 409:
        return render.notice("info", "No more questions fit.", ["Show the picture again to go on."])
    return render.problem(error, gone="This picture was deleted. Show it again to go on.")


def _sure(found: Answer) -> str | None:
    likely = found.answers[0].probability if found.answers else None
    return percent(likely) if found.known and likely is not None else None


def _guess(found: Answer) -> str | None:
    """What it would have said had it been likelier; nothing of a question that no picture answers."""
    if found.known or found.why != UNSURE or not found.answers or not found.answers[0].probability:
        return None
    return found.answers[0].text
