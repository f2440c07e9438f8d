"""Who has the model when: owners in turn, long calls between others, nothing for whoever has gone."""

import threading

import pytest

from serve.emotion.floor import Floor, Gone, Turn


class Calls:
    """Calls in threads of their own, which note each piece of their work and may do it when they are told to."""

    def __init__(self) -> None:
        self.floor, self.done = Floor(), list[str]()
        self.may, self.said = threading.Semaphore(0), threading.Semaphore(0)
        self.threads: list[threading.Thread] = []
        self.gone: list[str] = []

    def begin(self, owner: str, name: str, pieces: int) -> Turn:
        turn = self.floor.turn(owner)

        def work() -> None:
            try:
                with turn:
                    for i in range(pieces):
                        if i:
                            turn.pass_on()
                        self.may.acquire()
                        self.done.append(name)
                        self.said.release()
            except Gone:
                self.gone.append(name)

        thread = threading.Thread(target=work, daemon=True)
        self.threads.append(thread)
        before = self._queued()
        thread.start()
        while not (self._queued() > before or (turn.go.is_set() and self.floor._holder is turn)):
            pass  # it stands in the queue now, or has the turn
        return turn

    def _queued(self) -> int:
        with self.floor._lock:
            return sum(map(len, self.floor._waiting.values()))

    def go_on(self, pieces: int) -> None:
        for _ in range(pieces):
            self.may.release()
            assert self.said.acquire(timeout=60)

    def end(self) -> None:
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()


def test_a_short_call_goes_between_the_pieces_of_a_long_one_and_owners_have_turns() -> None:
    calls = Calls()
    calls.begin("a", "long a", 4)
    for _ in range(2):
        calls.begin("a", "short a", 1)
    calls.begin("b", "short b", 1)
    calls.go_on(7)
    calls.end()
    assert calls.done == [*("long a", "short a", "short b", "short a", "long a", "long a", "long a")], (
        "b waits for one call of a's, however many a has"
    )
    assert calls.floor._holder is None


def test_nothing_more_is_done_for_whoever_has_gone() -> None:
    calls = Calls()
    first, second = calls.begin("a", "first", 3), calls.begin("a", "second", 1)
    third = calls.begin("b", "third", 1)
    third.drop()
    calls.go_on(2)  # a piece of the first, then the second
    first.drop()
    calls.may.release()  # it is in the middle of its second piece, perhaps
    calls.end()
    assert sorted(calls.gone) == ["first", "third"]
    assert calls.done[:2] == ["first", "second"]
    assert "third" not in calls.done
    assert second.owner == "a"
    with pytest.raises(Gone), third:
        pass
    with calls.floor.turn("c"):
        assert not calls.floor._waiting
