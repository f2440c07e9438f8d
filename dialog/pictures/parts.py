"""What is to be said of each part of a drawing, in numbers: its colour and shape, where it is, what it lies beside, and
what it holds or is held with.

One vector a part, and first of all one for the drawing as a whole, which holds what nothing else does. They are what a
reasoner looks at in place of a photograph's regions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dialog.pictures.colours import COLOURS, shares
from dialog.pictures.drawing import NEAR, Drawing, Part, Pixels
from dialog.reading.seeing import PictureRegions

if TYPE_CHECKING:
    pass

KINDS = ("rectangle", "round", "triangle", "other")
N_BANDS = 4
SIZES = (0.12, 0.17, 0.24, 0.34, 0.5)
"""Bounds between sizes: the square root of a part's share of the box it lies in."""
DARK, PURE = 0.72, 0.1
"""Of a colour's strongest and weakest channel: below the one it is dark, below the other it is of full strength."""
MOST_COUNTED = 8
MOST_OF_A_COLOUR = 4
MOST_IN_ORDER = 5
MOST_HOLDERS = 4
_N_CONTENT = (
    (MOST_COUNTED + 1) + (len(COLOURS) + len(KINDS)) * (MOST_OF_A_COLOUR + 1) + MOST_OF_A_COLOUR + 2 * len(COLOURS)
)
_N_OWN = 3 + len(COLOURS) + 7 + 2 + 2 * N_BANDS + len(KINDS) + 3 + len(SIZES) + 1
_N_PLACE = 4 + 4 + 3 + MOST_HOLDERS + 1 + 2 * MOST_IN_ORDER + 2 * (len(COLOURS) + 1) + 3
D_PART = _N_OWN + _N_PLACE + _N_CONTENT


class _Seen(NamedTuple):
    """A part with what its own pixels say."""

    part: Part
    colour: int
    kind: int
    extent: float
    bands: list[float]


def with_parts(regions: PictureRegions, drawing: Drawing | None) -> PictureRegions:
    """The regions with the parts of the picture beside them, where it is a drawing that comes apart."""
    if drawing is None:
        return regions
    parts, boxes = described(drawing)
    return regions._replace(parts=parts, part_boxes=boxes)


def described(drawing: Drawing) -> tuple[Tensor, Tensor]:
    """The drawing and its parts in numbers (P, D_PART), the drawing itself first, and their corners (P, 4) as fractions
    x0, y0, x1, y1."""
    width, height = drawing.size
    whole = Part((1.0, 1.0, 1.0), (0, 0, width, height), np.ones((height, width), dtype=bool), None)
    seen = [_seen(p) for p in drawing.parts]
    held = dict[int | None, list[int]]()
    for i, part in enumerate(drawing.parts):
        held.setdefault(part.within, []).append(i)
    holders = [i for i in held if i is not None]
    # Those that hold something lie side by side more often than not: they are counted from the left.
    order = {i: n for n, i in enumerate(sorted(holders, key=lambda i: drawing.parts[i].box[0]))}
    inner = [i for i, part in enumerate(drawing.parts) if i not in order and part.within is not None]
    rows = [[*_own(_seen(whole), whole, 0.0, 1.0), *[0.0] * _N_PLACE, *_content([seen[i] for i in inner])]]
    for i, one in enumerate(seen):
        inside, holder = one.part.within, whole if one.part.within is None else drawing.parts[one.part.within]
        among = [seen[k] for k in held[inside]]
        content = [seen[k] for k in held[i]] if i in order else among if inside is not None else []
        number = order.get(i, order.get(inside if inside is not None else -1))
        place = _place(one, holder, drawing.size, number, [s for s in among if s is not one])
        rows.append([*_own(one, holder, float(i in order), 0.0), *place, *_content(content)])
    scale = torch.tensor([width, height, width, height])
    boxes = torch.tensor([whole.box, *(p.box for p in drawing.parts)]) / scale
    return torch.tensor(rows), boxes


def colour_of(part: Part) -> str:
    """The everyday name of a part's colour, of COLOURS.

    Of a photograph's pixels a dark red is red in the shade; paint of that colour is brown, and a dark pink is purple.
    """
    name, high = COLOURS[_seen(part).colour], max(part.colour)
    if name == "pink" and high < DARK:
        return "purple"
    return "brown" if name == "red" and high < DARK and min(part.colour) > PURE else name


def kind_of(part: Part) -> str:
    """What shape a part is of, of KINDS."""
    return KINDS[_seen(part).kind]


def _seen(part: Part) -> _Seen:
    rgb = torch.tensor(part.colour).mul(255).round().view(3, 1)
    extent = float(part.mask.mean())
    bands = [*_bands(part.mask), *_bands(part.mask.T)]
    return _Seen(part, int(shares(rgb).argmax()), _kind(part, extent, bands), extent, bands)


def _bands(mask: Pixels) -> list[float]:
    """How much of each quarter of the height is filled, from the top."""
    return [float(band.mean()) for band in np.array_split(mask, N_BANDS) if band.size] + [0.0] * max(
        0, N_BANDS - len(mask)
    )


def _kind(part: Part, extent: float, bands: Sequence[float]) -> int:
    """By how much of its box is filled and where: a disc leaves its corners free, a triangle two of them."""
    level, square = abs(bands[0] - bands[N_BANDS - 1]), 0.8 < part.width / part.height < 1.25
    if extent > 0.93:
        return KINDS.index("rectangle")
    if level < 0.15 and 0.68 < extent < 0.88 and square:
        return KINDS.index("round")
    return KINDS.index("triangle" if level > 0.35 and 0.38 < extent < 0.66 else "other")


def _own(seen: _Seen, holder: Part, holds: float, whole: float) -> list[float]:
    part = seen.part
    r, g, b = part.colour
    high, chroma = max(part.colour), max(part.colour) - min(part.colour)
    size = (seen.extent * part.width * part.height / (holder.width * holder.height)) ** 0.5
    return [
        1.0, holds, whole,
        *_one_of(seen.colour, len(COLOURS)), r, g, b, high, chroma, r - g, g - b,
        seen.extent, float(np.clip(np.log(part.width / part.height), -2, 2)), *seen.bands,
        *_one_of(seen.kind, len(KINDS)),
        part.width / holder.width, part.height / holder.height, size,
        *_one_of(sum(size >= bound for bound in SIZES), len(SIZES) + 1),
    ]  # fmt: skip


def _place(
    seen: _Seen, holder: Part, size: tuple[int, int], number: int | None, beside: Sequence[_Seen]
) -> list[float]:
    """Where a part is in what holds it and in the drawing, which edges it touches, and who else is there."""
    x0, y0, x1, y1 = seen.part.box
    left, top, right, bottom = holder.box
    touches = [float(gap <= 1) for gap in (x0 - left, y0 - top, right - x1, bottom - y1)]
    corner = max(touches[0], touches[2]) * max(touches[1], touches[3])
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    near = [s for s in beside if _gap(seen.part, s.part) <= NEAR]
    column = [s for s in beside if min(x1, s.part.box[2]) - max(x0, s.part.box[0]) > min(x1 - x0, s.part.width) / 2]
    over = max((s for s in column if s.part.box[3] <= y0 + 1), key=lambda s: s.part.box[3], default=None)
    under = min((s for s in column if s.part.box[1] >= y1 - 1), key=lambda s: s.part.box[1], default=None)
    return [
        (middle[0] - left) / holder.width, (middle[1] - top) / holder.height,
        middle[0] / size[0], middle[1] / size[1],
        *touches, max(touches), corner, float(not any(touches)),
        *_one_of(MOST_HOLDERS if number is None else min(number, MOST_HOLDERS), MOST_HOLDERS + 1),
        *_one_of(sum(s.part.box[3] > y1 for s in beside), MOST_IN_ORDER),
        *_one_of(sum(s.part.box[1] < y0 for s in beside), MOST_IN_ORDER),
        *_one_of(len(COLOURS) if over is None else over.colour, len(COLOURS) + 1),
        *_one_of(len(COLOURS) if under is None else under.colour, len(COLOURS) + 1),
        float(bool(near)), float(any(s.colour == seen.colour for s in near)),
        float(over is not None and over in near),
    ]  # fmt: skip


def _content(held: Sequence[_Seen]) -> list[float]:
    """What there is together: how many, of which colour and kind, how many colours, and which lies lowest and highest.

    Counts are told as "at least one, at least two, ..." beside the number.
    """
    by_colour = [sum(s.colour == c for s in held) for c in range(len(COLOURS))]
    by_kind = [sum(s.kind == k for s in held) for k in range(len(KINDS))]
    counts = [x for n in (*by_colour, *by_kind) for x in (n / MOST_OF_A_COLOUR, *_reaches(n, MOST_OF_A_COLOUR))]
    ends = [_one_of(end(held, key=lambda s: s.part.box[3]).colour if held else -1, len(COLOURS)) for end in (max, min)]
    return [
        *_one_of(len(held), MOST_COUNTED + 1), *counts,
        *_one_of(sum(n > 0 for n in by_colour) - 1, MOST_OF_A_COLOUR), *ends[0], *ends[1],
    ]  # fmt: skip


def _reaches(n: int, most: int) -> list[float]:
    return [float(n >= k) for k in range(1, most + 1)]


def _one_of(place: int, n: int) -> list[float]:
    """1 at a place of n, the last of them for what lies beyond; zeros for a negative place."""
    return [float(i == min(place, n - 1)) for i in range(n)]


def _gap(one: Part, other: Part) -> int:
    """Pixels between two boxes, 0 where they touch or overlap."""
    a, b = one.box, other.box
    return max(0, max(a[0], b[0]) - min(a[2], b[2]), max(a[1], b[1]) - min(a[3], b[3]))
