"""The Recording tab in a real browser with a microphone that plays a file: spoken, dropped, corrected, found again."""

import io
import wave
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.dialog.speech.voices_made import HIGH, LOW, talk
from tests.ui.fake import MemoryClient
from tests.ui.page.browsing import CHROMIUM, Visit, need_a_browser

need_a_browser()
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One whose microphone hears a call over and over, and which asks nobody whether it may."""
    call = tmp_path_factory.mktemp("microphone") / "call.wav"
    soundfile.write(call, talk([(HIGH, 1.5), (LOW, 1.5)])[0], 16_000, subtype="PCM_16")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as starter:
        arguments = [
            *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
            f"--use-file-for-fake-audio-capture={call}",
        ]
        browser = starter.chromium.launch(executable_path=CHROMIUM, args=arguments, headless=True)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def nothing_yet(client: MemoryClient) -> None:
    client.recorded.clear()


def test_what_is_spoken_is_heard_again_before_it_is_sent(visit: Visit, client: MemoryClient) -> None:
    page = visit.page
    visit.tab("Recording")
    page.wait_for_selector("#rp-recs .rp-empty")
    page.click("#rp-rec-microphone button")
    page.click("#rp-rec-spoken button.record-button")
    # Its own clock begins with the first sound, which may be long after the click.
    page.wait_for_function("() => /0:0[3-9]/.test(document.querySelector('#rp-rec-spoken').innerText)")
    page.click("#rp-rec-spoken button.stop-button")
    page.wait_for_selector("#rp-rec-send", state="visible")
    page.wait_for_function("() => /0:0[1-9]/.test(document.querySelector('#rp-rec-spoken').innerText)")  # can be heard
    assert client.recorded == {}  # nothing goes off before somebody says so
    page.click("#rp-rec-send")
    page.wait_for_selector("#rp-rec-wave :text('Voice message.wav')")
    page.wait_for_selector("#rp-rec-send", state="hidden")
    sound = client.sounds[next(iter(client.recorded))]
    with wave.open(io.BytesIO(sound)) as heard:
        assert 1.0 < heard.getnframes() / heard.getframerate() < 20.0
        samples = np.frombuffer(heard.readframes(heard.getnframes()), "<i2")
    assert np.abs(samples).max() > 2000  # what the microphone heard is in it


DROP = """() => {
  const given = new DataTransfer();
  given.items.add(new File([new Uint8Array([82, 73, 70, 70])], 'Anruf für Jörg.wav', {type: 'audio/wav'}));
  const options = {bubbles: true, cancelable: true, dataTransfer: given};
  document.querySelector('#rp-recs').dispatchEvent(new DragEvent('drop', options));
}"""


def test_one_that_is_chosen_while_another_is_being_sent_waits_for_it(visit: Visit, client: MemoryClient) -> None:
    page = visit.page
    visit.tab("Recording")
    page.wait_for_selector("#rp-recs .rp-empty")
    client.answering.clear()
    for name in ("first.wav", "second.wav"):
        with page.expect_response(lambda response: "/upload" in response.url):
            visit.upload(name, b"RIFF", "#rp-rec-upload")
    client.answering.set()
    for name in ("first.wav", "second.wav"):
        page.wait_for_selector(f"#rp-recs :text('{name}')")
    page.wait_for_selector("#rp-rec-wave :text('second.wav')")


def test_two_are_followed_at_once_corrected_saved_found_after_a_reload_and_deleted(
    visit: Visit, client: MemoryClient
) -> None:
    page = visit.page
    visit.tab("Recording")
    page.wait_for_selector("#rp-recs .rp-empty")
    page.evaluate(DROP)
    visit.upload("second.wav", b"RIFF", "#rp-rec-upload")
    page.wait_for_selector("#rp-rec-wave :text('second.wav')")
    page.click('#rp-recs [data-act="show"]')
    page.wait_for_selector("#rp-rec-wave :text('Anruf für Jörg.wav')")
    page.click('#rp-rec-table tr[data-n="1"] .rp-said')
    page.wait_for_selector("#rp-rec-words textarea", state="visible")
    assert page.input_value("#rp-rec-words textarea") == "That means leaving you"
    page.fill("#rp-rec-words textarea", "This is disgusting")
    page.fill("#rp-rec-who input", "Ann")
    page.keyboard.press("Enter")
    page.click("#rp-rec-apply")
    page.wait_for_selector("#rp-rec-table :text('This is disgusting')")
    page.click('#rp-rec-table tr[data-n="0"] .rp-said')
    page.wait_for_selector("#rp-rec-words textarea", state="visible")
    page.fill("#rp-rec-who input", "Bo")
    page.keyboard.press("Enter")
    page.check("#rp-rec-everywhere input")
    page.click("#rp-rec-apply")
    page.wait_for_selector(".rp-voices :text('Bo')")
    assert page.locator("#rp-rec-table th[scope=row]").all_inner_texts() == ["Bo", "Ann", "Bo"]
    assert visit.save("#rp-rec-save-csv") == ("Anruf für Jörg-emotions.csv", "csv of Anruf für Jörg.wav")
    links = page.locator(".rp-rec-others a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert [link.rpartition("/")[2] for link in links] == ["output?to=parquet", "output?to=label-studio"]
    page.reload()
    visit.tab("Recording")
    page.wait_for_selector("#rp-rec-wave :text('Anruf für Jörg.wav')")
    page.click('.rp-rec-shown [data-act="ask"]')
    page.click('.rp-rec-shown [data-act="delete"]')
    page.wait_for_selector("#rp-rec-notice :text('Nothing was kept')")
    page.wait_for_selector("#rp-rec-result", state="hidden")
    assert [one.filename for one in client.recorded.values()] == ["second.wav"]
