"""Batches in this process: routes, worker and client together, with the tagger that needs no weights."""

import asyncio
import json
import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import pytest

from dialog.conversation import Conversation
from dialog.formats import READERS, WRITERS, Item, Writer
from serve.batches import table as batch_table
from serve.batches import worker as worker_module
from serve.batches.schemas import BatchOptions
from serve.batches.worker import Worker, folder_of
from serve.database.schema import NEWEST
from serve.edge.limits import Limits
from serve.edge.problems import Refusal, overloaded
from serve.emotion.deployment import Job, JobAnswer, Taggers
from serve.emotion.labeller import LocalLabeller
from serve.emotion.long import LongJob, Stopped, take_turn
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from serve.replies.answerer import LocalAnswerer
from serve.replies.deployment import Responders
from serve.storage import Storage
from tests.serve.conftest import client_of
from tests.serve.database import released
from tests.serve.fake import FakeTagger

LOG = b"Ann: what a wonderful job\nBo: I hate it\n"


class Gate(LocalLabeller):
    """Labels while it is open, or the first `free` calls; the first `refusals` calls are refused."""

    def __init__(self, taggers: Taggers, refusals: int = 0) -> None:
        super().__init__(taggers)
        self.open, self.asked = threading.Event(), threading.Event()
        self.refusals = refusals
        self.calls = self.free = 0

    async def label_log(self, job: Job) -> JobAnswer:
        self.calls += 1
        self.asked.set()
        if self.calls <= self.refusals:
            raise overloaded("too much to do")
        while not self.open.is_set() and self.calls > self.free:
            await _short_nap()
        return await super().label_log(job)


async def _short_nap() -> None:
    await asyncio.sleep(0.01)


@pytest.fixture
def gate(taggers: Taggers) -> Gate:
    gate = Gate(taggers)
    gate.open.set()
    return gate


@pytest.fixture
def make_worker(storage: Storage, gate: Gate) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def make(**options: Any) -> Worker:
        workers.append(Worker(storage, gate, Limits(), **options))
        workers[-1].start()
        return workers[-1]

    yield make
    gate.open.set()
    for worker in workers:
        worker.stop()


@pytest.fixture
async def api(make_api: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_api(Limits(log_bytes=300_000, batches_waiting=3))) as client:
        yield client


async def ended(api: httpx.AsyncClient, batch_id: str, seconds: float = 20) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        batch: dict[str, Any] = (await api.get(f"/batches/{batch_id}")).json()
        if batch["state"] in ("done", "failed"):
            return batch
        assert time.monotonic() < deadline, batch
        await asyncio.sleep(0.05)


async def test_a_log_is_taken_labelled_and_fetched(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], storage: Storage
) -> None:
    begun = await api.post("/batches", content=LOG, params={"filename": "../my chat.txt"})
    assert begun.status_code == 202
    batch_id = begun.json()["id"]
    assert begun.headers["location"] == f"/v1/batches/{batch_id}"
    assert (begun.json()["state"], begun.json()["filename"]) == ("queued", "my_chat.txt")
    early = await api.get(f"/batches/{batch_id}/output")
    assert (early.status_code, early.json()["type"]) == (409, "urn:rapport:problem:not-done")
    make_worker()
    batch = await ended(api, batch_id)
    assert (batch["state"], batch["fraction"], batch["conversations"], batch["utterances"]) == ("done", 1.0, 1, 2)
    assert batch["model_version"] == "emotion/ekman@1"
    output = await api.get(f"/batches/{batch_id}/output")
    assert output.headers["content-disposition"] == "attachment; filename*=UTF-8''my_chat-emotions.jsonl"
    assert int(output.headers["content-length"]) == len(output.content)
    assert [u["prediction"]["emotion"] for u in output.json()["utterances"]] == ["joy", "anger"]
    # The log itself is gone, and so is everything once the batch is deleted.
    folder = folder_of(storage) / batch_id
    assert [p.name for p in folder.iterdir()] == ["out.jsonl"]
    assert (await api.delete(f"/batches/{batch_id}")).status_code == 204
    assert not folder.exists()
    assert (await api.get(f"/batches/{batch_id}")).status_code == 404
    assert (await api.get(f"/batches/{batch_id}/output")).status_code == 404


@pytest.mark.parametrize("to", sorted(WRITERS))
async def test_every_format_comes_out(api: httpx.AsyncClient, make_worker: Callable[..., Worker], to: str) -> None:
    make_worker()
    files = {"file": ("chat.txt", LOG)}
    begun = await api.post("/batches", files=files, data={"to": to, "anonymise": "true"})
    assert begun.status_code == 202, begun.text
    assert (await ended(api, begun.json()["id"]))["error"] is None
    output = await api.get(f"/batches/{begun.json()['id']}/output")
    assert output.status_code == 200
    assert output.headers["content-disposition"].endswith(f"chat-emotions.{WRITERS[to].ending}")
    starts = {"jsonl": b'{"', "csv": b"conversation,", "html": b"<!", "parquet": b"PAR1", "label-studio": b"["}
    assert output.content.startswith(starts[to])
    assert b"Ann" not in output.content


def test_the_formats_that_are_announced_are_those_there_are() -> None:
    known = BatchOptions.model_json_schema()["properties"]
    assert known["input_format"]["enum"] == ["auto", *READERS]
    assert known["to"]["enum"] == list(WRITERS)


async def test_a_format_is_added_by_one_row(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shout(items: Iterable[Item], out: BinaryIO) -> None:
        for item in items:
            if isinstance(item, Conversation):
                out.write("".join(f"{u.text.upper()}\n" for u in item.utterances).encode())

    monkeypatch.setitem(WRITERS, "shout", Writer(write=shout, ending="loud", media_type="text/loud", title="Shouts"))
    make_worker()
    # What is announced was made from the table when the service began; what is done reads it now.
    options = BatchOptions.model_construct(to="shout", input_format="auto", anonymise=False)
    monkeypatch.setattr("serve.batches.routes._with", lambda *_: options)
    begun = await api.post("/batches", files={"file": ("chat.txt", LOG)}, data={"anonymise": "false"})
    assert (await ended(api, begun.json()["id"]))["error"] is None
    output = await api.get(f"/batches/{begun.json()['id']}/output")
    assert output.headers["content-type"] == "text/loud"
    assert output.headers["content-disposition"].endswith("chat-emotions.loud")
    assert output.text == output.text.upper() != ""


async def test_what_cannot_be_labelled_is_listed_and_spoils_nothing(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker]
) -> None:
    make_worker()
    good, bad = ({"utterances": [{"speaker": "a", "text": text}]} for text in ("great", "poison"))
    lines = [json.dumps({"id": i, **c}) for i, c in enumerate([good, bad, good])]
    begun = await api.post("/batches", content="\n".join([*lines, "{broken"]).encode(), params={"filename": "a.jsonl"})
    batch = await ended(api, begun.json()["id"])
    assert (batch["state"], batch["conversations"], batch["failed"]) == ("done", 2, 2)
    assert [(f["id"], f["line"]) for f in batch["failures"]] == [("1", None), ("a-4", 4)]
    output = await api.get(f"/batches/{batch['id']}/output")
    assert ["error" in json.loads(line) for line in output.text.splitlines()] == [False, True, False, True]


@pytest.mark.parametrize(
    ("content", "error"), [(b"\x00\x01\x02", "binary"), (b"\n\n\n", "empty"), (b"PAR1broken", "")], ids=str
)
async def test_a_log_that_cannot_be_read_at_all_fails(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], storage: Storage, content: bytes, error: str
) -> None:
    make_worker()
    begun = await api.post("/batches", content=content)
    batch = await ended(api, begun.json()["id"])
    assert batch["state"] == "failed"
    assert error in batch["error"]
    output = await api.get(f"/batches/{batch['id']}/output")
    assert (output.status_code, output.json()["type"]) == (409, "urn:rapport:problem:batch-failed")
    assert not (folder_of(storage) / batch["id"]).exists()


@pytest.mark.parametrize("n_pieces", [1, 7])
async def test_a_log_may_be_so_large_and_no_larger(api: httpx.AsyncClient, storage: Storage, n_pieces: int) -> None:
    async def pieces(n_bytes: int) -> AsyncIterator[bytes]:
        for i in range(n_pieces):
            yield b"x" * (n_bytes // n_pieces + (i < n_bytes % n_pieces))

    for n_bytes, status in ((300_000, 202), (300_001, 413)):
        told = await api.post("/batches", content=b"x" * n_bytes)
        counted = await api.post("/batches", content=pieces(n_bytes))
        assert (told.status_code, counted.status_code) == (status, status)
    assert counted.json()["limit"] == "log_bytes"
    assert list(folder_of(storage).glob("uploads/*")) == []


async def test_an_upload_that_breaks_off_leaves_nothing(make_api: Callable[..., Any], storage: Storage) -> None:
    messages = iter([{"type": "http.request", "body": b"x" * 10, "more_body": True}, {"type": "http.disconnect"}])
    answers: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/batches", "headers": [], "query_string": b""}
    await make_api()(scope, receive, send)
    assert answers == []
    assert list(folder_of(storage).glob("uploads/*")) == []


async def test_a_slow_upload_is_given_up(make_api: Callable[..., Any], storage: Storage) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x"
            await _short_nap()

    async with client_of(make_api(Limits(log_seconds=0.1))) as client:
        response = await client.post("/batches", content=slow())
    assert response.status_code == 408
    assert list(folder_of(storage).glob("uploads/*")) == []


async def test_a_full_disk_is_said_and_leaves_nothing(
    api: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("serve.edge.spool._write_all", full)
        response = await api.post("/batches", content=LOG)
    assert (response.status_code, response.json()["type"]) == (507, "urn:rapport:problem:disk-full")
    assert list(folder_of(storage).glob("uploads/*")) == []


async def test_a_disk_that_fills_up_on_the_way_fails_the_batch_and_frees_its_room(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    begun = await api.post("/batches", content=LOG)
    with monkeypatch.context() as patch:
        patch.setattr("dialog.annotation.journal.os.fsync", full)
        make_worker()
        batch = await ended(api, begun.json()["id"])
    assert (batch["state"], batch["error"]) == ("failed", "the disk of the service is full")
    assert not (folder_of(storage) / batch["id"]).exists()
    after = await api.post("/batches", content=LOG)
    assert (await ended(api, after.json()["id"]))["state"] == "done"


@pytest.mark.parametrize(
    ("request_of", "status", "pointer"),
    [
        ({"content": LOG, "params": {"to": "pdf"}}, 422, "/query/to"),
        ({"content": LOG, "params": {"colour": "red"}}, 422, "/query/colour"),
        ({"content": LOG, "params": {"model": "../../etc"}}, 422, "/model"),
        ({"content": b""}, 422, ""),
        ({"files": {"file": ("a.txt", LOG)}, "data": {"to": "pdf"}}, 422, "/to"),
        ({"files": {"other": ("a.txt", LOG)}}, 422, "/file"),
        ({"files": [("file", ("a", LOG)), ("file", ("b", LOG))]}, 422, "/file"),
        ({"files": {"file": ("a.txt", LOG)}, "data": {"to": "x" * 5000}}, 422, "/to"),
        ({"content": LOG, "headers": {"content-type": "multipart/form-data"}}, 400, None),
        ({"content": LOG, "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400, None),
        ({"content": b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc',
          "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400, None),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_with_its_place(
    api: httpx.AsyncClient, storage: Storage, request_of: dict[str, Any], status: int, pointer: str | None
) -> None:
    response = await api.post("/batches", **request_of)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    if pointer is not None:
        assert [e["pointer"] for e in response.json()["errors"]] == [pointer]
    assert [p for p in folder_of(storage).rglob("*") if p.is_file()] == []


TABLE = "Post ID;Commenter;Comment Body\n1;Ann;das ist groß und great\n2;Bo;I hate it\n"
ASKED = ["text=Comment Body", "speaker=Commenter"]


@pytest.mark.parametrize("form", [False, True], ids=["query", "form"])
async def test_columns_and_encoding_are_said_as_on_the_command_line(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], form: bool
) -> None:
    make_worker()
    said = {"column": ASKED, "encoding": "cp850", "to": "jsonl"}
    if form:
        begun = await api.post("/batches", files={"file": ("a.csv", TABLE.encode("cp850"))}, data=said)
    else:
        begun = await api.post("/batches", content=TABLE.encode("cp850"), params={**said, "filename": "a.csv"})
    assert begun.status_code == 202, begun.text
    assert (begun.json()["column"], begun.json()["encoding"]) == (ASKED, "cp850")
    batch = await ended(api, begun.json()["id"])
    assert batch["error"] is None
    (line,) = (await api.get(f"/batches/{batch['id']}/output")).text.splitlines()
    said_there = [(u["speaker"], u["text"]) for u in json.loads(line)["utterances"]]
    assert said_there == [("Ann", "das ist groß und great"), ("Bo", "I hate it")]


async def test_a_column_that_is_not_there_fails_the_batch_in_the_words_of_the_command_line(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker]
) -> None:
    make_worker()
    begun = await api.post("/batches", content=TABLE.encode(), params={"column": "text=Body"})
    batch = await ended(api, begun.json()["id"])
    assert batch["state"] == "failed"
    assert "no column 'Body'; there are Post ID, Commenter, Comment Body" in batch["error"]


@pytest.mark.parametrize(
    ("said", "place", "detail"),
    [
        ({"column": "text"}, "column", "column 'text': expected ROLE=NAME, such as text='Comment Body'"),
        ({"column": "colour=red"}, "column", "columns are for text, speaker"),
        ({"encoding": "klingon"}, "encoding", "unknown encoding 'klingon'; expected one such as utf-8, cp1251"),
        ({"encoding": "hex"}, "encoding", "unknown encoding 'hex'"),
    ],
)
@pytest.mark.parametrize("form", [False, True], ids=["query", "form"])
async def test_wrong_columns_and_encodings_are_refused_before_the_work(
    api: httpx.AsyncClient, said: dict[str, str], place: str, detail: str, form: bool
) -> None:
    if form:
        answer = await api.post("/batches", files={"file": ("a.csv", TABLE.encode())}, data=said)
    else:
        answer = await api.post("/batches", content=TABLE.encode(), params=said)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == (f"/{place}" if form else f"/query/{place}")
    assert detail in fault["detail"]


async def test_of_many_faults_as_many_are_listed_as_the_configured_limits_allow(make_api: Callable[..., Any]) -> None:
    async with client_of(make_api(Limits(faults_listed=2))) as client:
        fields = {"to": "pdf", "input_format": "docx", "anonymise": "perhaps"}
        response = await client.post("/batches", files={"file": ("a.txt", LOG)}, data=fields)
    assert response.status_code == 422
    assert (len(response.json()["errors"]), response.json()["errors_left_out"]) == (2, 1)


async def test_only_so_many_wait_and_they_are_begun_in_order(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], gate: Gate
) -> None:
    gate.open.clear()
    make_worker()
    first, *others = [(await api.post("/batches", content=LOG)).json() for _ in range(3)]
    refused = await api.post("/batches", content=LOG)
    assert (refused.status_code, refused.json()["limit"]) == (429, "batches_waiting")
    assert gate.asked.wait(10)
    listed = (await api.get("/batches")).json()["batches"]
    assert [b["id"] for b in listed] == [b["id"] for b in (*others[::-1], first)]
    assert [(b["state"], b["ahead"]) for b in listed] == [("queued", 1), ("queued", 0), ("running", 0)]
    gate.open.set()
    finished = [await ended(api, b["id"]) for b in (first, *others)]
    assert {b["state"] for b in finished} == {"done"}


async def test_a_batch_that_runs_can_be_cancelled(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], gate: Gate, storage: Storage
) -> None:
    gate.open.clear()
    make_worker()
    begun = (await api.post("/batches", content=LOG)).json()
    assert gate.asked.wait(10)
    assert (await api.delete(f"/batches/{begun['id']}")).status_code == 204
    deadline = time.monotonic() + 10
    while (folder_of(storage) / begun["id"]).exists():
        assert time.monotonic() < deadline
        await _short_nap()
    gate.open.set()
    after = await api.post("/batches", content=LOG)
    assert (await ended(api, after.json()["id"]))["state"] == "done"


async def test_busy_models_are_waited_for(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], gate: Gate
) -> None:
    gate.refusals = 1
    make_worker()
    begun = await api.post("/batches", content=LOG)
    assert (await ended(api, begun.json()["id"]))["failed"] == 0
    assert gate.calls == 2


async def test_a_model_that_cannot_be_loaded_fails_the_batch_and_no_conversation(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker]
) -> None:
    make_worker()
    begun = await api.post("/batches", content=LOG, params={"model": "emotion/missing"})
    batch = await ended(api, begun.json()["id"])
    assert (batch["state"], batch["error"]) == ("failed", "the model emotion/missing cannot be loaded")


async def test_a_worker_that_stops_in_the_middle_goes_on_where_it_was(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], gate: Gate, storage: Storage
) -> None:
    lines = [json.dumps({"id": i, "utterances": [{"speaker": "a", "text": f"great {i}"}]}) for i in range(10)]
    gate.open.clear()
    gate.free = 2
    first = make_worker(together=2)
    begun = (await api.post("/batches", content="\n".join(lines).encode())).json()
    while gate.calls < 3:
        await _short_nap()
    first.stop()
    assert (await api.get(f"/batches/{begun['id']}")).json()["state"] == "queued"
    # As if it had been killed: nobody put it back into the queue.
    storage.do_now(lambda db: db.exec_driver_sql("UPDATE batches SET state = 'running'"))
    gate.open.set()
    gate.calls = 0
    make_worker(together=2)
    batch = await ended(api, begun["id"])
    assert (batch["state"], batch["conversations"]) == ("done", 10)
    assert gate.calls == 3  # the four it had done it did not do again
    output = await api.get(f"/batches/{begun['id']}/output")
    assert [json.loads(line)["id"] for line in output.text.splitlines()] == list(range(10))


async def test_a_database_that_is_away_for_a_while_loses_no_log(
    api: httpx.AsyncClient,
    make_worker: Callable[..., Worker],
    gate: Gate,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = threading.Event()

    def away(*_: Any, **__: Any) -> None:
        asked.set()
        raise Refusal(503, "database-unusable", "it has gone")

    monkeypatch.setattr(worker_module, "_PAUSE_SECONDS", 0.05)
    gate.open.clear()
    make_worker(together=2)
    begun = (await api.post("/batches", content=LOG)).json()
    assert gate.asked.wait(10)
    with monkeypatch.context() as gone:
        gone.setattr(storage, "do_now", away)
        gate.open.set()
        assert asked.wait(10)
        time.sleep(0.3)
    batch = await ended(api, begun["id"])
    assert (batch["state"], batch["failed"], batch["error"]) == ("done", 0, None)
    later = (await api.post("/batches", content=LOG)).json()
    assert (await ended(api, later["id"]))["state"] == "done"


async def test_two_workers_of_one_folder_do_not_do_the_same(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], gate: Gate
) -> None:
    gate.open.clear()
    make_worker()
    begun = (await api.post("/batches", content=LOG)).json()
    assert gate.asked.wait(10)
    make_worker()
    time.sleep(1.2)
    assert gate.calls == 1
    gate.open.set()
    assert (await ended(api, begun["id"]))["state"] == "done"


async def test_where_others_can_reach_the_service_it_lists_nothing(
    config: Any, storage: Storage, taggers: Taggers
) -> None:
    from serve.api import create_api
    from serve.emotion.choice import Choice

    viewer = LocalViewer(Pictures(config))
    app = create_api(
        LocalLabeller(taggers),
        viewer,
        LocalAnswerer(Responders(config)),
        Choice.of(config),
        storage,
        Limits(),
        may_list=False,
    )
    async with client_of(app) as client:
        assert (await client.get("/batches")).status_code == 403
    for host, private in (("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)):
        assert config.model_copy(update={"host": host}).is_private is private


async def test_no_header_of_a_client_names_a_file(api: httpx.AsyncClient, storage: Storage) -> None:
    """What the doors tell one another, a client may say too; it must get nothing by it."""
    secret = storage.folder / "secret"
    secret.write_text("secret")
    for name in ("../../secret", "../secret", "a" * 32, ""):
        headers = {"x-rapport-front": "1", "x-rapport-log": name, "x-rapport-file": name}
        response = await api.post("/batches", content=b"", headers=headers)
        assert response.status_code == 400
        assert "secret" not in (await api.get("/health/live", headers=headers)).text


async def test_a_database_of_the_release_before_gets_the_new_table(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    released.write(path, 1)
    again = Storage(path)
    assert again.do_now(batch_table.by_state, writes=False)["done"] == 0
    again.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (NEWEST,)


def test_what_a_killed_service_left_behind_is_swept(make_worker: Callable[..., Worker], storage: Storage) -> None:
    folder = folder_of(storage)
    old, new = folder / "uploads" / ("a" * 32), folder / "uploads" / ("b" * 32)
    deleted = folder / ("c" * 32)
    old.parent.mkdir(parents=True)
    (deleted / "in").mkdir(parents=True)
    for path in (old, new):
        path.write_bytes(b"x")
    for path in (old, deleted):
        os.utime(path, (0, 0))
    make_worker()
    deadline = time.monotonic() + 5
    while old.exists() or deleted.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert new.exists()


def long_log(n: int) -> bytes:
    words = ("great", "sad", "hm")
    said = [{"speaker": f"p{i % 3}", "text": words[i % 3] if i else "slow"} for i in range(n)]
    return json.dumps({"id": "long", "utterances": said}).encode()


async def inside(api: httpx.AsyncClient, batch_id: str, beyond: int, n: int) -> dict[str, Any]:
    """The batch once more than `beyond` of its n messages are read, but not all."""
    deadline = time.monotonic() + 20
    while True:
        batch: dict[str, Any] = (await api.get(f"/batches/{batch_id}")).json()
        if beyond < batch["utterances"] < n:
            return batch
        assert batch["state"] in ("queued", "running"), batch
        assert time.monotonic() < deadline, batch
        await asyncio.sleep(0.05)


async def test_one_long_conversation_is_watched_stopped_and_gone_on_with_inside(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeTagger, "read", read := list[int]())
    n = 5_000
    first = make_worker()
    begun = (await api.post("/batches", content=long_log(n), params={"filename": "a.jsonl"})).json()
    one = await inside(api, begun["id"], 0, n)
    two = await inside(api, begun["id"], one["utterances"], n)
    assert 0 < one["fraction"] < two["fraction"] < 1
    await asyncio.to_thread(first.stop)
    stopped = -1
    while sum(read) != stopped:  # the thread it has left behind may do one more piece, and must then have stopped
        stopped = sum(read)
        await asyncio.sleep(1)
    assert stopped < n
    # As if the service had been killed: nobody put the batch back into the queue.
    storage.do_now(lambda db: db.exec_driver_sql("UPDATE batches SET state = 'running'"))
    make_worker()
    batch = await ended(api, begun["id"])
    assert (batch["state"], batch["conversations"], batch["utterances"]) == ("done", 1, n)
    assert sum(read) == n  # what it had read it did not read again
    output = (await api.get(f"/batches/{begun['id']}/output")).json()
    (whole,) = FakeTagger("emotion/ekman").tag([Conversation.from_dict(json.loads(long_log(n)))])
    assert [u["prediction"] for u in output["utterances"]] == [
        u.prediction.to_dict() for u in whole.utterances if u.prediction
    ]
    assert [p.name for p in (folder_of(storage) / batch["id"]).iterdir()] == ["out.jsonl"]


async def test_a_batch_can_be_cancelled_inside_a_long_conversation(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeTagger, "read", read := list[int]())
    make_worker()
    begun = (await api.post("/batches", content=long_log(5_000), params={"filename": "a.jsonl"})).json()
    await inside(api, begun["id"], 0, 5_000)
    assert (await api.delete(f"/batches/{begun['id']}")).status_code == 204
    deadline = time.monotonic() + 10
    while (folder_of(storage) / begun["id"]).exists():
        assert time.monotonic() < deadline
        await _short_nap()
    assert sum(read) < 5_000
    after = await api.post("/batches", content=LOG)
    assert (await ended(api, after.json()["id"]))["state"] == "done"


def test_a_reading_that_nobody_waits_for_ends_when_another_takes_its_turn(taggers: Taggers, tmp_path: Path) -> None:
    keep = tmp_path / "reading"
    turns = tuple(("Ann", "great") for _ in range(1_000))
    job = LongJob(turns=turns, model="emotion/ekman", mode="offline", causes=True, keep=keep, turn=take_turn(keep))
    orphan: list[int] = []

    def overtaken(n: int) -> None:
        orphan.append(n)
        if n == 500:  # here its caller is killed, and a new one comes
            job_again.append(replace(job, turn=take_turn(keep)))

    job_again: list[LongJob] = []
    with pytest.raises(Stopped):
        taggers.label_long(job, overtaken)
    assert orphan[-1] == 500
    told: list[int] = []
    answer = taggers.label_long(job_again[0], told.append)
    assert told == [0, 1000]
    assert len(answer.conversations[0].predictions) == 1_000
