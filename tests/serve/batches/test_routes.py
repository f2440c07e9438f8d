"""Batches in this process: routes, worker and client together, with the tagger that needs no weights."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, BinaryIO

import httpx
import pytest

from dialog.conversation import Conversation
from dialog.formats import READERS, WRITERS, Item, Writer
from serve.batches.schemas import BatchOptions
from serve.batches.worker import Worker, folder_of
from serve.edge.limits import Limits
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from serve.replies.answerer import LocalAnswerer
from serve.replies.deployment import Responders
from serve.storage import Storage
from tests.serve.batches.conftest import LOG, ended, short_nap
from tests.serve.conftest import client_of


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
    monkeypatch.setattr("serve.batches.routes.with_fields", lambda *_: options)
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
            await short_nap()

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
