"""A drawing of few flat colours as its parts: the connected patches of one colour, and which of them lies in which.

A network that has seen photographs sees little of a chart or of a page of coloured shapes, and what is in one needs no
network to be found: two pixels belong together if they are neighbours of one colour.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[Any]

LONGEST = 400
"""Pixels of the longer side of what is taken apart; larger pictures are made smaller."""
ALIKE = 12
"""Of 256: colours that differ by no more in any channel are one."""
MOST_COLOURS = 12
MOST_CODES = 64
"""Colours of five bits a channel that hold COVERED of a drawing; a photograph needs more."""
COVERED = 0.9
"""The share of the pixels that must be of those colours; the others are on edges, between two."""
LEAST_AREA = 0.0003
"""Of the picture, the smallest part there is; and never below LEAST_PIXELS."""
LEAST_PIXELS = 8
LEAST_PARTS = 4
"""A shape or two on a ground are seen well as they are: what parts are for is several things and where they lie."""
MOST_PARTS = 64
"""A page of text, a map or a photograph has more, and is no such drawing."""
NEAR = 2
"""Pixels between what is said to touch."""
_NEIGHBOURS = ((0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2))


class Part(NamedTuple):
    """One patch: its colour as red, green, blue from 0 to 1; its box x0, y0, x1, y1 in pixels; its pixels in the box;
    and the place in the list of the part it lies in, None of what lies in none."""

    colour: tuple[float, float, float]
    box: tuple[int, int, int, int]
    mask: Pixels  # (y1 - y0, x1 - x0) bool
    within: int | None

    @property
    def width(self) -> int:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]


class Drawing(NamedTuple):
    """A drawing's size in pixels, as it was taken apart, and its parts, the largest box first."""

    size: tuple[int, int]
    parts: tuple[Part, ...]


def taken_apart(picture: "Image") -> Drawing | None:
    """The parts of a drawing; None of anything else: a photograph, a page of text, a picture of one colour."""
    small = picture.convert("RGB")
    if max(small.size) > LONGEST:
        scale = LONGEST / max(small.size)
        width, height = (max(1, round(side * scale)) for side in small.size)
        small = small.resize((width, height), resample=4, reducing_gap=3.0)  # 4: box
    pixels = np.asarray(small, dtype=np.int16)
    palette = _palette(pixels)
    labels = None if palette is None else _labelled(pixels, palette)
    if palette is None or labels is None:
        return None
    places, found = _patches(labels, len(palette))
    if not LEAST_PARTS <= len(found) <= MOST_PARTS:
        return None
    boxes = [box for box, _ in found]
    around = [_around(places, i, box, mask) for i, (box, mask) in enumerate(found)]
    parts = []
    for i, (box, mask) in enumerate(found):
        colour = palette[labels[box[1] : box[3], box[0] : box[2]][mask][0]] / 255
        holder = around[i] if around[i] is not None and _holds(boxes[around[i] or 0], box) else None
        parts.append(Part((float(colour[0]), float(colour[1]), float(colour[2])), box, mask, holder))
    return Drawing((pixels.shape[1], pixels.shape[0]), tuple(parts))


def _palette(pixels: Pixels) -> Pixels | None:
    """The flat colours (C, 3) of a picture (H, W, 3), the commonest first; None where they are not nearly all of it."""
    codes = (pixels[..., 0] >> 3 << 10) | (pixels[..., 1] >> 3 << 5) | (pixels[..., 2] >> 3)
    # Of a photograph this is seen at once: its pixels are of thousands of colours.
    counts = np.bincount(codes.ravel(), minlength=1 << 15)
    if np.partition(counts, -MOST_CODES)[-MOST_CODES:].sum() < COVERED * codes.size:
        return None
    flat = np.ones(codes.shape, dtype=bool)
    for axis in (0, 1):
        step = _most(np.diff(pixels, axis=axis)) <= ALIKE // 2
        pad = [(0, 1), (0, 0)] if axis == 0 else [(0, 0), (0, 1)]
        flat &= np.pad(step, pad, constant_values=True) & np.pad(step, [p[::-1] for p in pad], constant_values=True)
    members, codes = pixels[flat], codes[flat]
    least = max(LEAST_PIXELS // 2, round(LEAST_AREA / 2 * flat.size))
    colours = list[Pixels]()
    while len(colours) < MOST_COLOURS and len(codes):
        counts = np.bincount(codes)
        if counts.max() < least:
            break
        colours.append(np.median(members[codes == counts.argmax()], axis=0).astype(np.int16))
        far = _most(members - colours[-1]) > ALIKE
        members, codes = members[far], codes[far]
    return np.array(colours) if colours else None


def _labelled(pixels: Pixels, palette: Pixels) -> Pixels | None:
    """The colour's place of every pixel (H, W); None where too many are of no colour of the palette.

    A pixel between two colours goes to the nearer of its neighbours'.
    """
    labels = np.full(pixels.shape[:2], -1)
    for i, colour in reversed(list(enumerate(palette))):
        labels[_most(pixels - colour) <= ALIKE] = i
    if (labels >= 0).mean() < COVERED:
        return None
    labels = np.pad(labels, 1, constant_values=-1)
    rows, columns = np.nonzero(labels[1:-1, 1:-1] < 0)
    while len(rows):
        # (8, N): what the neighbours are, those above, below and beside first.
        beside = np.stack([labels[rows + dy, columns + dx] for dy, dx in _NEIGHBOURS])
        far = np.abs(pixels[rows, columns] - palette[beside]).sum(-1)
        far = np.where(beside < 0, np.iinfo(far.dtype).max, far)
        found = beside[far.argmin(0), np.arange(len(rows))]
        labels[rows + 1, columns + 1] = found
        rows, columns = rows[found < 0], columns[found < 0]
    return labels[1:-1, 1:-1]


def _most(difference: Pixels) -> Pixels:
    """The largest absolute difference of the three channels, (..., 3) to (...,)."""
    red, green, blue = np.abs(np.moveaxis(difference, -1, 0))
    most: Pixels = np.maximum(np.maximum(red, green), blue)
    return most


def _patches(labels: Pixels, n_colours: int) -> tuple[Pixels, list[tuple[tuple[int, int, int, int], Pixels]]]:
    """Boxes and masks of the connected patches that are large enough, the largest box first; and of every pixel (H, W)
    the place of its patch in that list, or -1."""
    least = max(LEAST_PIXELS, round(LEAST_AREA * labels.size))
    found = []
    for colour in range(n_colours):
        marked, _ = ndimage.label(labels == colour)
        sizes = np.bincount(marked.ravel())
        for number, window in enumerate(ndimage.find_objects(marked), 1):
            if sizes[number] >= least:
                rows, columns = window
                mask = marked[window] == number
                found.append(((columns.start, rows.start, columns.stop, rows.stop), mask))
    found.sort(key=lambda one: (-(one[0][2] - one[0][0]) * (one[0][3] - one[0][1]), one[0]))
    places = np.full(labels.shape, -1)
    for i, ((x0, y0, x1, y1), mask) in enumerate(found[: MOST_PARTS + 1]):
        places[y0:y1, x0:x1][mask] = i
    return places, found


def _around(places: Pixels, own: int, box: tuple[int, int, int, int], mask: Pixels) -> int | None:
    """The part that most of a part's rim, two pixels wide, is of."""
    x0, y0, x1, y1 = box
    rim = np.pad(mask, NEAR)
    rim = ndimage.binary_dilation(rim, iterations=NEAR) & ~rim
    top, left = max(0, y0 - NEAR), max(0, x0 - NEAR)
    there = places[top : y1 + NEAR, left : x1 + NEAR]
    rim = rim[top - y0 + NEAR :, left - x0 + NEAR :][: there.shape[0], : there.shape[1]]
    beside = there[rim]
    beside = beside[(beside >= 0) & (beside != own)]
    return int(np.bincount(beside).argmax()) if len(beside) else None


def _holds(outer: Sequence[int], inner: Sequence[int]) -> bool:
    """Whether a box lies in another, larger one."""
    inside = all(a <= b for a, b in zip(outer[:2], inner[:2], strict=True))
    inside = inside and all(a >= b for a, b in zip(outer[2:], inner[2:], strict=True))
    return inside and tuple(outer) != tuple(inner)
