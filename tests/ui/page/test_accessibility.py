"""Every tab in a real browser: no violation that axe finds, and nothing lost where each answer takes its time."""

import io
from typing import Any

import pytest

from tests.dialog.tiny_visual import picture
from tests.ui.page.browsing import Visit, need_a_browser
from ui.page.conversation.state import EXAMPLE

need_a_browser()
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
pytestmark = pytest.mark.browser

SIZES = {"desk": (1366, 640), "phone": (390, 844)}
SLOW = 300
"""Milliseconds that every request takes more."""


def faults(page: Any) -> list[str]:
    """What axe finds, each with the places."""
    found = axe.Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['help']}: {[n['html'][:160] for n in v['nodes'][:4]]}" for v in found]


def fill(visit: Visit) -> None:
    """Something to see on each tab."""
    page = visit.page
    for text in ("I got the job!!", "That means leaving you", "This is disgusting", "I want to kill myself"):
        visit.say(text)
    page.click("#rp-with label:has-text('Assistant')")
    for text in ("I miss you", "nothing"):
        page.fill("#rp-words", text)
        page.press("#rp-words", "Enter")
        page.wait_for_selector("#rp-another", state="visible")
    visit.tab("Conversation")
    page.fill("#rp-paste textarea", EXAMPLE)
    page.click("#rp-go")
    page.wait_for_selector("#rp-table tr[data-n]")
    page.click('#rp-table tr[data-n="5"] .rp-said')
    page.wait_for_selector("#rp-log-details section")
    visit.tab("Picture")
    visit.upload("photo.png", _png(), "#rp-picture-upload")
    page.wait_for_selector("#rp-picture image")
    page.fill("#rp-question textarea", "what is it?")
    page.press("#rp-question textarea", "Enter")
    page.wait_for_selector("#rp-rounds button[data-n]")
    visit.tab("Batch")
    visit.upload("chat.txt", b"Ann: hi\n" * 20, "#rp-batch-upload")
    page.wait_for_selector("#rp-batches :text('Done')")
    visit.tab("Recording")
    for name in ("call.wav", "Anruf.mp3"):
        visit.upload(name, b"RIFF", "#rp-rec-upload")
        page.wait_for_selector(f"#rp-rec-wave :text('{name}')")
    page.click('#rp-recs [data-act="ask"] >> nth=1')
    page.wait_for_selector('#rp-recs [data-act="delete"]')
    page.click('#rp-rec-table tr[data-n="1"] .rp-said')
    page.wait_for_selector("#rp-rec-words", state="visible")
    visit.tab("Fleet")
    visit.upload("fleet.csv", _fleet(), "#rp-fleet-upload")
    page.wait_for_selector("#rp-fleet table")


def _fleet() -> bytes:
    """Three units, one of which rises, one with a text in it."""
    rows = [f"{u},{5 * i},{100 + i * (u == 'ill')},{'broken' if u == 'odd' and i == 7 else 60}" for u in
            ("ill", "well", "odd") for i in range(40)]  # fmt: skip
    return "\n".join(["unit,time_h,current,temperature", *rows]).encode()


def _png() -> bytes:
    file = io.BytesIO()
    picture(1, (320, 240)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.timeout(600)
def test_axe_finds_nothing_on_any_tab_wide_and_narrow_light_and_dark(visit: Visit) -> None:
    page = visit.page
    fill(visit)
    found = []
    for size, (width, height) in SIZES.items():
        visit.resize(width, height)
        for colours in ("light", "dark"):
            page.emulate_media(color_scheme=colours, reduced_motion="reduce")
            for name in ("Chat", "Picture", "Conversation", "Batch", "Recording", "Fleet", "About"):
                visit.tab(name)
                page.wait_for_timeout(150)
                found += [f"{name}, {size}, {colours}: {fault}" for fault in faults(page)]
    assert not found, "\n".join(found)
    page.evaluate("() => document.querySelector('#rp-top').append(document.createElement('img'))")
    assert any("image-alt" in fault for fault in faults(page)), "it would have found something"


@pytest.fixture
def slow(visit: Visit) -> Visit:
    """A visit over a line that is slow, both ways."""
    line = visit.page.context.new_cdp_session(visit.page)
    line.send("Network.enable")
    limits = {"offline": False, "latency": SLOW, "downloadThroughput": -1, "uploadThroughput": -1}
    line.send("Network.emulateNetworkConditions", limits)
    return visit


def test_over_a_slow_line_the_box_is_empty_at_once_and_what_is_said_waits_its_turn(slow: Visit) -> None:
    page = slow.page
    page.focus("#rp-words")
    said = [f"message number {i}" for i in range(5)]
    for text in said:
        page.keyboard.type(text)
        # In one turn of the browser: the key is down, the box is empty, whatever the line does.
        left = page.evaluate(
            "() => { const box = document.querySelector('#rp-words');"
            " box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, cancelable: true}));"
            " return box.value; }"
        )
        assert left == ""
    assert page.locator("#rp-log .rp-text").count() <= len(said)
    page.keyboard.type("not sent yet")
    page.wait_for_function("n => document.querySelectorAll('#rp-log .rp-label').length === n", arg=len(said))
    assert page.locator("#rp-log .rp-text").all_inner_texts() == said
    assert page.input_value("#rp-words") == "not sent yet"


def test_over_a_slow_line_letters_typed_while_answers_come_stay_in_their_order(slow: Visit) -> None:
    page = slow.page
    page.focus("#rp-words")
    page.keyboard.type("first")
    page.keyboard.press("Enter")
    words = "the quick brown fox jumps over the lazy dog, and nothing of it is lost"
    page.keyboard.type(words, delay=20)
    page.wait_for_selector("#rp-log .rp-label")
    assert page.input_value("#rp-words") == words
    assert page.evaluate("() => document.activeElement.id") == "rp-words"


def test_over_a_slow_line_a_reload_in_the_middle_loses_nothing(slow: Visit) -> None:
    page = slow.page
    page.focus("#rp-words")
    for text in ("one", "two", "three"):
        page.keyboard.type(text)
        page.keyboard.press("Enter")
    page.keyboard.type("four")
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('#rp-log .rp-label').length === 3")
    assert page.locator("#rp-log .rp-text").all_inner_texts() == ["one", "two", "three"]
    assert page.input_value("#rp-words") == "four"
