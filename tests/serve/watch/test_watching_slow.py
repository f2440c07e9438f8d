"""The real service under its own watch, in one process and in several: a delay that creeps is told before its limit."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.client import Client, Conversation, Utterance
from tests.serve.running import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def said(text: str) -> list[Conversation]:
    return [Conversation(id="a", utterances=(Utterance(speaker="Ann", text=text),))]


@pytest.mark.parametrize("one_process", ["true", "false"])
def test_a_delay_that_creeps_is_told_before_its_limit(one_process: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"watch__on": "true", "watch__seconds": "0.5", "watch__latency_seconds": "0.4"}
    with Running(tmp_path, one_process=one_process, **settings) as service, Client(service.url) as client:
        assert client.health().watch in (None, "learning")
        began, told = time.monotonic(), None
        while told is None and time.monotonic() - began < 240:
            # More and more of the requests are of those that take 0.2 s: half of the limit in the end.
            share = min(1.0, (time.monotonic() - began) / 120.0)
            for i in range(10):
                client.emotions(said(f"slow {i} {time.monotonic()}" if i < 10 * share else f"great {time.monotonic()}"))
            told = next((one for one in client.health().advice if one.what == "latency"), None)
        assert told is not None
        assert told.why == "limit"
        assert (client.health().shares["latency"] or 0.0) < 1.0
        page = httpx.get(f"{service.url}/metrics").text
        assert 'rapport_watch_alarm{what="latency"} 1.0' in page
        assert 'rapport_watch_share{what="memory"}' in page
        (file,) = (tmp_path / "logs").glob("watch-*.jsonl")
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert any(line["event"] == "watch" and line["watched"] == "latency" for line in lines)
        with contextlib.suppress(FileNotFoundError):  # as if it had hung
            (tmp_path / "metrics" / "watch.state").write_text("{}")
        assert client.emotions(said("great")).conversations
