"""Two nodes of Ray on this machine, four replicas of the API, PostgreSQL: a node is killed under load."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serve.client import Client
from tests.serve.database.conftest import make_database, server  # noqa: F401
from tests.serve.ray.nodes import Nodes, Talker, kill, names, nodes, until  # noqa: F401
from tests.serve.running import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
_TALKERS = 4


def test_a_node_that_is_killed_under_load_loses_nothing_that_was_acknowledged(
    tmp_path: Path,
    nodes: Nodes,  # noqa: F811
    make_database: Callable[[], str],  # noqa: F811
) -> None:
    head = nodes.start("--head", f"--port={nodes.address.rpartition(':')[2]}", "--include-dashboard=false")
    other = nodes.start(f"--address={nodes.address}")
    log = tmp_path / "log.jsonl"
    line = {"utterances": [{"speaker": "Ann", "text": "slow"}] * 100}
    log.write_text("\n".join(json.dumps({"id": i, **line}) for i in range(300)))
    service = Running(
        tmp_path,
        profile="cluster",
        host="127.0.0.1",
        ray__address=nodes.address,
        database=make_database(),
        api__replicas=4,
        api__on_head_node="false",
        emotion__cpus=1,
        emotion__max_replicas=2,
        environment=nodes.environment,
    )
    with service.patient(420):

        def placed() -> dict[str, list[str]]:
            on = {"head": head, "other": other}
            return {which: [n for n in names(node) if "Replica:api:" in n] for which, node in on.items()}

        # It is ready as soon as one of each answers; this is about a node that does.
        for part in ("Api", "Batches"):
            until(lambda part=part: any(f":{part}" in n for n in placed()["other"]), lambda: str(placed()))  # type: ignore[misc]
        print("\n", placed())
        talkers = [Talker(service.url, f"talker-{i}") for i in range(_TALKERS)]
        with Client(service.url, retries=12, timeout=60) as client:
            batch = client.start_batch(log)
            for talker in talkers:
                talker.start()
            until(lambda: all(len(t.acknowledged) > 20 for t in talkers), lambda: str([t.refused for t in talkers]))
            before = [len(talker.acknowledged) for talker in talkers]
            kill(other)
            killed = time.monotonic()
            until(
                lambda: all(len(t.acknowledged) > b + 20 for t, b in zip(talkers, before, strict=True)),
                lambda: str([t.refused for t in talkers]),
            )
            print(f"{time.monotonic() - killed:.0f} s after the kill each had been answered 20 times again")
            for talker in talkers:
                talker.stop.set()
            for talker in talkers:
                talker.join(120)
                assert not talker.is_alive()
            for talker in talkers:
                kept = [message.text for message in client.chat(talker.chat).messages]
                assert [text for text in kept if text in set(talker.acknowledged)] == talker.acknowledged
                assert len(kept) == len(set(kept)), "something was said twice"
            said, refused = sum(len(t.acknowledged) for t in talkers), [r for t in talkers for r in t.refused]
            print(f"{said} messages acknowledged, all kept, {len(refused)} not answered: {refused[:3]}")
            until(lambda: client.batch(batch.id).ended, lambda: str(client.batch(batch.id)))
            found = client.batch(batch.id)
            assert (found.state, found.conversations, found.failed) == ("done", 300, 0)
            client.save_batch(batch.id, tmp_path / "out.jsonl")
        labelled = [json.loads(one)["id"] for one in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert labelled == list(range(300))
        assert service.stop(signal.SIGTERM) == 0
