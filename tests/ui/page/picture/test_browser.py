"""The Picture tab in a real browser whose camera films by itself: ways in, refusals, slow lines, rounds, windows."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest

from serve.client import ServiceError
from tests.dialog.tiny_visual import picture
from tests.ui.fake import MemoryClient
from tests.ui.page.browsing import CHROMIUM, Visit, have, need_a_browser

need_a_browser()
pytestmark = pytest.mark.browser

PDF = b"%PDF-1.7\n" + b"0" * 400


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One whose camera shows a test film, and which asks nobody whether it may."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as starter:
        arguments = [
            *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
        ]
        browser = starter.chromium.launch(executable_path=CHROMIUM, args=arguments, headless=True)
        yield browser
        browser.close()


@pytest.fixture
def tab(visit: Visit, client: MemoryClient) -> Visit:
    """The Picture tab before its first picture."""
    client.dialogs.clear()
    visit.tab("Picture")
    visit.page.wait_for_selector("#rp-picture .rp-empty")
    return visit


def png(seed: int = 1, size: tuple[int, int] = (320, 240)) -> bytes:
    file = io.BytesIO()
    picture(seed, size).save(file, "PNG")
    return file.getvalue()


def show(visit: Visit, data: bytes | None = None) -> None:
    visit.upload("photo.png", data or png(), "#rp-picture-upload")
    visit.page.wait_for_selector("#rp-picture svg image[href]")
    visit.page.wait_for_selector("#rp-picture-sent", state="hidden")


def ask(visit: Visit, *questions: str) -> None:
    page = visit.page
    for question in questions:
        n = page.locator("#rp-rounds button[data-n]").count()
        page.fill("#rp-question textarea", question)
        page.press("#rp-question textarea", "Enter")
        page.wait_for_selector(f'#rp-rounds button[data-n="{n}"]')


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("letter.pdf", PDF, "This is a PDF"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "This is an SVG drawing"),
        ("icon.ico", b"\0\0\1\0\1\0\x10\x10" + b"\0" * 40, "icon"),
        ("new.jxl", b"\xff\x0a" + b"\x12" * 40, "JPEG XL"),
        ("cut.png", png()[:400], "cut off"),
        ("film.mp4", b"\0\0\0\x1cftypmp42" + b"\0" * 40, "a video"),
        ("nothing.jpg", b"", "nothing.jpg is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_else_is_chosen_is_told_what_it_is(tab: Visit, name: str, data: bytes, told: str) -> None:
    for _ in range(2):  # the same again is said again, and nothing waits for it
        tab.upload(name, data, "#rp-picture-upload")
        tab.page.locator("#rp-picture-notice .rp-error, #rp-picture-sent.rp-error", has_text=told).wait_for()
        tab.page.wait_for_selector("#rp-picture:not(.rp-fading)")
    tab.page.fill("#rp-question textarea", "what is it?")
    tab.page.press("#rp-question textarea", "Enter")
    tab.page.locator("#rp-picture-notice", has_text="Show a picture first").wait_for()


def test_what_is_too_large_is_not_sent(tab: Visit, client: MemoryClient) -> None:
    sent: list[str] = []
    tab.page.on("request", lambda request: sent.append(request.url))
    tab.upload("large.png", b"0" * (21 * 1024**2), "#rp-picture-upload")
    tab.page.locator("#rp-picture-sent.rp-error", has_text="it has 21.0 MB, and at most 20 MB").wait_for()
    assert not [url for url in sent if "/upload" in url]


def test_the_camera_takes_a_picture_and_makes_room_for_it(tab: Visit) -> None:
    page = tab.page
    page.click("#rp-camera button")
    page.get_by_text("Click to Access Webcam").click()
    page.click("#rp-camera button[aria-label='capture photo']")
    page.wait_for_selector("#rp-picture svg image[href]")
    page.wait_for_selector("#rp-camera-image", state="hidden")
    ask(tab, "what is it?")


def test_a_camera_that_does_not_open_says_why_and_may_be_tried_again(tab: Visit) -> None:
    page = tab.page
    page.click("#rp-camera button")
    page.evaluate("() => { window.opens = window.rapportFilms; }")
    for fault, told in (
        ("NotAllowedError", "may not be used"),
        ("NotFoundError", "No camera was found"),
        ("NotReadableError", "Another program"),
        ("AbortError", "could not be opened."),
    ):
        page.evaluate(
            "name => { window.rapportFilms = () => Promise.reject(new DOMException('', name)); }",
            fault,
        )
        page.get_by_text("Click to Access Webcam").click()
        page.locator("#rp-picture-sent.rp-error", has_text=told).wait_for()
    page.evaluate("() => { window.rapportFilms = window.opens; }")
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_selector("#rp-picture-sent", state="hidden")
    page.click("#rp-camera button[aria-label='capture photo']")
    page.wait_for_selector("#rp-picture svg image[href]")


def test_a_page_the_browser_gives_no_camera_says_so(tab: Visit) -> None:
    page = tab.page
    page.evaluate("() => Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
    page.click("#rp-camera button")
    page.get_by_text("Click to Access Webcam").click()
    page.locator("#rp-picture-sent.rp-error", has_text="over https").wait_for()


def test_a_dropped_folder_is_told_what_it_is(tab: Visit) -> None:
    tab.page.evaluate(
        """() => {
          const given = new DataTransfer();
          given.items.add(new File([], 'holiday'));
          const event = new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: given});
          const folder = [{kind: 'file', webkitGetAsEntry: () => ({isDirectory: true})}];
          Object.defineProperty(event, 'dataTransfer', {value: {files: given.files, items: folder, types: ['Files']}});
          document.querySelector('#rp-picture').dispatchEvent(event);
        }"""
    )
    tab.page.locator("#rp-picture-sent.rp-error", has_text="This is a folder").wait_for()


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF"])
def test_every_kind_of_picture_is_shown(tab: Visit, kind: str) -> None:
    file = io.BytesIO()
    picture(1, (120, 90)).save(file, kind)
    show(tab, file.getvalue())
    assert tab.page.get_attribute("#rp-picture svg", "viewBox") == "0 0 120 90"


def test_a_picture_chosen_while_another_is_looked_at_takes_its_place(tab: Visit, client: MemoryClient) -> None:
    client.answering.clear()
    tab.upload("first.png", png(1, (320, 240)), "#rp-picture-upload")
    tab.page.locator("#rp-picture-sent", has_text="Looking at your picture").wait_for()
    tab.upload("second.png", png(2, (90, 60)), "#rp-picture-upload")
    tab.page.wait_for_function("() => document.querySelector('#rp-picture-sent progress') === null")
    client.answering.set()
    tab.page.wait_for_selector('#rp-picture svg[viewBox="0 0 90 60"] image[href]')
    tab.page.wait_for_selector("#rp-picture-sent", state="hidden")
    ask(tab, "what is it?")


def test_words_copied_with_their_looks_stay_words(tab: Visit) -> None:
    page = tab.page
    pasted = page.evaluate(
        """data => {
          const given = new DataTransfer();
          given.setData('text/plain', 'what is it?');
          given.items.add(new File([Uint8Array.from(atob(data), c => c.charCodeAt(0))], 'p.png', {type: 'image/png'}));
          const event = new ClipboardEvent('paste', {bubbles: true, cancelable: true, clipboardData: given});
          return document.querySelector('#rp-question textarea').dispatchEvent(event);
        }""",
        base64.b64encode(png()).decode(),
    )
    assert pasted  # nobody has taken it from the box
    have(page.locator("#rp-picture .rp-empty"), 1)


HALF_SENT = """() => {
  const send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function (body) {
    this.upload.dispatchEvent(new ProgressEvent('progress', {lengthComputable: true, loaded: 2, total: 5}));
    window.goOn = () => send.call(this, body);
  };
}"""
"""What is sent next stays on its way until it is told to go on."""


def test_over_a_slow_line_a_question_is_about_the_new_picture(tab: Visit, client: MemoryClient) -> None:
    page = tab.page
    show(tab)
    first = next(iter(client.dialogs))
    ask(tab, "what is it?")
    page.evaluate(HALF_SENT)
    tab.upload("new.png", png(2, (700, 500)), "#rp-picture-upload")
    page.wait_for_function("() => document.querySelector('#rp-picture-sent progress')?.value === 40")
    page.fill("#rp-question textarea", "is it big?")
    page.press("#rp-question textarea", "Enter")
    page.locator("#rp-picture-sent", has_text="Your question is asked when it is here").wait_for()
    page.evaluate("() => window.goOn()")
    page.wait_for_selector('#rp-rounds button[data-n="0"]:has-text("is it big?")')
    assert page.get_attribute("#rp-picture svg", "viewBox") == "0 0 700 500"
    (only,) = client.dialogs.values()
    assert only.id != first
    assert [r.question for r in only.rounds] == ["is it big?"]


def test_a_busy_service_gives_the_old_picture_back_to_ask_about(tab: Visit, client: MemoryClient) -> None:
    show(tab)
    client.failing = ServiceError(429, "overloaded", "full", retry_after=1)
    tab.upload("new.png", png(2), "#rp-picture-upload")
    tab.page.wait_for_selector("#rp-picture-notice .rp-busy")
    client.failing = None
    tab.page.wait_for_selector("#rp-picture:not(.rp-fading)")
    ask(tab, "what is it?")


def test_the_picture_stays_bright_until_somebody_wants_to_see_where_it_looked(tab: Visit) -> None:
    page = tab.page
    show(tab)
    ask(tab, "what is it?")
    places = page.locator("#rp-picture g.rp-places")
    places.wait_for(state="hidden")
    page.check("#rp-where input")
    places.wait_for()
    ask(tab, "is it big?")
    places.wait_for()  # the choice lasts
    ask(tab, "which things are there?")
    have(page.locator("#rp-picture .rp-edge"), 2)
    # What has names is outlined without being asked for.
    page.locator("#rp-where").wait_for(state="hidden")


def test_a_hundred_rounds_are_light_and_one_step_for_the_keyboard(tab: Visit, client: MemoryClient) -> None:
    page = tab.page
    show(tab)
    (dialog,) = client.dialogs
    for n in range(97):
        client.ask(dialog, f"is it unknown, {n}?")
    href = page.get_attribute("#rp-picture image", "href")
    page.fill("#rp-question textarea", "what is it?")
    page.press("#rp-question textarea", "Enter")
    page.wait_for_selector('#rp-rounds button[data-n="97"]')
    ask(tab, "is it big?", "and now?")
    assert page.get_attribute("#rp-picture image", "href") == href
    assert "and now?" in page.locator("#rp-picture-said").inner_text()
    page.wait_for_function(
        "() => { const log = document.querySelector('#rp-rounds');"
        " return log.scrollTop + log.clientHeight > log.scrollHeight - 4; }"
    )
    focused = "() => document.activeElement.dataset.n"
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == "99"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector('#rp-rounds button[data-n="98"][aria-pressed="true"]')
    assert page.evaluate(focused) == "98"
    page.keyboard.press("Home")
    assert page.evaluate(focused) == "0"
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.matches('#rp-question textarea')")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(focused) == "98", "one stop for all of them"


def test_a_window_keeps_its_own_picture_and_a_new_one_begins_without_it(
    tab: Visit, context: Any, address: str, client: MemoryClient
) -> None:
    show(tab)
    ask(tab, "what is it?")
    second = Visit(context.new_page(), address)
    try:
        second.tab("Picture")
        second.page.wait_for_selector("#rp-picture .rp-empty")
        show(second, png(2, (90, 60)))
        ask(second, "is it small?")
        tab.page.bring_to_front()
        ask(tab, "is it big?")
        assert sorted(len(d.rounds) for d in client.dialogs.values()) == [1, 2]
        tab.page.reload()
        tab.page.wait_for_selector('#rp-rounds button[data-n="1"]')
        assert tab.page.get_attribute("#rp-picture svg", "viewBox") == "0 0 320 240"
    finally:
        second.page.close()


@pytest.mark.parametrize("width", [390, 1366])
def test_box_and_newest_round_are_in_view(tab: Visit, width: int) -> None:
    page = tab.page
    tab.resize(width, 844)
    try:
        show(tab, png(1, (240, 320)))
        ask(tab, *(f"is it unknown, {n}?" for n in range(4)))
        inside = """q => {
          const box = document.querySelector(q).getBoundingClientRect();
          return box.top >= 0 && box.bottom <= innerHeight && document.elementFromPoint(
            (box.left + box.right) / 2, (box.top + box.bottom) / 2).closest(q) !== null;
        }"""
        for what in ("#rp-question textarea", '#rp-rounds button[data-n="3"]'):
            page.wait_for_function(inside, arg=what)
    finally:
        page.set_viewport_size({"width": 1200, "height": 900})


def test_a_tab_is_found_again_after_a_reload(visit: Visit) -> None:
    for name, there in (("Recording", "#rp-rec-upload"), ("Fleet", "#rp-fleet-upload")):
        visit.tab(name)
        visit.page.wait_for_selector(there)
        visit.page.reload()
        visit.page.wait_for_selector(there, state="visible")


def test_thin_pictures_can_be_seen(tab: Visit) -> None:

    for size in ((2000, 20), (20, 1500)):
        show(tab, png(3, size))
        box = tab.page.locator("#rp-picture svg").bounding_box()
        assert box is not None
        assert 20 <= box["height"] <= 600
        assert 20 <= box["width"] <= 800
