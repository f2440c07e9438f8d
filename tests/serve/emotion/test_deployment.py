"""The taggers of one process: grouping, isolation, and what a batch costs."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog.emotion.port import Mode
from serve.config import AppConfig
from serve.emotion.choice import Choice
from serve.emotion.deployment import Job, JobAnswer, Taggers, padded_work
from serve.emotion.labeller import LocalLabeller
from serve.emotion.steps import Step, Stepper
from tests.serve.conftest import CATALOGUE, TAGGER
from tests.serve.fake import FakeTagger


def job(*conversations: list[str], model: str = "emotion/ekman", mode: Mode = "offline") -> Job:
    turns = tuple(tuple(("a", text) for text in texts) for texts in conversations)
    return Job(conversations=turns, model=model, mode=mode, causes=True)


def emotions(answer: JobAnswer) -> list[list[str | None]]:
    return [
        [orjson.loads(p)["emotion"] for p in labels.predictions] if labels.error is None else [None]
        for labels in answer.conversations
    ]


def test_jobs_of_one_model_run_together_and_answers_keep_their_order() -> None:
    taggers = Taggers(TAGGER)
    answers = taggers.label(
        [
            job(["great"], ["sad"]),
            job(["x"], model="emotion/emorynlp"),
            job(),
            job(["hate"], mode="live"),
            job(["hate"]),
        ]
    )
    assert [emotions(a) for a in answers] == [
        [["joy"], ["sadness"]],
        [["neutral"]],
        [],
        [["anger"]],
        [["anger"]],
    ]
    assert taggers.get("emotion/ekman").batches == [3, 1]
    assert answers[1].model_version == "emotion/emorynlp@1"


def test_one_poisoned_job_among_64_spoils_none_of_the_others() -> None:
    jobs = [job(["great"]) for _ in range(64)]
    jobs[17] = job(["fine"], ["crash"])
    answers = Taggers(TAGGER).label(jobs)
    assert [i for i, a in enumerate(answers) if any(labels.error for labels in a.conversations)] == [17]
    assert emotions(answers[17]) == [["neutral"], [None]]


def test_a_model_that_cannot_be_loaded_is_an_answer_and_no_exception() -> None:
    lost, fine = Taggers(TAGGER).label([job(["x"], model="emotion/missing"), job(["x"])])
    assert lost.error == "the model emotion/missing cannot be loaded"
    assert fine.error is None


def test_a_model_is_loaded_once() -> None:
    taggers = Taggers(TAGGER)
    assert taggers.get("emotion/ekman") is taggers.get("emotion/ekman")


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=6))
def test_work_counts_padding(sizes: list[tuple[int, int]]) -> None:
    jobs = [
        Job(conversations=((("a", "x"),) * longest,) * n, model="m", mode="offline", causes=True)
        for n, longest in sizes
    ]
    longest = max((length for n, length in sizes if n), default=0)
    assert padded_work(jobs) == sum(n for n, _ in sizes) * longest


def step(text: str, **more: Any) -> Step:
    return Step(**{"model": "emotion/ekman", "head": None, "speaker": "a", "text": text} | more)


def test_a_state_of_another_version_is_told_and_not_used() -> None:
    taggers = Taggers(TAGGER)
    (first,) = taggers.step([step("great")])
    (stale,) = taggers.step([step("x", head=first.head, version="emotion/ekman@0")])
    assert first.prediction is not None
    assert (stale.stale, stale.prediction) == (True, None)
    (older,) = taggers.step([step("hi", head=b"of an older release", rows=(), version="emotion/ekman@1")])
    assert (older.stale, older.prediction, older.error) == (True, None, None)


def test_what_was_in_memory_and_what_was_not_is_counted() -> None:
    taggers = Taggers(TAGGER)
    assert taggers.cached() == {"texts": (0, 0), "chats": (0, 0)}
    (first,) = taggers.step([step("great")])
    (second,) = taggers.step([step("sad", head=first.head)])
    taggers.step([step("sad", head=b"x" * 16 + (second.head or b"")[16:])])  # forgotten: it will be asked again
    taggers.step([step("sad", head=b"x" * 16 + (second.head or b"")[16:], rows=((b"", "sad"),))])
    assert taggers.cached() == {"texts": (0, 0), "chats": (1, 1)}
    reader = taggers.get("emotion/ekman").encoder = SimpleNamespace(hits=3, misses=2)  # type: ignore[attr-defined]
    taggers.get("emotion/emorynlp").encoder = reader  # type: ignore[attr-defined]
    assert taggers.cached()["texts"] == (3, 2)


def test_a_step_that_fails_leaves_the_state_as_it_was() -> None:
    taggers = Taggers(TAGGER)
    (first,) = taggers.step([step("great")])
    (failed,) = taggers.step([step("crash", head=first.head)])
    (garbage,) = taggers.step([step("x", head=b"\xff", rows=())])
    assert (failed.head, failed.rows) == (first.head, ())
    assert failed.error == "this could not be labelled: a fault of the service"
    assert (garbage.stale, garbage.prediction) == (True, None)


def test_messages_of_many_chats_are_read_by_one_call_and_one_that_fails_spoils_no_other() -> None:
    taggers = Taggers(TAGGER)
    begun = taggers.step([step("great") for _ in range(5)])
    assert len({one.head for one in begun}) == 5
    texts = ("sad", "poison", "hate", "x", "great")
    gone_on = taggers.step([step(text, head=one.head) for text, one in zip(texts, begun, strict=True)])
    assert taggers.get("emotion/ekman").batches == [5, 5, 1, 1, 1, 1, 1]
    assert [one.prediction and one.prediction["emotion"] for one in gone_on] == [
        *("sadness", None, "anger", "neutral", "joy")
    ]
    assert [one.error for one in gone_on] == [None, "this text is poison", None, None, None]
    other, lost = taggers.step([step("x", model="emotion/emorynlp"), step("x", model="emotion/missing")])
    assert other.model_version == "emotion/emorynlp@1"
    assert lost.error == "the model emotion/missing cannot be loaded"


def test_what_was_just_read_is_known_and_what_was_forgotten_is_asked_for() -> None:
    taggers, elsewhere = Taggers(TAGGER), Taggers(TAGGER)
    (first,) = taggers.step([step("great")])
    (second,) = taggers.step([step("great", head=first.head)])
    assert (second.prediction is not None, second.n_read, second.reach) == (True, 2, 2)
    (asked,) = elsewhere.step([step("great", head=second.head)])
    assert (asked.forgotten, asked.prediction, asked.head) == (True, None, second.head)
    rows = tuple((row, "great") for one in (first, second) for row in one.rows)
    (third,) = elsewhere.step([step("great", head=second.head, rows=rows)])
    assert (third.n_read, third.forgotten) == (3, False)


def test_only_so_much_is_remembered_and_the_state_a_message_overtook_stays_good() -> None:
    tagger, stepper = FakeTagger("emotion/ekman"), Stepper(room=3 << 20)  # a state of the fake's is 1 MB
    (first,) = stepper.take(tagger, [step("a")], str)
    one, other = (stepper.take(tagger, [step("b", head=first.head)], str)[0] for _ in range(2))
    assert (one.n_read, other.n_read) == (2, 2)
    for _ in range(3):
        (last,) = stepper.take(tagger, [step("c")], str)
    assert stepper.take(tagger, [step("b", head=first.head)], str)[0].forgotten
    assert not stepper.take(tagger, [step("b", head=last.head)], str)[0].forgotten


def test_a_folder_of_ones_own_is_known_by_its_name_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    config = AppConfig(tagger=TAGGER, catalogue=CATALOGUE, model=str(folder))
    choice = Choice.of(config)
    assert choice.default == choice.model(None, None, "") == "mine"
    assert not any(str(tmp_path) in name for name in choice.cards)
    taggers = Taggers(TAGGER, {config.model_name: config.model})
    assert taggers.get("mine").name == str(folder)


def test_a_state_says_how_many_messages_it_has_read_and_causes_count_from_the_first_of_them() -> None:
    (stepped,) = Taggers(TAGGER).step([step("hi", replay=(("B", "a"), ("A", "b")))])
    assert stepped.prediction
    assert stepped.rows == (b"1", b"2")
    assert (stepped.n_read, [c["utterance"] for c in stepped.prediction["causes"]]) == (3, [1])


async def test_a_request_that_nobody_waits_for_ends_at_its_next_conversation() -> None:
    taggers = Taggers(TAGGER)
    labeller = LocalLabeller(taggers)
    read, begun, go = [], threading.Event(), threading.Event()
    predict = FakeTagger._predict

    def slowly(self: FakeTagger, text: str, n: int) -> Any:
        read.append(text)
        begun.set()
        go.wait(60)
        return predict(self, text, n)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeTagger, "_predict", slowly)
        asking = asyncio.create_task(labeller.label(job(*([f"text {i}"] for i in range(200)))))
        await asyncio.to_thread(begun.wait, 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go.set()
        answer = await labeller.label(job(["great"]))
    assert emotions(answer) == [["joy"]]
    assert read == ["text 0", "great"]


async def test_a_short_request_goes_between_the_conversations_of_a_long_one() -> None:
    labeller = LocalLabeller(Taggers(TAGGER))
    read, short = list[str](), threading.Event()
    predict = FakeTagger._predict

    def noted(self: FakeTagger, text: str, n: int) -> Any:
        read.append(text)
        if len(read) == 3:
            short.wait(60)
        return predict(self, text, n)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeTagger, "_predict", noted)
        long = asyncio.create_task(labeller.label(job(*([f"text {i}"] for i in range(200)))))
        while len(read) < 3:
            await asyncio.sleep(0.001)
        asked = asyncio.create_task(labeller.label(job(["great"])))
        while not labeller._models._floor._waiting:
            await asyncio.sleep(0.001)
        short.set()
        await asked
        await long
    assert read.index("great") == 3
    assert len(read) == 201
