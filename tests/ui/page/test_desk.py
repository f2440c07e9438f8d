"""Acts of a visitor, and looks that repeat beside them."""

from dataclasses import dataclass, replace

from ui.page.desk import OnDesk, acted, looked


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


def test_of_two_acts_side_by_side_none_stops_the_looks_for_good() -> None:
    state = Counted()
    inner: list[Counted] = []

    def act(s: Counted) -> Counted:
        inner.append(acted(s, lambda s: by(1, s)))
        return by(2, s)

    last = acted(state, act)
    assert looked(last, lambda s: by(10, s)) is not None
