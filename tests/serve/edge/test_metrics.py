"""Figures for operators: counted where things happen, added up over processes, told in Prometheus' words."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from serve.batches import table as batch_table
from serve.edge import metrics
from serve.edge.door import Door
from serve.edge.limits import Limits
from serve.storage import Storage
from serve.watch import told
from tests.serve.conftest import client_of

ROOT = Path(__file__).parents[3]
CACHES = metrics.Caches(lambda: {"texts": (3, 1)})
TURN = {"conversations": [{"utterances": [{"speaker": "Ann", "text": t} for t in ("great", "sad", "hm")]}]}


def figures(page: str) -> dict[str, float]:
    """By name and labels, as they stand on the page."""
    return {
        f"{s.name}{sorted(s.labels.items())}": s.value
        for family in text_string_to_metric_families(page)
        for s in family.samples
    }


def change(before: dict[str, float], after: dict[str, float], name: str, **labels: str) -> float:
    key = f"{name}{sorted(labels.items())}"
    return after.get(key, 0.0) - before.get(key, 0.0)


async def read(client: httpx.AsyncClient) -> dict[str, float]:
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return figures(response.text)


async def test_what_happens_is_counted(make_api: Callable[..., Any], storage: Storage) -> None:
    await storage.do(lambda db: batch_table.add(db, batch_table.new("a", "auto", "jsonl", "m", False, 1), 9))
    async with client_of(make_api(Limits(utterances_per_request=3, body_bytes=300))) as client:
        before = await read(client)
        await client.post("/emotions", json=TURN)
        chat = (await client.post("/chats", json={})).json()["id"]
        await client.post(f"/chats/{chat}/messages", json={"speaker": "Ann", "text": "great"})
        await client.post("/emotions", json={"conversations": [{"utterances": [{"speaker": "", "text": ""}] * 4}]})
        await client.post("/emotions", content=b"x" * 301)
        await client.get("/nowhere")
        after = await read(client)
    said = {"model": "emotion/ekman"}
    assert change(before, after, "rapport_messages_total", **said, through="emotions") == 3
    assert change(before, after, "rapport_messages_total", **said, through="chats") == 1
    assert change(before, after, "rapport_refusals_total", kind="invalid", limit="utterances_per_request") == 1
    assert change(before, after, "rapport_refusals_total", kind="too-large", limit="body_bytes") == 1
    assert change(before, after, "rapport_requests_total", method="POST", route="/emotions", status="200") == 1
    assert change(before, after, "rapport_requests_total", method="GET", route="", status="404") == 1
    assert change(before, after, "rapport_request_seconds_count", route="/emotions") == 2
    assert after["rapport_batches[('state', 'queued')]"] == 1
    assert after["rapport_batches[('state', 'failed')]"] == 0


async def test_an_answer_says_where_the_time_went(client: httpx.AsyncClient) -> None:
    answered = await client.post("/emotions", json=TURN)
    parts = re.findall(r"(\w+);dur=([\d.]+)", answered.headers["server-timing"])
    assert [name for name, _ in parts] == ["queue", "model", "total"]
    assert 0 < float(dict(parts)["model"]) <= float(dict(parts)["total"])
    assert (await client.get("/models")).headers["server-timing"].startswith("total;dur=")


async def test_figures_stand_at_the_address_where_they_are_looked_for(make_api: Callable[..., Any]) -> None:
    door = Door(make_api(), Limits(), front=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://test") as client:
        assert "rapport_messages_total" in (await client.get("/metrics")).text


def test_the_figures_of_all_processes_are_added_up(tmp_path: Path) -> None:
    metrics.MESSAGES.labels("m", "test").inc(0)
    here = figures(metrics.told(None, {}).decode())
    theirs = [
        ["rapport_messages", "counter", "", [["rapport_messages_total", {"model": "m", "through": "test"}, 5.0]]],
        ["rapport_other", "counter", "", [["rapport_other_total", {}, 2.0]]],
    ]
    for process in ("1.json", "2.json"):
        (tmp_path / process).write_bytes(orjson.dumps(theirs))
    (tmp_path / "3.json").write_bytes(b"[[torn")
    found = figures(metrics.told(tmp_path, {}).decode())
    assert change(here, found, "rapport_messages_total", model="m", through="test") == 10
    assert change(here, found, "rapport_other_total") == 4
    metrics.forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_caches_find_is_told_beside_the_rest() -> None:
    metrics.REGISTRY.register(CACHES)
    try:
        found = figures(metrics.told(None, {}).decode())
    finally:
        metrics.REGISTRY.unregister(CACHES)
    assert found["rapport_cache_hits_total[('cache', 'texts')]"] == 3
    assert found["rapport_cache_misses_total[('cache', 'texts')]"] == 1


def test_a_process_writes_what_it_counts_and_finds_itself_once(tmp_path: Path) -> None:
    written = metrics.Written(tmp_path)
    metrics.MESSAGES.labels("m", "once").inc(3)
    written.write()
    assert len(list(tmp_path.glob("*.json"))) == 1
    found = figures(metrics.told(tmp_path, {}).decode())
    assert found["rapport_messages_total[('model', 'm'), ('through', 'once')]"] % 3 == 0
    stored = orjson.loads(next(tmp_path.glob("*.json")).read_bytes())
    assert any(name == "rapport_messages" for name, *_ in stored)


@pytest.mark.parametrize("name", ["alerts.yaml", "board.json"])
def test_rules_and_board_ask_for_figures_there_are(name: str, tmp_path: Path) -> None:
    known = {sample.name for metric in metrics.REGISTRY.collect() for sample in metric.samples}
    known |= {f"{metric.name}{end}" for metric in metrics.REGISTRY.collect() for end in ("_total", "_bucket")}
    known |= {sample.name for metric in CACHES.collect() for sample in metric.samples}
    asked = set(re.findall(r"\brapport_\w+", (ROOT / "docs" / name).read_text("utf-8")))
    watched = {"at": 0, "seconds": 10, "shares": {}, "advice": [], "busy_share": 0.0}
    told.write(tmp_path, watched)
    assert asked - known - told.gauges(tmp_path).keys() == {"rapport_batches"}
    loaded = yaml.safe_load((ROOT / "docs" / name).read_text("utf-8"))
    assert loaded
