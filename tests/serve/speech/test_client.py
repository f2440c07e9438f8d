"""Recordings through the typed clients, and as docs/recordings.md shows them."""

import contextlib
import io
import re
import shlex
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile

from serve.client import AsyncClient, Client, ServiceError
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.speech.listening import listen
from serve.speech.worker import RecordingWorker
from tests.docs.blocks import ROOT
from tests.serve.conftest import TAGGER
from tests.serve.edge.test_over_http import LIMITS as SERVED_LIMITS
from tests.serve.edge.test_over_http import Served
from tests.serve.in_process import InProcess
from tests.serve.speech.conftest import CONFIG, LIMITS
from tests.serve.speech.heard import call

Make = Callable[..., Any]
TEXT = (ROOT / "docs" / "recordings.md").read_text("utf-8").partition("## Over HTTP")[2].partition("\n## ")[0]


def test_a_program_that_waits_sends_follows_hears_corrects_and_forgets(
    make_api: Make, make_worker: Make, tmp_path: Path
) -> None:
    file, sent = call(tmp_path / "call.wav"), list[float]()
    small = LIMITS.model_copy(update={"messages_per_page": 3})
    with Client("http://test", transport=InProcess(make_api(small, recordings=CONFIG)), retries=0) as client:
        begun = client.start_recording(file, speakers=2, progress=sent.append)
        assert (begun.state, begun.speakers_asked, sent[-1]) == ("queued", 2, 1.0)
        with pytest.raises(ServiceError) as early:
            client.envelope(begun.id)
        assert early.value.kind == "not-done"
        make_worker()
        *_, done = client.follow_recording(begun.id, every=0.05)
        assert (done.state, len(done.utterances), done.total) == ("done", 4, 4)  # over two pages
        assert [s.name for s in done.speakers] == ["Speaker 1", "Speaker 2"]
        assert done.utterances[0].prediction is not None
        assert done.utterances[0].prediction.emotion == "joy"
        assert [r.id for r in client.recordings(state="done", filename="call")] == [begun.id]
        assert len(client.envelope(begun.id).peaks) == 1600
        for save in (client.save_sound, lambda i, p: client.save_voice(i, 1, p)):
            save(begun.id, tmp_path / "heard.wav")
            assert soundfile.info(tmp_path / "heard.wav").duration == pytest.approx(done.seconds)
        assert client.edit_utterance(begun.id, 1, text="I hate it", speaker="Ann").utterances[1].speaker == "Ann"
        assert client.name_speaker(begun.id, 0, "Bo").speakers[0].name == "Bo"
        client.save_recording(begun.id, tmp_path / "out.csv", to="csv")
        assert "I hate it" in (tmp_path / "out.csv").read_text("utf-8")
        client.delete_recording(begun.id)
        with pytest.raises(ServiceError, match="no such recording"):
            client.recording(begun.id)


async def test_a_program_that_does_not_wait_does_the_same(make_api: Make, make_worker: Make, tmp_path: Path) -> None:
    file = call(tmp_path / "call.wav")
    app = make_api(LIMITS, recordings=CONFIG)
    async with AsyncClient("http://test", transport=httpx.ASGITransport(app), retries=0) as client:
        make_worker()
        begun = await client.start_recording(file, speakers=2)
        done = [r async for r in client.follow_recording(begun.id, every=0.05)][-1]
        assert (done.state, done.total) == ("done", 4)
        assert [r.id async for r in client.recordings()] == [begun.id]
        assert (await client.envelope(begun.id)).seconds == done.seconds
        await client.save_voice(begun.id, 0, tmp_path / "a.wav")
        await client.save_sound(begun.id, tmp_path / "b.wav")
        assert (await client.edit_utterance(begun.id, 0, text="sad")).utterances[0].text == "sad"
        assert (await client.name_speaker(begun.id, 1, "Ann")).speakers[1].name == "Ann"
        await client.save_recording(begun.id, tmp_path / "c.jsonl")
        await client.delete_recording(begun.id)
        assert [r async for r in client.recordings()] == []


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    call(tmp_path / "call.wav")
    (tmp_path / "data").mkdir()
    served = Served(tmp_path / "data")
    labeller = LocalLabeller(Taggers(TAGGER))
    worker = RecordingWorker(served.storage, labeller, SERVED_LIMITS, CONFIG, listen=listen)
    worker.start()
    yield served
    worker.stop()
    served.stop()


def test_what_the_document_shows_runs(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = TEXT.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{served.port}")
    shown = textwrap.dedent(re.findall(r"(?:^    .*\n)+", here, re.MULTILINE)[0])
    script = f"cd {shlex.quote(str(tmp_path))}\n{shown}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    said = [line.rpartition("  # ")[2] for line in shown.splitlines() if "  # " in line and "# or" not in line]
    assert done.stdout.splitlines() == said
    (example,) = re.findall(r"```python\n(.*?)```", here, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(example, "docs/recordings.md", "exec"), {})
    assert "00:00:00" in out.getvalue()
    assert "joy" in out.getvalue()
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!")
