"""Drawings as scenes, and what is said of them counted out: against scenes that are known and statements about them."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from dialog.corpora.derived.scene_statements import scene_statements
from dialog.pictures.answers import UNSURE
from dialog.pictures.deciding import decide
from dialog.pictures.drawing import taken_apart
from dialog.pictures.scene import Group, Item, Scene, read_scene
from dialog.pictures.scene_answers import scene_answer
from dialog.pictures.scene_cursor import NotRead
from dialog.pictures.scene_grammar import read_saying, read_things
from dialog.pictures.scene_words import words_of

FILLS = {"Yellow": (255, 255, 0), "Black": (0, 0, 0), "#0099ff": (0, 153, 255)}


def drawn(boxes: Sequence[Sequence[dict[str, Any]]]) -> Image.Image:
    """NLVR's way of drawing: three boxes side by side, what is in them at its place."""
    picture = Image.new("RGB", (400, 100), (128, 128, 128))
    draw = ImageDraw.Draw(picture)
    for number, box in enumerate(boxes):
        left = 150 * number
        draw.rectangle((left, 0, left + 99, 99), fill=(211, 211, 211))
        for o in box:
            x, y, side = left + o["x_loc"], o["y_loc"], o["size"] - 1
            fill = FILLS[o["color"]]
            if o["type"] == "triangle":
                draw.polygon([(x, y + side), (x + side / 2, y), (x + side, y + side)], fill=fill)
            else:
                (draw.ellipse if o["type"] == "circle" else draw.rectangle)((x, y, x + side, y + side), fill=fill)
    return picture


def scattered(rng: random.Random) -> list[list[dict[str, Any]]]:
    """Items that do not touch each other, in three boxes, some of them on a wall."""
    boxes = []
    for _ in range(3):
        cells = rng.sample(range(9), rng.randint(1, 6))
        boxes.append([
            {"x_loc": 35 * (c % 3), "y_loc": 35 * (c // 3), "size": rng.choice((10, 20, 30)),
             "type": rng.choice(("circle", "square", "triangle")), "color": rng.choice(list(FILLS))}
            for c in cells
        ])  # fmt: skip
    return boxes


def towers(rng: random.Random) -> list[list[dict[str, Any]]]:
    return [
        [{"x_loc": 40, "y_loc": 80 - 21 * i, "size": 20, "type": "square", "color": rng.choice(list(FILLS))}
         for i in range(rng.randint(1, 4))]
        for _ in range(3)
    ]  # fmt: skip


def scene_of(picture: Image.Image) -> Scene:
    drawing = taken_apart(picture)
    assert drawing is not None
    return read_scene(drawing)


def said(scene: Scene, question: str) -> str | None:
    reply = scene_answer(scene, question)
    return None if reply is None else reply.answers[0][0]


@pytest.mark.parametrize("make", [scattered, towers])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_counted_out_is_what_the_scene_was_drawn_of(make: Any, seed: int) -> None:
    rng = random.Random(seed)
    boxes = make(rng)
    scene = scene_of(drawn(boxes))
    assert [len(g.items) for g in scene.groups] == [len(box) for box in boxes]
    assert all(g.tower for g in scene.groups) or make is scattered
    made = scene_statements(boxes, rng, 60)
    assert {m.question: said(scene, m.question) for m in made} == {m.question: m.answer for m in made}


@pytest.fixture(scope="module")
def shapes() -> Scene:
    """Two red circles, a blue square with a black outline, a green ring; on white."""
    picture = Image.new("RGB", (500, 300), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((20, 20, 80, 80), fill="red")
    draw.ellipse((120, 20, 160, 60), fill="red")
    draw.rectangle((200, 100, 260, 160), fill="blue", outline="black", width=3)
    draw.ellipse((320, 180, 400, 260), fill="white", outline="green", width=8)
    return scene_of(picture)


@pytest.mark.parametrize(("question", "answer"), [
    ("How many circles are there?", "3"), ("how many red circles are in the picture?", "2"),
    ("what colour is the square?", "blue"), ("What shape is the blue thing?", "square"),
    ("Is there a green circle?", "yes"), ("is there a green square", "no"), ("Are all circles red?", "no"),
    ("Is the blue square above the green circle?", "yes"), ("There are exactly two red circles.", "yes"),
    ("there are at least three red circles", "no"), ("there is a small red circle", "yes"),
    ("is there a red circle to the left of the blue square?", "yes"), ("how many colours are there?", "3"),
    ("is there anything yellow?", "no"), ("Is there something blue", "yes"), ("Is there a dog?", None), ("why?", None),
    ("", None),    ("Gibt es einen Kreis?", None), ("there is a circle that", None), ("🙂 🔵", None),
    ("what is in the picture?", "two red circles, a green circle and a blue square"),
    ("what is the biggest shape?", "circle"), ("what colour is the biggest circle?", "green"),
    ("is the smallest circle red?", "yes"), ("which shape is the rightmost?", "circle"),
    ("is the square the biggest shape?", "no"), ("what shape is the lowest?", "circle"),
    ("how many dots are there?", "3"), ("how many rectangles are there?", "1"),
])  # fmt: skip
def test_questions_about_shapes(shapes: Scene, question: str, answer: str | None) -> None:
    assert said(shapes, question) == answer


@pytest.mark.parametrize("colour", ["purple", "brown", "pink", "red", "darkred", "orange", "gray"])
def test_paint_goes_by_its_everyday_name(colour: str) -> None:
    picture = Image.new("RGB", (200, 100), "white")
    for x in (10, 55, 100, 145):
        ImageDraw.Draw(picture).rectangle((x, 30, x + 30, 60), fill=colour)
    assert {i.colour for i in scene_of(picture).items} == {colour.removeprefix("dark")}


@pytest.mark.parametrize(("before", "question", "answer"), [
    (("how many red circles are there?", "2"), "what colour are they?", "red"),
    (("is there a square?", "yes"), "what colour is it?", "blue"),
    (("what is the biggest shape?", "circle"), "is it green?", "yes"),
    (("what colour is the biggest circle?", "green"), "is it red?", "no"),
    (("how many circles are there?", "3"), "how many of them are red?", "2"),
    (("is there a dog?", "no"), "what colour is it?", None),
])  # fmt: skip
def test_a_pronoun_means_what_was_spoken_of_last(
    shapes: Scene, before: tuple[str, str], question: str, answer: str | None
) -> None:
    reply = scene_answer(shapes, question, [("is it a drawing?", "yes"), before])
    assert (reply.answers[0][0] if reply else None) == answer


@pytest.mark.parametrize("question", ["how many bars are there?", "is there a bar?"])
def test_that_nothing_of_a_loose_name_is_there_is_not_sure(shapes: Scene, question: str) -> None:
    reply = scene_answer(shapes, question)
    assert reply is not None
    assert reply.answers[0][0] in ("0", "no")
    assert reply.answers[0][1] < 0.7
    decided = decide(question, (), {"2": 1.0}, None, None, lambda _: 0.0, shapes)
    assert decided.why == UNSURE


def test_what_was_counted_is_shown(shapes: Scene) -> None:
    reply = scene_answer(shapes, "how many red circles are there?")
    assert reply is not None
    assert [thing.label for thing in reply.things] == ["red circle", "red circle"]
    assert all(0 <= a < b <= 1 for thing in reply.things for a, b in (thing.box[::2], thing.box[1::2]))


@pytest.mark.parametrize(("statement", "true"), [
    ("There is a tower with a yellow block over a blue block", True),
    ("There is a tower with a blue block over a yellow block", False),
    ("ll towers contain atleast one black block", False), ("There are exactly two towers with the same height", True),
    ("There is 1 tower with a black block at the base", True), ("there is a tower with exactly two blocks", True),
    ("The top of the three blocks tower is yellow.", True), ("There is ablue block on a black block.", True),
    ("there is exactly one towr with a blakc block at the botom", True), ("There is a black tower.", False),
    ("There is a tower with a yellow block, a blue block and a black block.", True),
    ("there is only one tower where the second block is yellow", True),
    ("There is a tower with three blocks of all 3 different colors", True),
    ("One of the towers has exactly three blocks one of which is black", True),
])  # fmt: skip
def test_statements_about_towers(statement: str, true: bool) -> None:
    colours = [["Black", "#0099ff", "Yellow"], ["#0099ff", "Yellow"], ["#0099ff", "#0099ff"]]
    boxes = [
        [{"x_loc": 40, "y_loc": 80 - 21 * i, "size": 20, "type": "square", "color": c} for i, c in enumerate(tower)]
        for tower in colours
    ]
    assert read_saying(statement)(scene_of(drawn(boxes))) == true


def test_a_saying_understood_by_half_is_not_read() -> None:
    for saying in (
        "there is a circle with a hat",
        "is there a red circle and why",
        "there is a circle touching",
        "the",
    ):
        with pytest.raises(NotRead):
            read_saying(saying)
    with pytest.raises(NotRead):
        read_things("how many dogs are there?")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(words_of("there is a not two of the exactly with blue circle box tower touching edge "
                                         "on top base and which each all at least one colour same only how many")),
                max_size=12))  # fmt: skip
def test_any_row_of_known_words_is_read_or_refused(shapes: Scene, words: list[str]) -> None:
    assert said(shapes, " ".join(words)) in {"yes", "no", None, *map(str, range(20)), "red", "blue", "circle"}


def test_a_scene_travels_as_a_list(shapes: Scene) -> None:
    assert Scene.of_list(shapes.to_list()) == shapes
    with pytest.raises((TypeError, ValueError)):
        Scene.of_list([1, 2])


def test_what_lies_in_nothing_is_no_scene() -> None:
    assert scene_answer(Scene((10, 10), (Group(()),)), "how many circles are there?") is None
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert taken_apart(Image.fromarray(noise)) is None


def test_neighbours_are_told_apart() -> None:
    low = Item("red", "square", "big", (0, 10, 10, 20), frozenset({"bottom"}), 0)
    high = Item("blue", "square", "big", (2, 0, 12, 9), frozenset(), 0)
    assert high.over(low)
    assert high.on(low)
    assert not low.over(high)
    assert not high.corner
