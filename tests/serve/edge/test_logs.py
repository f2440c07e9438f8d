"""What gets into a log, and above all what does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from serve.edge import logs
from tests.serve.conftest import client_of


@pytest.fixture
def log_file(tmp_path: Path) -> Any:
    logs.configure("test", tmp_path / "logs")
    yield tmp_path / "logs" / "test.jsonl"
    logs.configure("test", None, "error")


async def test_no_word_of_a_user_gets_into_a_log(log_file: Path, make_api: Any) -> None:
    canary = "CANARY"
    async with client_of(make_api()) as client:
        said = {"speaker": canary, "text": f"{canary} crash"}
        await client.post("/emotions", json={"conversations": [{"id": canary, "utterances": [said]}]})
        await client.post("/emotions", json={"conversations": [{canary: canary}]})
        await client.post("/emotions", content=canary, headers={"content-type": "application/json"})
        await client.get(f"/{canary}", headers={"x-request-id": f"{canary} "})
        chat = (await client.post("/chats", json={})).json()["id"]
        await client.post(f"/chats/{chat}/messages", json=said)
        await client.put(f"/chats/{chat}/messages/0/correction", json={"emotion": canary})
    text = log_file.read_text()
    assert len(text.splitlines()) >= 7
    assert canary not in text
    assert chat not in text  # the id of a chat is the key to it


async def test_every_request_is_one_line_with_its_id(log_file: Path, make_api: Any) -> None:
    async with client_of(make_api()) as client:
        await client.get("/health/live", headers={"x-request-id": "abc"})
    (line,) = [json.loads(line) for line in log_file.read_text().splitlines()]
    assert (line["event"], line["request_id"], line["status"], line["route"]) == ("request", "abc", 200, "/health/live")


def test_a_field_that_is_not_on_the_list_is_dropped_and_named(log_file: Path) -> None:
    logs.get().info("something", text="a secret", status=1)
    line = json.loads(log_file.read_text())
    assert line["dropped"] == ["text"]
    assert "a secret" not in json.dumps(line)


def test_a_log_that_is_full_makes_room_and_few_old_ones_are_kept(
    log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_MOST_BYTES", 400)
    for n in range(40):
        logs.get().info("something", status=n)
    logs.configure("test", log_file.parent)
    logs.get().info("something", status=40)
    files = sorted(log_file.parent.iterdir(), key=lambda file: file.name, reverse=True)
    assert [file.name for file in files] == [f"test.jsonl{end}" for end in (".3", ".2", ".1", "")]
    assert all(file.stat().st_size <= 500 for file in files)
    told = [json.loads(line)["status"] for file in files for line in file.read_text().splitlines()]
    assert told == list(range(told[0], 41))


def test_a_disk_that_takes_no_line_stops_nobody(tmp_path: Path) -> None:
    logs.configure("test", tmp_path / "logs")
    (tmp_path / "logs" / "test.jsonl").mkdir()
    logs.get().error("something", status=1)
    logs.configure("test", None, "error")
