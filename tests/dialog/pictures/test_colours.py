import pytest
import torch

from dialog.pictures.colours import COLOURS, shares, within


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
