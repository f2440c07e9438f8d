"""Requests that come together."""

import asyncio
from dataclasses import dataclass, field

import pytest

from serve.edge import metrics
from serve.emotion import gathering as gathering_module
from serve.emotion.deployment import Job, JobAnswer, padded_work
from serve.emotion.gathering import Gatherer

Jobs = Gatherer[Job, JobAnswer]


def job(name: str, longest: int = 1, owner: str = "") -> Job:
    """A conversation of `longest` utterances by the person called so."""
    return Job(conversations=(((name, "x"),) * longest,), model="m", mode="offline", causes=False, owner=owner)


def name_of(job: Job) -> str:
    return job.conversations[0][0][0]


@dataclass
class Calls:
    """Answers each job with its own name once it may; remembers which came together."""

    seen: list[list[str]] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: int = 0

    async def __call__(self, jobs: list[Job]) -> list[JobAnswer]:
        self.seen.append([name_of(job) for job in jobs])
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if any(name_of(job) == "bad" for job in jobs):
            raise ValueError("bad")
        return [JobAnswer(model_version=name_of(job)) for job in jobs]


def gathering(calls: Calls, *, at_once: int, most: int) -> Jobs:
    return Gatherer(
        calls,
        calls=at_once,
        most=most,
        size=padded_work,
        messages=lambda job: job.n_utterances,
        owner=lambda job: job.owner,
        large=lambda job: job.n_utterances > 100,
    )


async def start(gatherer: Jobs, *names: str, longest: int = 1) -> list["asyncio.Task[JobAnswer]"]:
    tasks = [asyncio.create_task(gatherer.ask(job(name, longest))) for name in names]
    await asyncio.sleep(0.01)
    return tasks


async def test_what_waits_goes_together_and_everybody_gets_his_own_answer() -> None:
    calls = Calls()
    tasks = await start(gathering(calls, at_once=2, most=100), *"abcdef")
    assert calls.seen == [["a"], ["b"]]
    calls.go.set()
    assert [answer.model_version for answer in await asyncio.gather(*tasks)] == list("abcdef")
    assert calls.seen == [["a"], ["b"], ["c", "d", "e", "f"]]


async def test_a_call_holds_only_so_much_work_or_one_job() -> None:
    calls = Calls()
    gatherer = gathering(calls, at_once=1, most=6)
    tasks = await start(gatherer, "a", "b", "c", "d", longest=2)
    tasks += await start(gatherer, "e", longest=50)
    calls.go.set()
    await asyncio.gather(*tasks)
    assert calls.seen == [["a"], ["b", "c", "d"], ["e"]]


async def test_whoever_has_gone_away_is_left_out() -> None:
    calls = Calls()
    tasks = await start(gathering(calls, at_once=1, most=100), "a", "b", "c")
    tasks[0].cancel()
    tasks[1].cancel()
    calls.go.set()
    assert (await tasks[2]).model_version == "c"
    assert calls.seen == [["a"], ["c"]]


async def test_a_call_that_fails_is_told_to_all_in_it_and_to_no_other() -> None:
    calls = Calls()
    tasks = await start(gathering(calls, at_once=1, most=100), "a", "bad", "b")
    calls.go.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[0], JobAnswer)
    assert [str(answer) for answer in answers[1:]] == ["bad", "bad"]


async def test_it_goes_on_after_a_fault() -> None:
    calls = Calls()
    calls.go.set()
    gatherer = gathering(calls, at_once=1, most=100)
    with pytest.raises(ValueError, match="bad"):
        await gatherer.ask(job("bad"))
    assert (await gatherer.ask(job("a"))).model_version == "a"


async def test_owners_are_taken_in_turn_however_much_one_of_them_asks() -> None:
    calls = Calls()
    gatherer = gathering(calls, at_once=1, most=3)
    asked = [job(name, owner=name[0]) for name in ("x", "a1", "a2", "a3", "a4", "b1", "c1", "b2")]
    tasks = [asyncio.create_task(gatherer.ask(one)) for one in asked]
    await asyncio.sleep(0.01)
    calls.go.set()
    await asyncio.gather(*tasks)
    assert calls.seen == [["x"], ["a1", "b1", "c1"], ["a2", "b2", "a3"], ["a4"]]


async def test_what_is_large_goes_at_once_by_itself_and_takes_nobodys_place() -> None:
    calls = Calls()
    gatherer = gathering(calls, at_once=1, most=100)
    tasks = [*await start(gatherer, "long", "longer", longest=101), *await start(gatherer, "short")]
    assert calls.seen == [["long"], ["longer"], ["short"]]
    calls.go.set()
    await asyncio.gather(*tasks)


async def test_a_call_is_cancelled_once_nobody_in_it_waits_any_more() -> None:
    calls = Calls()
    gatherer = gathering(calls, at_once=1, most=100)
    first, second, third = await start(gatherer, "first", "second", "third")
    first.cancel()
    await asyncio.sleep(0.01)
    assert calls.cancelled == 1
    assert calls.seen == [["first"], ["second", "third"]]
    second.cancel()
    await asyncio.sleep(0.01)
    assert calls.cancelled == 1
    calls.go.set()
    assert (await third).model_version == "third"


async def test_waits_and_calls_are_counted() -> None:
    calls = Calls()
    calls.go.set()

    def counted() -> list[float]:
        names = ("queue_seconds", "model_seconds", "batch_messages")
        return [metrics.REGISTRY.get_sample_value(f"rapport_{name}_count") or 0.0 for name in names]

    before = counted()
    gather = gathering(calls, at_once=1, most=9)
    await asyncio.gather(*(gather.ask(job(name)) for name in ("a", "b", "c")))
    waits, *rest = [after - earlier for after, earlier in zip(counted(), before, strict=True)]
    assert waits == 3
    assert rest == [len(calls.seen)] * 2


def one_model(calls: Calls, *, most: int = 100, patience: float = 60.0) -> Jobs:
    """As `gathering`, with one model behind both calls."""
    return Gatherer(
        calls, calls=2, most=most, size=padded_work, messages=lambda job: job.n_utterances, patience=patience
    )


async def test_with_one_model_what_comes_during_a_call_waits_for_its_end_and_goes_together() -> None:
    calls = Calls()
    tasks = await start(one_model(calls), *"abc")
    assert calls.seen == [["a"]]
    calls.go.set()
    await asyncio.gather(*tasks)
    assert calls.seen == [["a"], ["b", "c"]]


async def test_with_one_model_what_has_waited_long_goes_between_the_pieces_of_a_long_call() -> None:
    calls = Calls()
    tasks = await start(one_model(calls, patience=0.05), *"abc")
    async with asyncio.timeout(120):
        while len(calls.seen) < 2:
            await asyncio.sleep(0.01)
    assert calls.seen == [["a"], ["b", "c"]]
    calls.go.set()
    await asyncio.gather(*tasks)


async def test_those_who_ask_again_at_once_are_all_in_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering_module, "_LINGER", 100)  # so long that no other work of this machine matters
    monkeypatch.setattr(gathering_module, "_LINGER_SECONDS", 1)
    seen: list[int] = []

    async def call(jobs: list[Job]) -> list[JobAnswer]:
        seen.append(len(jobs))
        await asyncio.sleep(0.01)
        return [JobAnswer() for _ in jobs]

    gatherer: Jobs = Gatherer(call, calls=2, most=100, size=padded_work, messages=lambda job: 1, patience=60)

    async def client(name: str) -> None:
        for _ in range(4):
            await gatherer.ask(job(name))

    await asyncio.gather(*(client(name) for name in "abcdefgh"))
    assert (sum(seen), seen[0]) == (32, 1)
    assert len(seen) <= 7, seen  # without waiting for one another they would alternate, 1 and 7


def test_it_waits_in_the_event_loop_that_the_service_has() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def ask() -> None:
        calls = Calls()
        calls.go.set()
        for patience in (1e-9, 1e-4, 1.0):
            gatherer = one_model(calls, patience=patience)
            for _ in range(20):
                await asyncio.gather(*(gatherer.ask(job(name)) for name in "abcd"))

    uvloop.run(asyncio.wait_for(ask(), 120))


async def test_whoever_asks_alone_waits_for_nobody_who_was_there_before() -> None:
    calls = Calls()
    calls.go.set()
    gatherer = one_model(calls)
    await asyncio.gather(*(gatherer.ask(job(name)) for name in "abc"))
    async with asyncio.timeout(120):
        for _ in range(3):
            await gatherer.ask(job("d"))
    assert calls.seen[-3:] == [["d"]] * 3
