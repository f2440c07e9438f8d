"""Drawings taken apart: which parts there are, what lies in what, what is said of each; and what is no such drawing."""

import io
import random

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from dialog.pictures.colours import COLOURS
from dialog.pictures.drawing import MOST_PARTS, Drawing, Part, taken_apart
from dialog.pictures.parts import _N_OWN, _N_PLACE, D_PART, KINDS, _seen, described, with_parts
from dialog.reading.seeing import PictureRegions


def told(part: Part) -> tuple[str, str]:
    seen = _seen(part)
    return COLOURS[seen.colour], KINDS[seen.kind]


def shapes(drawing: Drawing) -> list[tuple[str, str]]:
    """Colour and kind of what lies in something."""
    return sorted(told(p) for p in drawing.parts if p.within is not None)


def three_boxes() -> Image.Image:
    """A disc on the left edge of the first, two squares a pixel apart in the second, a triangle in the third."""
    picture = Image.new("RGB", (400, 100), (128, 128, 128))
    draw = ImageDraw.Draw(picture)
    for x in (0, 150, 300):
        draw.rectangle((x, 0, x + 99, 99), fill=(211, 211, 211))
    draw.ellipse((0, 30, 30, 60), fill=(255, 255, 0))
    draw.rectangle((190, 80, 209, 99), fill=(0, 0, 0))
    draw.rectangle((190, 59, 209, 78), fill=(0, 153, 255))
    draw.polygon([(340, 70), (355, 40), (370, 70)], fill=(0, 0, 0))
    return picture


def test_shapes_are_found_with_their_colours_and_what_they_lie_in() -> None:
    drawing = taken_apart(three_boxes())
    assert drawing is not None
    assert shapes(drawing) == [
        ("black", "rectangle"), ("black", "triangle"), ("blue", "rectangle"), ("yellow", "round"),
    ]  # fmt: skip
    holders = [drawing.parts[p.within].box[0] for p in drawing.parts if p.within is not None]
    assert sorted(holders) == [0, 150, 150, 300]


@pytest.mark.parametrize("seed", range(6))
def test_scattered_shapes_are_counted_whatever_file_they_come_in(seed: int) -> None:
    rng = random.Random(seed)
    picture = Image.new("RGB", (240, 200), "white")
    draw, expected = ImageDraw.Draw(picture), []
    for cell in rng.sample(range(20), 9):
        x, y = cell % 5 * 48 + rng.randint(2, 8), cell // 5 * 50 + rng.randint(2, 8)
        colour, kind, size = rng.choice(("red", "blue", "black")), rng.choice(KINDS[:3]), rng.choice((24, 36))
        box = (x, y, x + size, y + size)
        if kind == "triangle":
            draw.polygon([(x, y + size), (x + size / 2, y), (x + size, y + size)], fill=colour)
        else:
            (draw.ellipse if kind == "round" else draw.rectangle)(box, fill=colour)
        expected.append((colour, kind))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    for copy in (picture, picture.resize((720, 600)), Image.open(file)):
        drawing = taken_apart(copy)
        assert drawing is not None
        assert shapes(drawing) == sorted(expected)


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8))


def page() -> Image.Image:
    picture = Image.new("L", (400, 400), "white")
    draw = ImageDraw.Draw(picture)
    for y in range(10, 390, 14):
        draw.text((10, y), "the quick brown fox jumps over the lazy dog " * 2, fill="black")
    return picture


@pytest.mark.parametrize(
    "other",
    [noise(64), Image.linear_gradient("L"), Image.new("RGB", (50, 50), "red"), Image.new("RGB", (1, 1)), page()],
    ids=["noise", "gradient", "one colour", "one pixel", "page of text"],
)
def test_what_is_no_drawing_of_a_few_parts_stays_whole(other: Image.Image) -> None:
    assert taken_apart(other) is None


def test_a_drawing_of_too_many_parts_stays_whole() -> None:
    picture = Image.new("RGB", (300, 300), "white")
    draw = ImageDraw.Draw(picture)
    for i in range(MOST_PARTS + 6):
        draw.rectangle((i % 10 * 30 + 2, i // 10 * 30 + 2, i % 10 * 30 + 20, i // 10 * 30 + 20), fill="blue")
    assert taken_apart(picture) is None


def test_a_part_says_which_edge_it_touches_and_what_stands_on_it() -> None:
    drawing = taken_apart(three_boxes())
    assert drawing is not None
    vectors, boxes = described(drawing)
    assert vectors.shape == (len(drawing.parts) + 1, D_PART)
    assert boxes[0].tolist() == [0, 0, 1, 1]
    rows = {told(p): v for p, v in zip(drawing.parts, vectors[1:], strict=True) if p.within is not None}
    disc, base, top = (rows[k] for k in (("yellow", "round"), ("black", "rectangle"), ("blue", "rectangle")))
    edges = slice(_N_OWN + 4, _N_OWN + 8)  # left, top, right, bottom
    assert disc[edges].tolist() == [1, 0, 0, 0]
    assert base[edges].tolist() == [0, 0, 0, 1]
    assert top[edges].tolist() == [0, 0, 0, 0]
    # The two squares differ in order and in what is over and under them, not in what they are together.
    content = slice(_N_OWN + _N_PLACE, None)
    assert base[content].tolist() == top[content].tolist()
    assert base.tolist() != top.tolist()


def test_a_photograph_has_no_parts_and_a_drawing_keeps_its_regions() -> None:
    regions = PictureRegions(torch.zeros(4, 3), torch.zeros(4, 4), None)
    assert with_parts(regions, taken_apart(noise(40))) == regions
    drawn = with_parts(regions, taken_apart(three_boxes()))
    assert drawn.vectors is regions.vectors
    assert drawn.parts is not None
    assert drawn.part_boxes is not None
    assert len(drawn.parts) == len(drawn.part_boxes)
