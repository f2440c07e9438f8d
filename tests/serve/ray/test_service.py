"""The real thing: Ray Serve, its proxy, its queues, its batches. One service for all, since it starts slowly."""

import asyncio
import io
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import openai
import psutil
import pytest

from dialog.conversation import Conversation, Utterance
from serve.client import Batch, Client, ServiceError
from tests.dialog.tiny_visual import make_visual, picture
from tests.serve.running import Running

pytestmark = pytest.mark.timeout(900)  # the first one waits for the service, which may take long to start


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    eyes = make_visual(tmp_path_factory.mktemp("eyes"), familiar=True)
    settings: dict[str, Any] = {
        "visual__engine": str(eyes),
        "limits__waiting_utterances": 100,
    }
    with Running(tmp_path_factory.mktemp("service"), **settings) as running:
        yield running


def body(*texts: str) -> dict[str, Any]:
    return {"conversations": [{"utterances": [{"speaker": "Ann", "text": text} for text in texts]}]}


async def at_once(service: Running, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(base_url=f"{service.url}/v1", timeout=60, limits=limits) as client:
        return list(await asyncio.gather(*(client.post("/emotions", json=b) for b in bodies)))


def test_it_says_where_it_is_and_that_it_is_ready(service: Running) -> None:
    console = service.log.read_text()
    assert f"rapport is starting on {service.url}" in console
    assert f"rapport is ready: {service.url}/" in console
    assert "Traceback" not in console


def test_it_listens_on_this_machine_only_but_for_ports_that_ask_for_the_secret(service: Running) -> None:
    guarded = []
    for process in (psutil.Process(service.process.pid), *service.remember_family()):
        for connection in process.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN or connection.laddr.ip in ("127.0.0.1", "::ffff:127.0.0.1"):
                continue
            # A replica's port for other replicas; Ray binds it to every address, whatever it is told.
            assert "ServeReplica" in " ".join(process.cmdline())
            guarded.append(connection.laddr.port)
    for port in guarded:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as caught:
                call(b"", timeout=10)
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_a_picture_goes_all_the_way(service: Running) -> None:
    file = io.BytesIO()
    picture(1, (800, 600)).save(file, "JPEG")
    with Client(service.url) as client:
        dialog = client.show_picture(file.getvalue())
        first, second = client.ask(dialog.id, "what is it?"), client.ask(dialog.id, "is it red?")
        assert len(second.answer.regions) == len(dialog.boxes) > 0
        assert client.visual_dialog(dialog.id).rounds == (first, second)
        whole = client.answer(file.getvalue(), "is it red?", rounds=[("what is it?", first.answer.text)])
        assert [c.text for c in whole.answer.answers] == [c.text for c in second.answer.answers]
        assert client.picture(dialog.id).startswith(b"\xff\xd8\xff")
        client.delete_visual_dialog(dialog.id)
        with pytest.raises(ServiceError) as caught:
            client.ask(dialog.id, "are you there?")
        assert caught.value.status == 404


def test_a_conversation_and_a_chat_go_all_the_way(service: Running) -> None:
    with Client(service.url) as client:
        assert client.ready()
        answer = client.emotions([Conversation(id="a", utterances=(Utterance(speaker="Ann", text="great job"),))])
        assert answer.conversations[0].utterances[0].prediction is not None
        chat = client.start_chat()
        assert [client.add_message(chat.id, "Ann", t).emotion for t in ("great", "sad")] == ["joy", "sadness"]
        assert [m.n for m in client.chat(chat.id).messages] == [0, 1]
        client.delete_chat(chat.id)


def test_the_official_client_of_openai_is_answered_at_once_and_piece_by_piece(service: Running) -> None:
    asked: Any = [{"role": "user", "content": "I got the job"}]
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
        model = next(m.id for m in client.models.list())
        whole = client.chat.completions.create(model=model, messages=asked)
        stream = client.chat.completions.create(model=model, messages=asked, stream=True)
        pieces = [c.choices[0].delta.content or "" for c in stream if c.choices]
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="no-such", messages=asked)
    assert whole.choices[0].message.content == "".join(pieces) == "You say: I got the job "
    assert sum(map(bool, pieces)) > 1
    assert whole.model_extra is not None
    assert whole.model_extra["rapport"]["reply"]["emotion"] == "joy"


def test_every_answer_has_one_request_id_and_errors_are_problems(service: Running) -> None:
    with service.client() as client:
        for response in (
            client.get("/health/live", headers={"x-request-id": "abc"}),
            client.get("/nope", headers={"x-request-id": "abc"}),
            client.post("/emotions", content="{", headers={"x-request-id": "abc", "content-type": "application/json"}),
        ):
            assert response.headers.get_list("x-request-id") == ["abc"]
            assert response.json()["request_id"] == "abc"
            if response.status_code != 200:
                assert response.headers["content-type"] == "application/problem+json"
        assert client.get(f"{service.url}/-/routes").status_code == 404


def test_an_oversize_body_is_refused_before_it_fills_the_memory(service: Running) -> None:
    proxy = service.named("ProxyActor")
    before = proxy.memory_info().rss

    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b" " * 1024**2

    with service.client() as client:
        for _ in range(3):
            try:
                response = client.post("/emotions", content=endless(), headers={"content-type": "application/json"})
                assert response.status_code == 413
                assert response.json()["limit"] == "body_bytes"
            except httpx.WriteError:  # it hung up on us while we were still sending, which is its right
                continue
        declared = client.post("/emotions", content=b" " * (11 * 1024**2), headers={"content-type": "application/json"})
        assert declared.status_code == 413
        assert client.get("/health/ready").status_code == 200
    assert proxy.memory_info().rss - before < 64 * 1024**2


def wait_for_batch(client: Client, batch_id: str, until: Callable[[Batch], bool], seconds: float = 240) -> Batch:
    deadline = time.monotonic() + seconds
    while not until(batch := client.batch(batch_id)):
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
    return batch


def many_conversations(path: Path, n: int, text: str = "great") -> Path:
    lines = (json.dumps({"id": i, "utterances": [{"speaker": "Ann", "text": text}] * 100}) for i in range(n))
    path.write_text("\n".join(lines))
    return path


def test_a_batch_goes_all_the_way_though_its_worker_is_killed(service: Running, tmp_path: Path) -> None:
    log = many_conversations(tmp_path / "log.jsonl", 60, "slow")
    with Client(service.url) as client:
        batch = client.start_batch(log, to="csv")
        wait_for_batch(client, batch.id, lambda b: 0 < b.fraction < 1)
        service.named("Replica:api:Batches").kill()
        assert next(client.batches()).id == batch.id
        done = wait_for_batch(client, batch.id, lambda b: b.ended)
        assert (done.state, done.conversations, done.failed) == ("done", 60, 0)
        client.save_batch(batch.id, tmp_path / "out.csv")
        assert len((tmp_path / "out.csv").read_text().splitlines()) == 6001
        client.delete_batch(batch.id)
        assert list(client.batches()) == []
    assert list((service.data_dir / "batches").glob("*/*")) == []


def test_a_batch_goes_on_inside_a_long_conversation_though_its_worker_is_killed(
    service: Running, tmp_path: Path
) -> None:
    log, n = tmp_path / "log.jsonl", 10_000
    said = [{"speaker": "Ann", "text": "great" if i else "slow"} for i in range(n)]
    log.write_text(json.dumps({"id": "long", "utterances": said}))
    with Client(service.url) as client:
        batch = client.start_batch(log)
        before = wait_for_batch(client, batch.id, lambda b: 0 < b.utterances < n)
        assert 0 < before.fraction < 1
        kept = service.data_dir / "batches" / batch.id / "out.jsonl.journal.reading"
        service.named("Replica:api:Batches").kill()
        time.sleep(0.5)
        read = int(kept.read_text())
        assert 0 < read < n
        after = wait_for_batch(client, batch.id, lambda b: b.utterances > before.utterances or b.ended)
        assert after.utterances >= read or after.ended
        done = wait_for_batch(client, batch.id, lambda b: b.ended)
        assert (done.state, done.conversations, done.utterances) == ("done", 1, n)
        client.delete_batch(batch.id)


def test_a_large_log_goes_to_the_disk_and_not_into_the_memory(service: Running) -> None:
    proxy = service.named("ProxyActor")
    before = proxy.memory_info().rss

    def lines() -> Iterator[bytes]:
        for _ in range(150):
            yield b"Ann: great\n" * (1024**2 // 11)

    with service.client() as client:
        response = client.post("/batches", content=lines())
        assert response.status_code == 202
        assert response.json()["bytes"] == 150 * (1024**2 // 11) * 11
        client.delete(f"/batches/{response.json()['id']}")
    assert proxy.memory_info().rss - before < 48 * 1024**2


async def test_requests_that_come_together_are_labelled_together(service: Running) -> None:
    began = time.monotonic()
    responses = await at_once(service, [body("slow")] * 64)
    assert {r.status_code for r in responses} == {200}
    # One call of the tagger for each would be 12.8 s of sleep alone.
    assert time.monotonic() - began < 12


async def test_one_poisoned_request_spoils_no_other(service: Running) -> None:
    bodies = [body("great") for _ in range(12)]
    bodies[5] = body("crash")
    replies = [r.json()["conversations"][0] for r in await at_once(service, bodies)]
    assert [i for i, c in enumerate(replies) if "error" in c] == [5]


async def test_too_much_at_once_is_turned_away_and_it_recovers(service: Running) -> None:
    seen: Counter[int] = Counter()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        responses = await at_once(service, [body(*["slow"] * 5)] * 100)
        seen.update(r.status_code for r in responses)
        for response in responses:
            assert response.headers["content-type"].endswith("json")
            if response.status_code == 429:
                assert int(response.headers["retry-after"]) >= 1
                assert response.json()["type"] == "urn:rapport:problem:overloaded"
    assert set(seen) == {200, 429}
    began = time.monotonic()
    (after,) = await at_once(service, [body("great")])
    assert after.status_code == 200
    assert time.monotonic() - began < 30, "what was turned away is not done all the same"


async def test_a_client_that_hangs_up_disturbs_nobody(service: Running) -> None:
    said = json.dumps(body("slow")).encode()
    head = "POST /v1/emotions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    whole = f"{head}Content-Length: {len(said)}\r\n\r\n".encode() + said
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", service.port)) as hasty:
            hasty.sendall(whole)
            await asyncio.sleep(0.05)
    responses = await at_once(service, [body("great")] * 5)
    assert {r.status_code for r in responses} == {200}


def test_what_was_said_is_in_no_log(service: Running) -> None:
    with service.client() as client:
        client.post("/emotions", json=body("CANARY crash"))
        client.post("/emotions", json={"CANARY": 1})
    logs = [*(service.data_dir / "logs").iterdir(), service.log]
    assert len(logs) >= 3
    assert all("CANARY" not in path.read_text() for path in logs)


def test_a_second_service_on_the_same_port_says_so(service: Running) -> None:
    folder = service.data_dir / "second"
    folder.mkdir()
    second = Running(folder, port=service.port)
    second.start()
    assert second.process.wait(240) == 1
    assert f"cannot listen on 127.0.0.1:{service.port}" in second.log.read_text()


def test_ctrl_c_ends_it_and_leaves_nothing_behind(service: Running) -> None:
    """The last of this file: there is no service after it."""
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 100
    assert service.family
    assert service.left_over() == []
    assert "Traceback" not in service.log.read_text()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", service.port)) != 0
    assert list(Path("/tmp").glob(f"rapport-{service.process.pid}-*")) == []
    assert not os.path.exists("/proc/nowhere")
