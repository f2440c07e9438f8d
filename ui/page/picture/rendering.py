"""What the Picture tab shows: pure functions from a dialogue about a picture to escaped HTML."""

import base64
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from dialog.pictures.answers import RETRIEVED, UNSURE, Answer, Thing
from serve.client import Round, ServiceError, VisualDialog
from ui.messages import percent
from ui.page.drawing import render
from ui.page.templates import render as fill

_ACROSS = ("left", "middle", "right")
_DOWN = ("top", "centre", "bottom")
THINGS_NAMED = 12
"""So many things are outlined in the picture."""
PLACES_NAMED = 3
"""So many places are named in words and numbered in the picture."""
LOOKED_BACK = 0.2
"""An earlier round is named where so much of what was used of them all was of it."""

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
    looked, drawn over the picture and told in words once somebody wants to see it.

    Without an address the browser puts the one in that came with the dialogue before: it is large.
    """
    if dialog is None:
        return fill("no_picture.html.j2")
    boxes, told = [], []
    if answer is not None and not _looked(answer):
        answer = None
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
        dialog=dialog.id,
        width=dialog.width,
        height=dialog.height,
        ratio=round(dialog.width / dialog.height, 4),
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
    """A box, and its name inside it; beyond the middle the name stands at the right, where there is room for it."""
    x0, y0, x1, y1 = thing.box
    width, height = dialog.width, dialog.height
    return {
        "x": round(x0 * width, 1),
        "y": round(y0 * height, 1),
        "width": round((x1 - x0) * width, 1),
        "height": round((y1 - y0) * height, 1),
        "at": round((x1 if x0 > 0.5 else x0) * width, 1),
        "ends": x0 > 0.5,
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
    found = [(r, _sure(r.answer), _guess(r.answer), _why(r.answer)) for r in dialog.rounds] if dialog else []
    reached = len(found) - 1 if selected is None else selected
    return fill(
        "rounds.html.j2", rounds=found, asking=asking, selected=selected, reached=reached, shown=dialog is not None
    )


def answer(chosen: Round | None, earlier: Sequence[Round] = ()) -> Markup:
    """One answer with its alternatives, and which earlier rounds it used."""
    if chosen is None:
        return Markup("")
    told = chosen.answer
    candidates = told.answers if _looked(told) else ()
    bars = [(c.text, round(100 * c.probability, 1), percent(c.probability)) for c in candidates if c.probability]
    used = [
        (f"{n + 1}. {r.question}", round(100 * share, 1), percent(share))
        for n, (r, share) in enumerate(zip(earlier, told.rounds, strict=False))
        if told.known and share >= LOOKED_BACK
    ]
    used.sort(key=lambda row: -row[1])
    return fill(
        "answer.html.j2",
        round=chosen,
        answer=told,
        bars=bars,
        used=used[:5],
        retrieved=RETRIEVED,
        guessed=not told.known and told.why == UNSURE,
        written=told.written if _looked(told) and told.written != told.text else None,
        silent=told.known and not bars,
    )


def notices(notice: str, arrived: int) -> Markup:
    """What there is to say, beside the number of the picture that came last or failed to: the same words may come
    again, and are said again."""
    return Markup('<div data-arrived="{}">{}</div>').format(arrived, notice)


def largest(n_bytes: int) -> Markup:
    """How large a picture may be, for the script that looks before anything is sent."""
    return Markup('<i hidden data-largest="{}" data-told="{}"></i>').format(n_bytes, render.size(n_bytes))


def problem(error: ServiceError) -> Markup:
    """What went wrong, in the visitor's words."""
    if error.kind == "model-missing":
        lines = ["Everything else on this page works.", error.detail]
        return render.notice("info", "This service has no model for pictures.", lines)
    if error.status == 413:
        return render.notice("error", "This picture is too large.", [_sentence(error.detail)])
    if error.status == 415:
        why = error.detail.removeprefix("this is no picture we can read; ")  # which the title says
        return render.notice("error", "This is not a picture we can read.", [_sentence(why)])
    if error.status == 422 and error.faults:
        title = "This picture cannot be read." if error.faults[0][0] == "/picture" else "This cannot be used."
        return render.notice("error", title, [_sentence(detail) for _, detail in error.faults])
    if error.status == 409:
        return render.notice("info", "No more questions fit.", ["Show the picture again to go on."])
    return render.problem(error, gone="This picture was deleted, perhaps in another window. Show it again to go on.")


def _sentence(detail: str) -> str:
    """What the service said, as a sentence."""
    return f"{detail[:1].upper()}{detail[1:].rstrip('.')}."


def _looked(found: Answer) -> bool:
    """Whether the answer rests on the picture at all: one to a question that no picture answers does not."""
    return found.known or found.why in ("", UNSURE)


def _sure(found: Answer) -> str | None:
    likely = found.answers[0].probability if found.answers else None
    return percent(likely) if found.known and likely is not None else None


def _why(found: Answer) -> str:
    """Why there is no answer; nothing where none is likely enough, which goes without saying."""
    return "" if found.known or found.why == UNSURE else found.why


def _guess(found: Answer) -> str | None:
    """What it would have said had it been likelier; nothing of a question that no picture answers."""
    if found.known or found.why != UNSURE or not found.answers or not found.answers[0].probability:
        return None
    return found.answers[0].text
