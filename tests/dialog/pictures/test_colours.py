import pytest
import torch

from dialog.pictures.colours import COLOURS, apart, shares, within


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"), ((255, 255, 255), "white"), ((128, 128, 128), "gray"), ((200, 20, 20), "red"),
        ((250, 130, 20), "orange"), ((240, 220, 40), "yellow"), ((30, 140, 40), "green"), ((40, 80, 200), "blue"),
        ((120, 40, 180), "purple"), ((250, 150, 180), "pink"), ((110, 70, 40), "brown"),
    ],
)  # fmt: skip
def test_a_colour_goes_by_the_name_people_give_it(rgb: tuple[int, int, int], name: str) -> None:
    pixels = torch.tensor(rgb, dtype=torch.uint8)[:, None].expand(3, 50)
    found = shares(pixels)
    assert COLOURS[int(found.argmax())] == name
    assert found.sum() == pytest.approx(1)


def test_only_what_is_inside_the_box_is_measured() -> None:
    small = torch.zeros(3, 20, 20, dtype=torch.uint8)
    small[0, 10:, 10:] = 255
    inside = shares(within(small, (0.5, 0.5, 1.0, 1.0)))
    assert COLOURS[int(inside.argmax())] == "red"
    assert COLOURS[int(shares(within(small, (0.0, 0.0, 0.4, 0.4))).argmax())] == "black"
    assert within(small, (0.99, 0.99, 1.0, 1.0)).shape[1] >= 1


def test_of_a_thing_on_paper_the_paper_is_not_measured_and_of_a_scene_all_is() -> None:
    small = torch.full((3, 20, 20), 255, dtype=torch.uint8)
    small[1:, 8:12, 6:14] = 0  # a red thing
    pixels = within(small, (0.2, 0.2, 0.8, 0.8))
    assert COLOURS[int(shares(pixels).argmax())] == "white"
    assert COLOURS[int(shares(apart(pixels, small)).argmax())] == "red"
    small[:, 10:] //= 2  # a ground of two colours: a scene
    pixels = within(small, (0.2, 0.2, 0.8, 0.8))
    assert torch.equal(apart(pixels, small), pixels)
