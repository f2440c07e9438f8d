"""How much may wait."""

from contextlib import ExitStack

import pytest

from serve.edge.admission import Admission
from serve.edge.limits import Limits
from serve.edge.problems import Refusal


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Place:
    """An admission, and what waits in it; the oldest is answered first."""

    def __init__(self, limits: Limits) -> None:
        self.clock = Clock()
        self.admission = Admission(limits, self.clock)
        self.waiting: list[ExitStack] = []

    def admit(self, n: int) -> None:
        one = ExitStack()
        one.enter_context(self.admission.admit(n))
        self.waiting.append(one)

    def answer(self, seconds: float) -> None:
        self.clock.now += seconds
        self.waiting.pop(0).close()

    def refusal(self, n: int) -> Refusal:
        with pytest.raises(Refusal) as caught:
            self.admit(n)
        assert caught.value.status == 429
        return caught.value


def test_utterances_that_wait_are_counted_and_given_back() -> None:
    place = Place(Limits(waiting_utterances=10))
    place.admit(6)
    place.admit(4)
    assert place.refusal(1).limit == "waiting_utterances"
    place.answer(1)
    place.admit(6)


def test_a_request_alone_is_always_admitted() -> None:
    place = Place(Limits(waiting_utterances=10))
    place.admit(2000)


def test_what_would_wait_too_long_is_refused_and_told_when_to_come_back() -> None:
    place = Place(Limits(waiting_utterances=100_000, waiting_seconds=4))
    for _ in range(30):  # 3,000 utterances wait, and nobody knows how long they take
        place.admit(100)
    for _ in range(10):  # 200 a second
        place.answer(0.5)
    refusal = place.refusal(100)  # behind 2,000 others
    assert refusal.limit == "waiting_seconds"
    assert refusal.headers["Retry-After"] == "10"
    for _ in range(14):
        place.answer(0.5)
    place.admit(100)


def test_the_same_backlog_is_admitted_where_the_models_are_quick() -> None:
    place = Place(Limits(waiting_utterances=100_000, waiting_seconds=4))
    for _ in range(30):
        place.admit(100)
    for _ in range(10):
        place.answer(0.02)  # 5,000 a second
    for _ in range(100):
        place.admit(100)


@pytest.mark.parametrize("n", [15, 100], ids=["chats", "hundreds"])
def test_answers_that_come_in_batches_are_not_thought_slow(n: int) -> None:
    place = Place(Limits(waiting_seconds=4))
    for _ in range(20):  # 400 a second, in batches of two seconds each, and whoever was answered asks again
        while len(place.waiting) * n < 800:
            place.admit(n)
        place.answer(2)
        for _ in range(800 // n - 1):
            place.answer(0)
    while len(place.waiting) * n < 1400:
        place.admit(n)
    assert place.refusal(400).limit == "waiting_seconds"


def test_what_comes_while_a_batch_is_handed_out_does_not_make_it_look_slow() -> None:
    place = Place(Limits(waiting_seconds=4))
    for _ in range(40):  # 20 requests of 30
        place.admit(30)
        if len(place.waiting) == 20:
            break
    for _ in range(10):  # 300 a second: 600 at once every two seconds, and each who is answered asks again at once
        place.answer(2)
        place.admit(30)
        for _ in range(19):
            place.answer(0)
            place.admit(30)
    place.admit(100)


def test_a_service_that_has_little_to_do_is_not_thought_slow() -> None:
    place = Place(Limits(waiting_seconds=1))
    for _ in range(20):  # one message at a time, each after a long silence
        place.admit(1)
        place.answer(5)
    for _ in range(20):
        place.admit(100)
