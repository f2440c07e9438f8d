"""A start that cannot succeed says why, in a line, before Ray begins."""

import socket
import sqlite3
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from serve.config import AppConfig
from serve.ray.app import run
from serve.ray.checks import reason
from serve.storage import DATABASE, Storage
from tests.serve.conftest import CATALOGUE, TAGGER
from tests.serve.running import free_port

OURS = "dialog.emotion.tagger:EmotionTagger"


@pytest.fixture
def port() -> int:
    return free_port()


def damaged(folder: Path) -> None:
    (folder / DATABASE).write_bytes(b"this is no database at all, whatever it is called" * 100)


def newer(folder: Path) -> None:
    Storage(folder / DATABASE).close()
    with sqlite3.connect(folder / DATABASE) as db:
        db.execute("PRAGMA user_version = 99")


def no_model(folder: Path) -> None:
    (folder / "mine").mkdir()


def half_a_model(folder: Path) -> None:
    no_model(folder)
    (folder / "mine" / "config.json").write_text("{}")
    (folder / "mine" / "model.safetensors").write_bytes(b"\x10" + bytes(7) + b"{")


def nothing(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("before", "settings", "said"),
    [
        (nothing, {"model": "emotion/none"}, "there is no model emotion/none: expected a folder, or one of emotion/"),
        (no_model, {"model": "mine", "tagger": OURS}, "(that folder has no config.json)"),
        (half_a_model, {"model": "mine", "tagger": OURS}, "model.safetensors is cut off or damaged"),
        (nothing, {"catalogue": "tests.serve.fake:nobody"}, "catalogue tests.serve.fake:nobody cannot be used"),
        (nothing, {"tagger": "no.such:Thing"}, "tagger no.such:Thing cannot be used: No module named 'no'"),
        (nothing, {"visual": {"engine": "visual/none"}}, "no model 'visual/none': expected one of visual/"),
        (nothing, {"telemetry": {"model": "telemetry/none"}}, "no model 'telemetry/none'"),
        (nothing, {"replies": {"responders": {"a": "reply/none"}}}, "no model 'reply/none'"),
        (nothing, {"replies": {"opener": "no.such:thing"}}, "replies.opener no.such:thing cannot be used"),
        (damaged, {}, "cannot be used: file is not a database"),
        (newer, {}, "its format is 99"),
        (nothing, {"emotion": {"gpus": 99}}, "asks for 99 GPU(s)"),
        (nothing, {"visual": {"device": "cuda:99"}}, "device 'cuda:99'"),
        (nothing, {"ray": {"address": "nonsense"}}, "ray.address: expected auto, or host:port"),
        (nothing, {"ray": {"address": "127.0.0.1:1"}}, "there is no Ray cluster at 127.0.0.1:1: "),
        (nothing, {"host": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
    ],
)
def test_what_is_in_the_way_of_a_start_is_said_in_a_line_within_seconds(
    tmp_path: Path, port: int, before: Any, settings: dict[str, Any], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before(tmp_path)
    given = {"tagger": TAGGER, "catalogue": CATALOGUE, "data_dir": tmp_path, "port": port, **settings}
    if given.get("model") == "mine":
        given["model"] = str(tmp_path / "mine")
    began = time.monotonic()
    assert run(AppConfig(**given)) == 1
    assert time.monotonic() - began < 60
    told = capfd.readouterr().err
    assert told.count("\n") == 1, told
    assert told.startswith("rapport: ")
    assert said in told


@pytest.mark.parametrize("speaks", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_listens_at_the_clusters_address_and_is_no_ray_is_told_at_once(
    tmp_path: Path, port: int, speaks: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(100)
                connection.sendall(speaks)

        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        given: dict[str, Any] = {"tagger": TAGGER, "catalogue": CATALOGUE, "data_dir": tmp_path, "port": port}
        assert run(AppConfig(**given, ray={"address": address})) == 1
    assert f"there is no Ray cluster at {address}: something else listens there" in capfd.readouterr().err


RAYS_WORDS = """The deployment failed to start 3 times in a row. This may be due to a problem with its constructor or
initial health check failing. See controller logs for details. Error:
\x1b[36mray::ServeReplica:api:Emotion.initialize_and_get_metadata()\x1b[39m (pid=7, ip=127.0.0.1)
  File "concurrent/futures/_base.py", line 449, in result
RuntimeError: Traceback (most recent call last):
  File "serve/emotion/deployment.py", line 200, in get
    self._loaded[model] = self._class.load(self._folders.get(model, model))
ValueError: models/weights/emotion/ekman/model.safetensors is cut off"""


def test_what_a_replica_raised_is_found_in_what_ray_tells() -> None:
    def application(*messages: str) -> Any:
        deployments = {str(i): SimpleNamespace(message=m) for i, m in enumerate(messages)}
        return SimpleNamespace(deployments=deployments, message="Failed to update the deployments ['Emotion'].")

    assert reason(application("", RAYS_WORDS)) == (
        "ValueError: models/weights/emotion/ekman/model.safetensors is cut off"
    )
    assert reason(application("no room\nfor it")) == "no room"
    assert reason(application()) == "Failed to update the deployments ['Emotion']."
