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
