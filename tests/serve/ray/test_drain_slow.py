"""A service that is told to stop under load: what was begun is finished, what was acknowledged is there afterwards."""

import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.client import Client
from tests.serve.database.conftest import make_database, server  # noqa: F401
from tests.serve.ray.nodes import Nodes, Talker, nodes, until  # noqa: F401
from tests.serve.running import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
WORDS = 200
"""Of a streamed reply, 0.05 s each."""


class Listener(threading.Thread):
    """Somebody to whom a reply is streamed."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.heard: list[str] = []
        self.fault = ""
        self._url = f"{url}/v1/chat/completions"

    def run(self) -> None:
        said = {"messages": [{"role": "user", "content": "slow " * WORDS}], "stream": True}
        try:
            with httpx.stream("POST", self._url, json=said, timeout=60) as answer:
                for line in answer.iter_lines():
                    if line:
                        self.heard.append(line.removeprefix("data: "))
        except httpx.HTTPError as error:
            self.fault = f"{type(error).__name__}: {error}"

    @property
    def began(self) -> bool:
        return len(self.heard) > 0


class Asker(threading.Thread):
    """Somebody who asks until he is refused or nobody is there, and remembers how each time ended."""

    def __init__(self, url: str, path: str, body: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.ends: list[int | str] = []
        self._url, self._body = f"{url}/v1{path}", body

    def run(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self.ends or self.ends[-1] in (200, 201):
                try:
                    self.ends.append(client.post(self._url, json=self._body).status_code)
                except httpx.HTTPError as error:
                    self.ends.append(type(error).__name__)


def begin_log(folder: Path, url: str) -> str:
    """A log that takes long, begun."""
    log = folder / "log.jsonl"
    line = {"utterances": [{"speaker": "Ann", "text": "slow"}] * 100}
    log.write_text("\n".join(json.dumps({"id": i, **line}) for i in range(200)))
    with Client(url) as client:
        return client.start_batch(log).id


def expect_labelled(folder: Path, client: Client, batch: str) -> None:
    until(lambda: client.batch(batch).ended, lambda: str(client.batch(batch)))
    found = client.batch(batch)
    assert (found.state, found.conversations, found.failed) == ("done", 200, 0)
    client.save_batch(batch, folder / "out.jsonl")
    assert [json.loads(one)["id"] for one in (folder / "out.jsonl").read_text().splitlines()] == list(range(200))


@pytest.mark.parametrize("one_process", ["true", "false"])
def test_a_stop_under_load_finishes_what_was_begun_and_loses_nothing(tmp_path: Path, one_process: str) -> None:
    turn = {"conversations": [{"utterances": [{"speaker": "Ann", "text": "slow"}]}]}
    with Running(tmp_path, one_process=one_process) as service, Client(service.url) as client:
        chats = [client.start_chat().id for _ in range(4)]
        batch = begin_log(tmp_path, service.url)
        talkers = [Asker(service.url, f"/chats/{chat}/messages", {"speaker": "Ann", "text": "great"}) for chat in chats]
        askers = [Asker(service.url, "/emotions", turn) for _ in range(4)]
        listeners = [Listener(service.url) for _ in range(6)]
        for one in (*talkers, *askers, *listeners):
            one.start()
        until(
            lambda: all(one.began for one in listeners) and all(len(one.ends) > 3 for one in (*talkers, *askers)),
            lambda: str([one.fault for one in listeners]),
        )
        probes: list[tuple[int, int]] = []

        def probe() -> None:
            with httpx.Client(base_url=f"{service.url}/v1", timeout=5) as asking:
                try:
                    while True:
                        probes.append((asking.get("/health/ready").status_code, asking.get("/health/live").status_code))
                        time.sleep(0.1)
                except httpx.HTTPError:
                    pass

        assert not any(one.heard[-1] == "[DONE]" for one in listeners)
        began = time.monotonic()
        watching = threading.Thread(target=probe, daemon=True)
        watching.start()
        assert service.stop(signal.SIGTERM, seconds=90) == 0, service.log.read_text()
        print(f"\nstopped within {time.monotonic() - began:.1f} s;", end=" ")
        for one in (*talkers, *askers, *listeners, watching):
            one.join(30)
            assert not one.is_alive()
        assert service.left_over() == []
        assert (503, 200) in probes, probes
        for one in listeners:
            assert (one.fault, one.heard[-1:]) == ("", ["[DONE]"]), one.heard[-3:]
            said = "".join(json.loads(piece)["choices"][0]["delta"].get("content", "") for piece in one.heard[:-1])
            assert said.split() == ["You", "say:", *["slow"] * WORDS]
        ends = {str(one.ends[-1]) for one in (*talkers, *askers)}
        print(f"whoever asked on: {ends}")
        # Refused, or nobody there any more; never an answer that broke off.
        assert ends <= {"503", "ConnectError"}
    with Running(tmp_path) as second, Client(second.url) as client:
        for chat, talker in zip(chats, talkers, strict=True):
            assert client.chat(chat).total == talker.ends.count(201)
        expect_labelled(tmp_path, client, batch)


class Balancer(threading.Thread):
    """What stands before services: a connection goes to the first of them that is ready."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.behind: list[int] = []
        """The ports of the services."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._ready: int | None = None
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._look, daemon=True).start()

    def run(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _look(self) -> None:
        while True:
            ready = (port for port in self.behind if _is_ready(port))
            self._ready = next(ready, None)
            time.sleep(0.2)

    def _serve(self, front: socket.socket) -> None:
        try:
            back = socket.create_connection(("127.0.0.1", self._ready or 0))
        except OSError:
            front.close()
            return
        answers = threading.Thread(target=_pass_on, args=(back, front), daemon=True)
        answers.start()
        _pass_on(front, back)
        answers.join()
        front.close()
        back.close()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v1/health/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_a_service_takes_anothers_place_under_load_and_nobody_notices(
    tmp_path: Path,
    nodes: Nodes,  # noqa: F811
    make_database: Callable[[], str],  # noqa: F811
) -> None:
    database = make_database()
    shared = tmp_path / "shared"
    shared.mkdir()
    balancer = Balancer()
    balancer.start()

    def service(name: str) -> Running:
        address = nodes.start_head()
        made = Running(
            shared,
            profile="cluster",
            host="127.0.0.1",
            ray__address=address,
            database=database,
            api__replicas=2,
            emotion__cpus=1,
            emotion__max_replicas=2,
            environment=nodes.environment,
        )
        made.log = tmp_path / f"{name}.txt"
        return made.patient(420)

    with service("old") as old:
        balancer.behind = [old.port]
        until(lambda: _is_ready(old.port), lambda: old.log.read_text())
        time.sleep(1)
        talkers = [Talker(balancer.url, f"talker-{i}") for i in range(4)]
        batch = begin_log(tmp_path, balancer.url)
        for talker in talkers:
            talker.start()
        with service("new") as new:
            balancer.behind = [old.port, new.port]
            before = [len(talker.acknowledged) for talker in talkers]
            assert min(before) > 10, [talker.refused for talker in talkers]
            began = time.monotonic()
            assert old.stop(signal.SIGTERM, seconds=90) == 0, old.log.read_text()
            print(f"\nthe old one stopped within {time.monotonic() - began:.1f} s")
            before = [len(talker.acknowledged) for talker in talkers]
            until(
                lambda: all(len(t.acknowledged) > b + 20 for t, b in zip(talkers, before, strict=True)),
                lambda: str([t.refused for t in talkers]),
            )
            for talker in talkers:
                talker.stop.set()
            for talker in talkers:
                talker.join(120)
                assert not talker.is_alive()
            with Client(new.url) as client:
                for talker in talkers:
                    assert talker.refused == []
                    assert [message.text for message in client.chat(talker.chat).messages] == talker.acknowledged
                expect_labelled(tmp_path, client, batch)
            print(f"{sum(len(t.acknowledged) for t in talkers)} messages, all acknowledged and kept")
            assert new.stop(signal.SIGTERM, seconds=90) == 0
