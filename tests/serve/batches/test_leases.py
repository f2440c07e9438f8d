"""Who may do what of a batch: the states of leases, whose turn it is, and workers that come, share and are killed."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Engine, delete, select, update

from serve.batches import parts
from serve.batches import table as batch_table
from serve.batches.parts import NotMine, StoredPart
from serve.batches.turns import Waiting, in_turn
from serve.database import leases
from serve.database.engine import engine_of, file_url
from serve.database.keeper import Keeper
from serve.database.schema import bring_up
from serve.database.tables import batch_parts, batches
from serve.storage import Storage

SECONDS = 10.0
OWNERS = ("ann", "bo")


def added(engine: Engine, owner: str) -> batch_table.StoredBatch:
    """A batch of that owner, begun by nobody."""
    one = batch_table.new("a.txt", "auto", "jsonl", "m", False, 1, owner=owner)
    with engine.begin() as db:
        batch_table.add(db, one, 99)
        found = batch_table.get(db, one.id)
    assert found is not None
    return found


class Leases(RuleBasedStateMachine):
    """Three workers and two batches of two owners, against what each of them may believe."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.clock = pytest.MonkeyPatch()
        self.clock.setattr(leases, "clock", lambda _: self.now)
        self.mine: dict[int, tuple[str, float]] = {}
        """Of each part that is leased: whose it is and until when."""
        self.believed: list[tuple[str, StoredPart]] = []
        """What a worker was given once, and may come back with however late."""
        self.lost: dict[int, int] = {}
        self.ended: dict[int, str] = {}

    @initialize(sizes=st.tuples(st.integers(0, 4), st.integers(0, 4)))
    def begin(self, sizes: tuple[int, int]) -> None:
        with self.engine.begin() as db:
            db.execute(delete(batches))
        self.owner: dict[int, str] = {}
        self.turns = dict.fromkeys(OWNERS, 0)
        for owner, size in zip(OWNERS, sizes, strict=True):
            batch = added(self.engine, owner)
            with self.engine.begin() as db:
                db.execute(update(batches).where(batches.c.id == batch.id).values(state="running", holder="lead"))
                parts.put(db, batch, "lead", [f"{owner}{i}" for i in range(size)])
                found = db.execute(select(batch_parts.c.number).where(batch_parts.c.batch == batch.id)).scalars()
                self.owner |= dict.fromkeys(found, owner)

    @rule(seconds=st.sampled_from([1.0, SECONDS / 2, SECONDS, SECONDS + 0.5]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(worker=st.sampled_from("xyz"))
    def a_part_is_asked_for(self, worker: str) -> None:
        free = [
            Waiting(n, owner)
            for n, owner in self.owner.items()
            if n not in self.ended and (n not in self.mine or self.mine[n][1] < self.now)
        ]
        with self.engine.begin() as db:
            found = parts.lease(db, worker, SECONDS)
        if not free:
            assert found is None
            return
        assert found is not None
        assert found.number == in_turn(free, self.turns)[0]
        self.lost[found.number] = self.lost.get(found.number, 0) + (found.number in self.mine)
        assert found.lost == self.lost[found.number]
        self.turns[self.owner[found.number]] = max(self.turns.values()) + 1
        self.mine[found.number] = (worker, self.now + SECONDS)
        self.believed.append((worker, found))

    @rule(worker=st.sampled_from("xyz"))
    def a_worker_renews_what_it_believes_to_have(self, worker: str) -> None:
        numbers = {part.number for who, part in self.believed if who == worker}
        with self.engine.begin() as db:
            kept = leases.renew(db, batch_parts, numbers, worker, self.now, SECONDS)
        assert kept == {n for n, (who, _) in self.mine.items() if who == worker}
        self.mine |= dict.fromkeys(kept, (worker, self.now + SECONDS))

    @rule(which=st.integers(0, 99), state=st.sampled_from(["open", "done", "failed", "broken"]))
    def somebody_comes_back_with_a_part(self, which: int, state: parts.State) -> None:
        if not self.believed:
            return
        worker, part = self.believed[which % len(self.believed)]
        with self.engine.begin() as db:
            taken = parts.finish(db, part, worker, state)
        assert taken == (self.mine.get(part.number, ("", 0.0))[0] == worker)
        if taken:
            del self.mine[part.number]
            if state != "open":
                self.ended[part.number] = state

    @invariant()
    def what_has_ended_stays_so_and_nothing_is_gone(self) -> None:
        with self.engine.connect() as db:
            found = {row.number: row.state for row in db.execute(select(batch_parts))}
            db.rollback()
        assert found == {n: self.ended.get(n, "open") for n in getattr(self, "owner", found)}

    def teardown(self) -> None:
        self.clock.undo()


def tried(engine: Engine, examples: int = 25) -> None:
    """The machine on an empty database."""
    bring_up(engine, "test")
    Leases.engine = engine
    case = Leases.TestCase
    case.settings = settings(max_examples=examples, stateful_step_count=30, deadline=None)
    try:
        case("runTest").runTest()
    finally:
        engine.dispose()


def test_a_part_is_one_worker_s_at_a_time_and_ends_once(tmp_path: Path) -> None:
    tried(engine_of(file_url(tmp_path / "a.sqlite"), patience=5, writes=True))


@given(
    waiting=st.lists(st.sampled_from("abc"), max_size=12),
    last=st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_owners_are_served_in_turn(waiting: Sequence[str], last: dict[str, int]) -> None:
    numbered = [Waiting(n, owner) for n, owner in enumerate(waiting)]
    order = in_turn(numbered, last)
    assert sorted(order) == list(range(len(waiting)))
    for owner in set(waiting):
        of_owner = [n for n in order if waiting[n] == owner]
        assert of_owner == sorted(of_owner)  # each one's oldest first
    for place, n in enumerate(order):
        # Nobody is served a second time while somebody who waits has not been served since.
        before = [waiting[m] for m in order[:place]]
        for other in {waiting[m] for m in order[place:]} - {waiting[n]}:
            assert before.count(waiting[n]) <= before.count(other) + 1


def test_only_so_many_batches_run_and_those_that_were_left_are_taken_first(storage: Storage) -> None:
    first, second = (batch_table.new("a", "auto", "jsonl", "m", False, 1, owner=o) for o in ("ann", "ann"))
    third = batch_table.new("b", "auto", "jsonl", "m", False, 1, owner="bo")
    for one in (first, second, third):
        storage.do_now(lambda db, one=one: batch_table.add(db, one, 99))  # type: ignore[misc]

    def claim(holder: str, most: int = 2) -> str | None:
        found = storage.do_now(lambda db: batch_table.claim(db, holder, SECONDS, most))
        return None if found is None else found.id

    assert storage.do_now(batch_table.queued, writes=False) == [first.id, third.id, second.id]
    assert claim("x") == first.id
    assert storage.do_now(lambda db: batch_table.ahead(db, second.id), writes=False) == 1
    assert claim("y") == third.id
    assert claim("x") is None
    storage.do_now(lambda db: db.execute(update(batches).where(batches.c.id == third.id).values(held_until=1)))
    assert claim("x") == third.id
    late = storage.do_now(lambda db: batch_table.get(db, third.id), writes=False)
    assert late is not None
    assert late.lost == 1
    # Whoever had it before changes nothing any more.
    assert not storage.do_now(lambda db: batch_table.finish(db, late, "y"))
    with pytest.raises(NotMine):
        storage.do_now(lambda db: parts.put(db, late, "y", ["a"]))
    assert storage.do_now(lambda db: batch_table.advance(db, late, "x", fraction=0.5, done=1, failed=0, utterances=1))
    onward = storage.do_now(lambda db: batch_table.get(db, third.id), writes=False)
    assert onward is not None
    assert (onward.lost, onward.fraction) == (0, 0.5)


def test_a_keeper_renews_what_is_held_and_says_what_is_lost(storage: Storage) -> None:
    one = batch_table.new("a", "auto", "jsonl", "m", False, 1)
    storage.do_now(lambda db: batch_table.add(db, one, 99))
    keeper = Keeper(storage, "x", 1000.0)
    batch = storage.do_now(lambda db: batch_table.claim(db, "x", 0.5, 1))
    assert batch is not None
    with keeper.hold(batches, batch.number) as lease:
        keeper.renew()
        assert not lease.lost.is_set()
        until = storage.do_now(lambda db: db.execute(select(batches.c.held_until)).scalar_one(), writes=False)
        assert until > time.time() + 500
        storage.do_now(lambda db: db.execute(update(batches).values(holder="y")))
        keeper.renew()
        assert lease.lost.is_set()
    keeper.renew()  # of nothing
