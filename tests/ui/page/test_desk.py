"""Acts of a visitor, and looks that repeat beside them."""

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, replace

from ui.page.desk import Desk, OnDesk, acted, looked


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted(OnDesk):
    n: int = 0


def by(n: int, state: Counted) -> Counted:
    return replace(state, n=state.n + n)


def test_a_look_is_kept_where_nothing_was_done_meanwhile() -> None:
    state = acted(Counted(), lambda s: by(1, s))
    seen = looked(state, lambda s: by(10, s))
    assert seen is not None
    assert seen.n == 11
    assert acted(seen, lambda s: by(100, s)).n == 111


def test_a_look_that_an_act_overtakes_is_left_out() -> None:
    state = Counted()
    assert looked(state, lambda s: (acted(s, lambda s: by(1, s)), s)[1]) is None
    assert looked(state, lambda s: by(10, s)) is None, "it set out from what is old by now"


def test_a_look_that_begins_during_an_act_is_left_out_and_the_next_is_not() -> None:
    state = Counted()
    seen: list[Counted | None] = []

    def act(s: Counted) -> Counted:
        seen.append(looked(s, lambda s: by(10, s)))
        return Counted(n=5)  # a state of its own, which knows no desk

    after = acted(state, act)
    assert seen == [None]
    assert looked(after, lambda s: by(10, s)) == replace(after, n=15)


def test_acts_side_by_side_are_done_one_after_the_other_and_none_is_lost() -> None:
    state = deepcopy(Counted())
    with ThreadPoolExecutor(8) as pool:
        shown = list(pool.map(lambda n: acted(state, lambda s: by(n, s)), range(1, 51)))
    last = max(shown, key=lambda s: s.n)
    assert last.n == sum(range(1, 51))
    assert looked(last, lambda s: by(10, s)) is not None


def test_each_visitor_has_a_desk_of_his_own() -> None:
    first = Counted()
    one, other = deepcopy(first), deepcopy(first)
    acted(one, lambda s: by(1, s))
    assert acted(other, lambda s: by(2, s)).n == 2


def test_what_an_act_has_to_show_ends_where_another_begins() -> None:
    desk = Desk()
    first = desk.until_the_next(iter("abc"))
    assert next(first) == "a"
    assert list(desk.until_the_next(iter("xyz"))) == ["x", "y", "z"]
    assert list(first) == []
    cancelled = desk.until_the_next(iter("abc"))
    assert next(cancelled) == "a"
    desk.begin()
    assert list(cancelled) == []
