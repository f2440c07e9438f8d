"""Recordings on a service of processes: two at once, killed and begun anew in the middle; and through the page."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import soundfile

from serve.client import AsyncClient, Client, Recording
from tests.dialog.speech.voices_made import HIGH, LOW
from tests.serve import running
from tests.serve.running import Running
from tests.serve.speech.heard import OPENER, call
from tests.ui.page.browsing import CHROMIUM, Visit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TURNS = ((HIGH, 2.5), (LOW, 1.5)) * 8
SETTINGS: dict[str, str | int] = {
    "recordings__opener": OPENER,
    "recordings__recognisers": '{"slow": "slow"}',
    "limits__recordings_running": 2,
}


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    """`rapport serve`, not started yet."""
    monkeypatch.setattr(running, "_MAIN", "import sys; from ui.commands.main import run; sys.exit(run(['serve']))")
    return Running(tmp_path / "data", **SETTINGS)


def until(look: Callable[[], Any], seconds: float = 300) -> Any:
    """What `look` gives, once it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def under_way(client: Client, recording_id: str, fraction: float) -> Recording | None:
    """The recording, once so much of it is done."""
    found = client.recording(recording_id)
    assert found.state in ("queued", "running"), "it was to be caught in the middle"
    return found if found.fraction > fraction else None


def listening() -> list[psutil.Process]:
    """The processes that listen to a recording now."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "serve.speech.listening" in command:
            found.append(process)
    return found


def test_two_at_once_outlive_kills_and_a_restart_and_are_heard_to_the_end(service: Running, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    one, two = call(tmp_path / "one.wav", TURNS), call(tmp_path / "zwei Stück.flac", TURNS)

    async def send() -> str:
        async with AsyncClient(service.url) as client:
            return (await client.start_recording(two, speakers=2)).id

    with service, Client(service.url, retries=12) as client:
        first = client.start_recording(one, speakers=2).id
        second = asyncio.run(send())
        until(lambda: under_way(client, first, 0.2) and under_way(client, second, 0.2))
        service.named("Replica:api:Recordings").kill()  # as for want of memory; Ray starts another
        far = client.recording(first).fraction
        until(lambda: under_way(client, first, far))
        service.stop(signal.SIGKILL, seconds=30)  # and now all of it, with nobody to tidy up
        for process in service.left_over():
            process.kill()
        until(lambda: not listening())  # they end with whoever asked
        service.start()
        service.wait_until_ready()
        until(lambda: under_way(client, second, 0.4))
        assert service.stop() == 0  # in good order, in the middle of it
        assert service.left_over() == []
        service.start()
        service.wait_until_ready()
        for recording_id in (first, second):
            *_, done = client.follow_recording(recording_id, every=0.3)
            assert (done.state, done.total, len(done.speakers)) == ("done", len(TURNS), 2)
            assert all(u.text and u.prediction for u in done.utterances)
        folders = [p for p in (tmp_path / "data" / "recordings").iterdir() if p.is_dir()]
        assert sorted(p.name for folder in folders for p in folder.iterdir()) == ["sound.wav"] * 2
        for recording_id in (first, second):
            client.delete_recording(recording_id)
        assert [p for p in (tmp_path / "data" / "recordings").iterdir() if p.is_dir()] == []


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_through_the_page_a_call_is_heard_corrected_saved_and_deleted(service: Running, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    (tmp_path / "data").mkdir()
    file = call(tmp_path / "Anruf für Jörg.wav", TURNS[:4])
    with service, sync_api.sync_playwright() as starter:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = starter.chromium.launch(executable_path=CHROMIUM, args=arguments, headless=True)
        visit = Visit(browser.new_page(viewport={"width": 1366, "height": 900}), service.url)
        page = visit.page
        page.set_default_timeout(120_000)
        visit.tab("Recording")
        page.wait_for_selector("#rp-recs .rp-empty")
        visit.upload(file.name, file.read_bytes(), "#rp-rec-upload")
        page.wait_for_selector("#rp-recs progress")
        page.wait_for_selector("#rp-rec-table tr[data-n]")
        heard = [play(page, n) for n in range(page.locator(".rp-voices audio").count())]
        assert len(heard) >= 2
        assert heard == pytest.approx([soundfile.info(file).duration] * len(heard), abs=0.1)
        page.click('#rp-rec-table tr[data-n="1"] .rp-said')
        page.wait_for_selector("#rp-rec-words textarea", state="visible")
        page.fill("#rp-rec-words textarea", "I hate it")
        page.fill("#rp-rec-who input", "Ann")
        page.keyboard.press("Enter")
        page.click("#rp-rec-apply")
        page.wait_for_selector("#rp-rec-table tr[data-n='1']:has-text('I hate it'):has-text('Ann'):has-text('anger')")
        for name in ("jsonl", "csv", "html"):
            called, text = visit.save(f"#rp-rec-save-{name}")
            assert called == f"Anruf_für_Jörg-emotions.{name}"
            assert "hate" in text  # in the report parts of it are marked
        for link in page.locator(".rp-rec-others a, .rp-voices a").all():
            with page.expect_download() as download:
                link.click()
            assert Path(download.value.path()).stat().st_size > 200
        page.click('#rp-recs [data-act="ask"]')
        page.click('#rp-recs [data-act="delete"]')
        page.wait_for_selector("#rp-rec-notice :text('Nothing was kept')")
        assert [p for p in (tmp_path / "data" / "recordings").iterdir() if p.is_dir()] == []
        assert (visit.foreign, visit.dialogs, visit.errors) == ([], [], [])
        browser.close()


def play(page: Any, n: int) -> float:
    """Plays a voice for a moment: how long it is, in seconds."""
    return float(
        page.locator(".rp-voices audio")
        .nth(n)
        .evaluate(
            """async voice => {
              await voice.play();
              await new Promise(heard => voice.addEventListener('timeupdate', heard, {once: true}));
              voice.pause();
              return voice.duration;
            }"""
        )
    )
