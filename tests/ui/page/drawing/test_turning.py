from tests.ui.fake import predict
from ui.messages import ShownMessage
from ui.page.drawing.turning import turning_points

GLAD, SAD, PLAIN = "wonderful!", "terrible!", "ok"


def said(*texts: str) -> list[ShownMessage]:
    return [ShownMessage(n=n, speaker="Ann", text=text, prediction=predict(text)) for n, text in enumerate(texts)]


def test_a_conversation_turns_where_its_mood_changes_and_stays_changed() -> None:
    found = turning_points(said(*[GLAD] * 5, *[SAD] * 5))
    assert [(t.message.n, t.change < 0) for t in found] == [(5, True)]


def test_one_message_out_of_tune_is_no_turn() -> None:
    assert turning_points(said(*[PLAIN] * 6, SAD, *[PLAIN] * 6)) == []


def test_turns_are_in_order_and_apart() -> None:
    found = turning_points(said(*[GLAD] * 6, *[SAD] * 6, *[GLAD] * 6))
    assert [t.message.n for t in found] == [6, 12]
    assert [t.change > 0 for t in found] == [False, True]


def test_a_short_or_unlabelled_conversation_has_none() -> None:
    assert turning_points(said(GLAD, SAD)) == []
    assert turning_points([ShownMessage(n=n, speaker="Ann", text="x") for n in range(20)]) == []
