"""README's five examples, as they are pasted from there."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from dialog.emotion.tagger import EmotionTagger
from dialog.labels import LABEL_SETS
from models.catalogue import shipped
from serve.api import create_api
from serve.config import AppConfig
from serve.edge.limits import Limits
from serve.emotion.choice import Choice
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from serve.replies.answerer import LocalAnswerer
from serve.replies.deployment import Responders
from serve.storage import Storage
from tests.docs.blocks import ROOT
from tests.docs.shell import Shell
from tests.serve.running import Running
from ui.commands.main import run

SERVICE = "http://127.0.0.1:8000"
_PART = re.compile(r"^\*\*(\d)\. .*?(?=^\*\*\d\. |^## )", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.MULTILINE)
PARTS = {int(part[1]): part[0] for part in _PART.finditer((ROOT / "README.md").read_text("utf-8"))}
EXAMPLES = {number: textwrap.dedent("".join(_BLOCK.findall(part))).strip() for number, part in PARTS.items()}
EMOTION = rf"\b(?:{'|'.join(LABEL_SETS['ekman'])})\b"


@pytest.fixture(scope="module")
def loaded() -> EmotionTagger:
    return EmotionTagger.load()


@pytest.fixture
def shell(tmp_path: Path, loaded: EmotionTagger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """In an empty folder; the default model is loaded once for all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EmotionTagger, "load", lambda *_, **__: loaded)

    def rapport(arguments: list[str], flowing: str) -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO(flowing))
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert run(arguments) == 0
        return out.getvalue()

    def python(arguments: list[str], _: str) -> str:
        assert arguments[0] == "-c"
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(arguments[1], "README.md", "exec"), {})
        return out.getvalue()

    storage = Storage(tmp_path / "test.sqlite")
    config = AppConfig(data_dir=tmp_path)
    viewer, labeller = LocalViewer(Pictures(config)), LocalLabeller(Taggers(config.tagger))
    app = create_api(labeller, viewer, LocalAnswerer(Responders(config)), Choice.of(config), storage, Limits())

    def curl(arguments: list[str], _: str) -> str:
        return asked(app, arguments)

    yield Shell(tmp_path, {".venv/bin/rapport": rapport, ".venv/bin/python": python, "curl": curl})
    storage.close()


def asked(app: Any, arguments: list[str]) -> str:
    """What the service answers to a `curl -s URL -H 'name: value' -d BODY`."""
    import asyncio

    words = iter(arguments)
    url, headers, body = "", {}, ""
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        elif word != "-s":
            url = word

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=SERVICE) as client:
            return await client.post(url, headers=headers, content=body.encode())

    answer = asyncio.run(ask())
    assert answer.status_code == 200, answer.text
    return answer.text


def test_there_are_five() -> None:
    assert sorted(EXAMPLES) == [1, 2, 3, 4, 5]
    assert all(EXAMPLES.values())


def test_a_chat_export_is_labelled(shell: Shell) -> None:
    shell.run(EXAMPLES[1])
    check_labelled(shell.folder)


def test_a_chat_in_the_terminal_is_labelled_line_by_line(shell: Shell) -> None:
    check_chat(shell.run(EXAMPLES[2]))


def test_the_service_is_called(shell: Shell) -> None:
    check_answer(shell.run(EXAMPLES[3]))


def test_python_is_told_what_is_felt(shell: Shell) -> None:
    check_python(shell.run(EXAMPLES[4]))


def test_what_is_shipped_is_seen(shell: Shell) -> None:
    check_models(shell.run(EXAMPLES[5]))


@pytest.mark.slow
def test_all_of_them_run_as_pasted_with_the_service_in_another_terminal(tmp_path: Path) -> None:
    """By bash, with the commands themselves and a service of its own; curl's inline example too."""
    folder = tmp_path / "checkout"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name, arguments in (("rapport", "-m ui.commands"), ("python", "")):
        script = folder / ".venv" / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        script.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def pasted(text: str) -> str:
        command = ["bash", "-euo", "pipefail", "-c", text]
        return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout

    pasted(EXAMPLES[1])
    check_labelled(folder)
    check_chat(pasted(EXAMPLES[2]))
    check_python(pasted(EXAMPLES[4]))
    check_models(pasted(EXAMPLES[5]))
    real = {"tagger": "dialog.emotion.tagger:EmotionTagger", "catalogue": "models.catalogue:shipped"}
    with Running(tmp_path, **real) as service:
        check_answer(pasted(EXAMPLES[3].replace(SERVICE, service.url)))
        (inline,) = re.findall(r"`(curl [^`]*)`", PARTS[3].replace("\n", " "))
        batch = json.loads(pasted(inline.replace("curl", "curl -s", 1).replace(SERVICE, service.url)))
        assert batch["to"] == "html"


def check_labelled(folder: Path) -> None:
    (line,) = (folder / "labelled.jsonl").read_bytes().splitlines()
    predictions = [u["prediction"] for u in orjson.loads(line)["utterances"]]
    assert [p["emotion"] for p in predictions][:2] == ["joy", "joy"]
    assert all(sum(p["probabilities"].values()) == pytest.approx(1, abs=1e-3) for p in predictions)
    report = (folder / "report.html").read_text("utf-8")
    assert report.lower().startswith("<!doctype html")
    assert "leaving you all behind" in report


def check_chat(out: str) -> None:
    assert len(re.findall(EMOTION, out)) >= 2, out


def check_answer(out: str) -> None:
    (utterance,) = json.loads(out)["conversations"][0]["utterances"]
    assert utterance["prediction"]["emotion"] == "joy"


def check_python(out: str) -> None:
    assert re.fullmatch(rf"Ann {EMOTION} 0\.\d+\nBo {EMOTION} 0\.\d+\n", out), out


def check_models(out: str) -> None:
    assert all(card.name in out for card in shipped())
    assert "Data and licences" in out
