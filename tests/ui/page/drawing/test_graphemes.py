import pytest

from ui.page.drawing.graphemes import beginning, initial, shortened

FAMILY, FLAG = "👨‍👩‍👧", "🇩🇪"


@pytest.mark.parametrize(("text", "sign"), [(f"{FAMILY} Cleo", FAMILY), (f" {FLAG}", FLAG), ("ann", "A"), ("", "")])
def test_a_family_and_a_flag_are_one_sign(text: str, sign: str) -> None:
    assert initial(text) == sign


def test_a_text_is_cut_between_signs() -> None:
    assert beginning(FAMILY + FLAG + "x", 2) == FAMILY + FLAG
    assert shortened(FAMILY * 3, 2) == f"{FAMILY}…"
    assert shortened(FAMILY * 3, 3) == FAMILY * 3
