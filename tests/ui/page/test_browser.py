"""The page in a real browser, on plain uvicorn with a client that answers from memory: no Ray, no model.

Whatever is asked of a host other than this one fails and is counted; the count must be zero.
"""

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.client import ServiceError
from tests.dialog.tiny_visual import picture
from tests.ui.fake import MemoryClient
from tests.ui.page.browsing import Visit, have, need_a_browser
from ui.page.conversation import log as conversation_log
from ui.page.scripts import script

need_a_browser()
pytestmark = pytest.mark.browser
PAYLOADS = [
    "<script>alert('xss')</script>",
    "<img src=x onerror=alert('xss')>",
    "<svg onload=alert('xss')><a href=\"javascript:alert('xss')\">x</a>",
    "![x](http://tracker.example/pixel.png) [click](javascript:alert('xss'))",
    "${alert('xss')} {{constructor.constructor('alert(1)')()}}",
    "'\"><iframe srcdoc=\"<script>parent.alert('xss')</script>\">",
]


def test_the_page_is_ours_and_asks_no_foreign_host(visit: Visit) -> None:
    assert visit.page.title() == "rapport"
    for name in ("Picture", "Conversation", "About", "Chat"):
        visit.tab(name)
        visit.page.wait_for_timeout(300)
    assert visit.page.locator("footer a").count() == 0


def test_headers_forbid_foreign_hosts(address: str) -> None:
    answer = httpx.get(address)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    favicon = httpx.get(f"{address}/favicon.ico")
    assert b"<svg" in favicon.content


def test_people_chat_and_every_message_gets_its_label(visit: Visit) -> None:
    visit.say("I got the job!!")
    visit.say("That means leaving you")
    page = visit.page
    assert page.locator("#rp-log .rp-name").all_inner_texts() == ["Ann", "Bo"]
    assert visit.labels() == ["joy 93 %", "sadness 78 %"]
    have(page.locator("#rp-chat-timeline [data-n]"), 2)
    assert page.input_value("#rp-message textarea") == ""


def test_no_letter_and_no_message_is_lost_while_the_service_is_slow(visit: Visit, client: MemoryClient) -> None:
    client.answering.clear()
    page = visit.page
    page.focus("#rp-words")
    for text in ("one", "two", "three"):
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        assert page.input_value("#rp-words") == "", "the box is empty at once"
    page.keyboard.type("fou")
    client.answering.set()
    page.wait_for_function("() => document.querySelectorAll('#rp-log .rp-text').length === 3")
    page.keyboard.type("r")
    assert page.input_value("#rp-words") == "four"
    assert page.locator("#rp-log .rp-text").all_inner_texts() == ["one", "two", "three"]


def test_taking_turns_never_overrides_a_choice(visit: Visit, client: MemoryClient) -> None:
    client.answering.clear()
    page = visit.page
    page.fill("#rp-words", "hi")
    page.press("#rp-words", "Enter")
    page.locator("#rp-speaker label", has_text="Ann").click()
    client.answering.set()
    page.wait_for_function("() => document.querySelectorAll('#rp-log .rp-text').length === 1")
    assert page.locator("#rp-speaker input:checked").get_attribute("value") == "Ann"


def test_a_button_that_is_pressed_is_drawn_anew_when_it_is_let_go(visit: Visit, client: MemoryClient) -> None:
    page = visit.page
    page.clock.install()
    page.reload()
    page.wait_for_selector("#rp-log .rp-empty")
    page.fill("#rp-words", "hi")
    client.answering.clear()
    page.press("#rp-words", "Enter")
    page.locator("#rp-speaker label", has_text="Ann").hover()
    page.clock.pause_at(page.evaluate("() => Date.now() / 1000") + 60)  # a press is short, whatever the machine does
    page.mouse.down()
    with page.expect_response(lambda response: "component_server" in response.url):
        client.answering.set()
    page.wait_for_function("() => !document.querySelector('.rp-asking')")
    page.mouse.up()
    page.clock.resume()
    page.locator("#rp-log .rp-text", has_text="hi").wait_for()
    assert page.locator("#rp-speaker input:checked").get_attribute("value") == "Ann"


def test_a_file_that_is_dropped_before_its_button_is_there_waits_for_it(visit: Visit) -> None:
    page = visit.page
    page.evaluate(
        """drop => {
          const hand = new Function(`${drop}; return hand`)();
          hand(() => document.querySelector('#rp-late'), new File(['Ann: hi'], 'chat.txt'));
        }""",
        script("drop.js"),
    )
    page.evaluate(
        """() => {
          const late = Object.assign(document.createElement('input'), {type: 'file', id: 'rp-late', hidden: true});
          late.addEventListener('change', () => { late.title = late.files[0].name; });
          document.body.append(late);
        }"""
    )
    page.wait_for_selector("#rp-late[title='chat.txt']", state="attached")


def test_slips_are_offered_and_nothing_is_changed_by_itself(visit: Visit) -> None:
    page = visit.page
    page.fill("#rp-words", "wiat for teh end.")
    page.locator("#rp-offers .rp-offer-pair").nth(1).wait_for()
    assert page.input_value("#rp-words") == "wiat for teh end."
    page.get_by_title("Leave wiat as it is").click()
    page.wait_for_function("() => document.querySelectorAll('#rp-offers .rp-offer-pair').length === 1")
    page.get_by_title("Write the instead of teh").click()
    assert page.input_value("#rp-words") == "wiat for the end."
    page.wait_for_function("() => !document.querySelector('#rp-offers').children.length")
    page.fill("#rp-words", "see you tomo")
    page.get_by_title("Go on with tomorrow").click()
    assert page.input_value("#rp-words") == "see you tomorrow "
    page.fill("#rp-words", "teh end.")
    page.locator("#rp-offers .rp-offer-pair").wait_for()
    page.press("#rp-words", "Enter")
    page.locator("#rp-log .rp-text", has_text="teh end.").wait_for()
    assert page.locator("#rp-offers > *").count() == 0
    page.locator("#rp-suggest").uncheck()
    page.fill("#rp-words", "teh end of it.")
    page.wait_for_timeout(600)
    assert page.locator("#rp-offers > *").count() == 0


def test_a_draft_survives_a_reload(visit: Visit) -> None:
    visit.page.fill("#rp-words", "not yet")
    visit.page.reload()
    visit.page.wait_for_function("() => document.querySelector('#rp-words')?.value === 'not yet'")


def test_a_lost_connection_is_said_within_five_seconds_and_messages_wait_for_it(visit: Visit) -> None:
    page = visit.page
    page.clock.install()
    page.reload()
    page.wait_for_selector("#rp-log .rp-empty")
    page.clock.pause_at(page.evaluate("() => Date.now() / 1000") + 60)  # only the page's own time counts
    for what in ("**/favicon.ico", "**/component_server**"):
        page.route(what, lambda route: route.abort())
    page.clock.run_for(5_000)
    page.locator("#rp-lost.rp-away").wait_for()
    page.clock.resume()
    page.fill("#rp-words", "are you there?")
    page.press("#rp-words", "Enter")
    page.locator("#rp-under-way .rp-text", has_text="are you there?").wait_for()
    page.unroute_all()
    page.locator("#rp-log .rp-text", has_text="are you there?").wait_for()
    assert page.locator("#rp-under-way li").count() == 0


def test_a_label_is_looked_into_corrected_and_exported(visit: Visit) -> None:
    visit.say("I got the job!!")
    page = visit.page
    page.focus('#rp-log [data-n="0"]')
    page.keyboard.press("Enter")
    page.wait_for_selector('#rp-log [data-n="0"][aria-pressed="true"]')
    page.wait_for_selector("#rp-details .rp-bars")
    have(page.locator("#rp-details .rp-bars dt"), 7)
    page.locator(".rp-choice", has_text="fear").click()
    page.wait_for_selector(".rp-label:has-text('by hand')")
    assert visit.labels() == ["fear by hand"]
    name, text = visit.save("#rp-export")
    line = json.loads(text)
    assert name.endswith(".jsonl")
    assert line["utterances"][0]["emotion"] == "fear"
    assert line["utterances"][0]["prediction"]["emotion"] == "joy"
    page.click("[data-do=uncorrect]")
    page.wait_for_selector(".rp-label:has-text('joy 93 %')")


def test_a_reload_brings_the_chat_back_and_deleting_asks_first_and_can_be_undone(visit: Visit) -> None:
    visit.say("I got the job!!")
    page = visit.page
    page.reload()
    page.wait_for_selector("#rp-log .rp-message")
    assert "I got the job!!" in page.locator("#rp-log").inner_text()
    page.click("#rp-forget")
    page.click("#rp-yes")
    page.wait_for_selector("#rp-log .rp-empty")
    assert page.locator("#rp-title").inner_text() == "New chat", "nothing of what was said is left"
    page.click("[data-do=undo]")
    page.locator("#rp-log .rp-text", has_text="I got the job!!").wait_for()
    assert page.locator("#rp-title").inner_text() == "I got the job!!"
    page.click("#rp-forget")
    page.click("#rp-yes")
    page.wait_for_selector("#rp-log .rp-empty")
    page.reload()
    page.wait_for_selector("#rp-log .rp-empty")


def test_a_message_is_changed_and_deleted_and_each_can_be_undone(visit: Visit) -> None:
    page = visit.page
    visit.say("I got the job!!")
    visit.say("good")
    page.click('#rp-log [data-n="0"]')
    page.click("#rp-edit")
    page.fill("#rp-new-words", "I lost the job, so sad")
    page.locator("#rp-dialog .rp-main").click()
    page.locator("#rp-log .rp-text", has_text="I lost the job").wait_for()
    assert visit.labels()[0] == "sadness 78 %"
    page.click("[data-do=undo]")
    page.locator("#rp-log .rp-text", has_text="I got the job!!").wait_for()
    page.click("#rp-remove")
    page.wait_for_function("() => document.querySelectorAll('#rp-log .rp-text').length === 1")
    assert page.locator("#rp-undo").inner_text().startswith("Message 1 was deleted.")


def test_several_chats_have_titles_and_addresses_and_back_works(visit: Visit) -> None:
    page = visit.page
    visit.say("about the job")
    first = page.evaluate("() => location.hash")
    page.click("#rp-chats")
    page.click("#rp-new-chat")
    page.wait_for_selector("#rp-log .rp-empty")
    assert page.evaluate("() => location.hash") != first
    visit.say("about the weather")
    assert page.locator("#rp-title").inner_text() == "about the weather"
    page.go_back()
    page.locator("#rp-log .rp-text", has_text="about the job").wait_for()
    visit.tab("About")
    page.wait_for_selector("#rp-about .rp-about")
    assert page.evaluate("() => location.hash") == "#about"
    page.reload()
    page.wait_for_selector("#rp-about .rp-about")
    page.go_back()
    page.locator("#rp-log .rp-text", has_text="about the job").wait_for()


def test_a_filter_hides_and_the_strip_leads_to_a_message(visit: Visit) -> None:
    page = visit.page
    visit.say("I got the job!!")
    visit.say("I hate it")
    page.click("[data-do=find]")
    page.fill("#rp-query", "HATE")
    page.wait_for_function("() => document.querySelectorAll('#rp-log .rp-text').length === 1")
    page.locator("[data-do=show-all]").click()
    page.wait_for_function("() => document.querySelectorAll('#rp-log .rp-text').length === 2")
    page.locator('#rp-chat-timeline [data-n="1"]').click()
    page.wait_for_selector('#rp-log [data-n="1"][aria-pressed="true"]')


def test_people_are_added_renamed_coloured_and_merged(visit: Visit) -> None:
    page = visit.page
    visit.say("hi")
    visit.say("hello")
    page.click("#rp-people")
    page.fill("#rp-dialog [aria-label='Name of Ann']", "👨‍👩‍👧 Cleo")
    page.press("#rp-dialog [aria-label='Name of Ann']", "Enter")
    page.locator("#rp-log .rp-name", has_text="👨‍👩‍👧 Cleo").first.wait_for()
    page.locator("#rp-log .rp-initial", has_text="👨‍👩‍👧").first.wait_for()
    page.select_option("#rp-dialog [aria-label='Colour of 👨‍👩‍👧 Cleo']", label="rose")
    page.locator("#rp-log .rp-line.rp-p5").wait_for()
    page.select_option("#rp-dialog [aria-label='Bo is the same as']", label="👨‍👩‍👧 Cleo")
    page.wait_for_function("() => document.querySelectorAll('#rp-speaker label').length === 1")
    assert set(page.locator("#rp-log .rp-name").all_inner_texts()) == {"👨‍👩‍👧 Cleo"}


def test_the_keyboard_reaches_the_box_and_goes_through_messages(visit: Visit) -> None:
    page = visit.page
    assert page.evaluate("() => document.activeElement.id") == "rp-words"
    visit.say("one")
    visit.say("two")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("() => document.activeElement.dataset.n") == "1"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector("#rp-details .rp-bars")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.id") == "rp-words"
    page.keyboard.press("ArrowUp")
    stops = 0
    while page.evaluate("() => document.activeElement.id") != "rp-words" and stops < 9:
        page.keyboard.press("Tab")
        stops += 1
    assert stops <= 3


def test_a_second_window_follows(visit: Visit, context: Any, address: str) -> None:
    visit.say("hi")
    second = Visit(context.new_page(), address)
    second.page.wait_for_selector("#rp-log .rp-message")
    visit.say("hello")
    second.page.locator("#rp-log .rp-text", has_text="hello").wait_for()
    second.page.close()


def test_light_and_dark_are_a_choice_that_lasts(visit: Visit) -> None:
    page = visit.page
    dark = "() => document.body.classList.contains('dark')"
    before = page.evaluate(dark)
    page.click("#rp-theme")
    assert page.evaluate(dark) != before
    page.reload()
    page.wait_for_selector("#rp-words")
    page.wait_for_function(f"() => ({dark})() !== {json.dumps(before)}")


@pytest.mark.parametrize("size", [(1366, 640), (390, 844), (2560, 1440)])
def test_the_chat_fills_the_window_and_the_box_stays_in_it(size: tuple[int, int], visit: Visit) -> None:
    page = visit.page
    visit.resize(*size)
    page.wait_for_function(
        "height => { const end = document.querySelector('#rp-message').getBoundingClientRect().bottom;"
        " return height - 40 < end && end <= height && document.documentElement.scrollHeight <= height; }",
        arg=size[1],
    )


def test_a_busy_service_is_told_and_the_message_goes_out_later(visit: Visit, client: MemoryClient) -> None:
    visit.say("hi")
    client.failing = ServiceError(429, "overloaded", "full", retry_after=1)
    visit.page.fill("#rp-words", "are you there?")
    visit.page.press("#rp-words", "Enter")
    visit.page.wait_for_selector("#rp-chat-notice .rp-busy")
    client.failing = None
    visit.page.locator("#rp-log .rp-text", has_text="are you there?").wait_for()
    assert visit.page.locator("#rp-chat-notice .rp-busy").count() == 0


def test_a_message_that_is_refused_can_be_put_back_into_the_box(visit: Visit) -> None:
    page = visit.page
    page.fill("#rp-words", "x" * 4001)
    page.press("#rp-words", "Enter")
    page.locator("#rp-under-way .rp-note", has_text="4,001 characters").wait_for()
    page.locator("#rp-under-way button", has_text="Put it back").click()
    assert len(page.input_value("#rp-words")) == 4001


def test_texts_and_names_never_become_code_or_requests(visit: Visit) -> None:
    page = visit.page
    page.click("#rp-add")
    page.fill("#rp-new-name", PAYLOADS[1])
    page.press("#rp-new-name", "Enter")
    page.wait_for_function("() => document.querySelectorAll('#rp-speaker label').length === 3")
    for payload in PAYLOADS:
        visit.say(payload)
    page.click('#rp-log [data-n="3"]')
    page.wait_for_selector("#rp-details .rp-bars")
    visit.tab("Conversation")
    visit.upload("<img src=x onerror=alert(1)>.txt", "".join(f"{p[:30]}: {p}\n" for p in PAYLOADS).encode())
    page.wait_for_selector(".rp-table tbody tr")
    page.wait_for_timeout(300)
    assert page.locator("#rp-table img, #rp-table script, #rp-table iframe, #rp-chat-log img").count() == 0


def test_a_pasted_log_is_labelled_filtered_and_downloaded(visit: Visit) -> None:
    page = visit.page
    visit.tab("Conversation")
    page.locator("#rp-log-notice .rp-empty").wait_for()
    page.fill("#rp-paste textarea", "Ann: I got the job!!\nBo: I hate it\nAnn: what?\n")
    page.click("#rp-go")
    page.wait_for_selector(".rp-table tbody tr")
    have(page.locator(".rp-table tbody tr"), 3)
    page.click("#rp-log-emotion input")
    page.get_by_role("option", name="anger").click()
    page.wait_for_function("() => document.querySelectorAll('.rp-table tbody tr').length === 1")
    page.click(".rp-table tbody tr .rp-why")
    page.wait_for_selector("#rp-log-details .rp-bars")
    page.locator("#rp-log-details .rp-choice", has_text="fear").click()
    page.locator("#rp-log-details .rp-chip", has_text="by hand").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_selector("#rp-log-details section", state="detached")
    for button, opening in (("jsonl", '{"id"'), ("csv", "conversation,"), ("html", "<!doctype html>")):
        name, text = visit.save(f"#rp-save-{button}")
        assert name.endswith(button)
        assert text.lower().startswith(opening)


def test_an_upload_is_labelled_and_what_could_not_be_read_is_listed(visit: Visit) -> None:
    visit.tab("Conversation")
    good = json.dumps({"id": "x", "utterances": [{"speaker": "Ann", "text": "great!"}]})
    visit.upload("log.jsonl", f"{good}\n{{broken\n{good}\n".encode())
    visit.page.wait_for_selector(".rp-table tbody tr")
    assert "1 line could not be read" in visit.page.locator("#rp-log-notice").inner_text()
    assert visit.page.locator("#rp-log-notice li").get_attribute("value") == "2"
    visit.page.wait_for_selector("#rp-which", state="visible")


def test_a_log_is_dropped_and_found_again_after_a_reload(visit: Visit) -> None:
    page = visit.page
    visit.tab("Conversation")
    page.wait_for_selector("#rp-log-notice .rp-empty")
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(['Ann: I got the job!!\\nBo: great\\n'], 'chat.txt', {type: 'text/plain'}));
          document.querySelector('#rp-paste').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true}));
        }"""
    )
    page.wait_for_selector(".rp-table tbody tr")
    page.wait_for_function("() => location.hash.startsWith('#conversation/')")
    page.reload()
    page.wait_for_selector(".rp-table tbody tr")
    have(page.locator(".rp-table tbody tr"), 2)


def test_work_on_a_log_is_cancelled(visit: Visit, client: MemoryClient) -> None:
    page = visit.page
    visit.tab("Conversation")
    page.fill("#rp-paste textarea", "Ann: I got the job!!\n")
    client.answering.clear()
    page.click("#rp-go")
    page.click("#rp-cancel")
    page.locator("#rp-log-notice", has_text="Cancelled").wait_for()
    client.answering.set()
    page.wait_for_timeout(1000)
    assert page.locator(".rp-table tbody tr").count() == 0


def test_a_table_whose_columns_nobody_knows_is_asked_about(visit: Visit) -> None:
    page = visit.page
    visit.tab("Conversation")
    visit.upload("table.csv", b"who wrote;what they wrote\nAnn;great news!\nBo;I hate it\n")
    page.wait_for_selector("#rp-columns")
    for box, choice in (("#rp-text-column", "what they wrote"), ("#rp-speaker-column", "who wrote")):
        page.click(f"{box} input")
        page.get_by_role("option", name=choice).last.click()
    page.click("#rp-with-columns")
    page.wait_for_selector(".rp-table tbody tr")
    assert page.locator(".rp-table tbody th").all_inner_texts() == ["Ann", "Bo"]


def test_an_upload_that_is_too_large_is_refused(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_log, "LARGEST_LOG", 1024)
    visit.tab("Conversation")
    visit.upload("big.txt", b"Ann: hi\n" * 200)
    visit.page.wait_for_selector("#rp-log-notice .rp-error")
    assert "rapport annotate big.txt" in visit.page.locator("#rp-log-notice").inner_text()
    assert visit.page.locator(".rp-table").count() == 0


def test_a_batch_is_uploaded_watched_fetched_and_deleted(visit: Visit, client: MemoryClient) -> None:
    page = visit.page
    visit.tab("Batch")
    page.locator("#rp-batches .rp-empty").wait_for()
    visit.upload("<img src=x onerror=alert(1)>.txt", b"Ann: great\nbroken\n" * 500, "#rp-batch-upload")
    page.wait_for_selector(".rp-batch-done")
    assert "1,000 messages" in page.locator(".rp-batch-state").inner_text()
    assert page.locator("#rp-batches img").count() == 0
    page.click(".rp-batch summary")
    assert "chat-2, line 2: no name <b>before</b>" in page.locator(".rp-batch details li").inner_text()
    with page.expect_download() as download:
        page.click(".rp-batch a.rp-main")
    assert Path(download.value.path()).read_bytes() == b"Ann: great\nbroken\n" * 500
    page.reload()
    visit.tab("Batch")
    for act in ("ask", "keep", "ask", "delete"):  # each is there only once the one before it is done
        page.click(f'.rp-batch button[data-act="{act}"]')
    page.locator("#rp-batches .rp-empty").wait_for()
    assert client.kept == {}


def test_a_picture_is_shown_asked_about_and_forgotten(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    visit.tab("Picture")
    page.wait_for_selector("#rp-picture .rp-empty")
    picture(1, (320, 240)).save(tmp_path / "photo.png")
    with page.expect_file_chooser() as chooser:
        page.click("#rp-picture-upload")
    chooser.value.set_files(str(tmp_path / "photo.png"))
    page.wait_for_selector("#rp-picture svg image")
    for n, question in enumerate(("what is it?", PAYLOADS[1])):
        page.fill("#rp-question textarea", question)
        page.press("#rp-question textarea", "Enter")
        page.wait_for_selector(f'#rp-rounds button[data-n="{n}"]')
    have(page.locator("#rp-picture .rp-looked"), 3)
    page.locator("#rp-answer", has_text="Earlier rounds it used").wait_for()
    assert page.locator("#rp-rounds img").count() == 0
    page.click('#rp-rounds button[data-n="0"]')
    page.wait_for_selector('#rp-rounds button[data-n="0"][aria-pressed="true"]')
    page.reload()
    page.wait_for_selector('#rp-rounds button[data-n="1"]')
    page.click("#rp-picture-forget")
    page.wait_for_selector("#rp-picture .rp-empty")


GIVE = """([data, name, how]) => {
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], name, {type: 'image/png'}));
  const options = {bubbles: true, cancelable: true};
  const at = document.querySelector(how === 'drop' ? '#rp-picture' : '#rp-question textarea');
  at.dispatchEvent(how === 'drop' ? new DragEvent('drop', {...options, dataTransfer: given})
    : new ClipboardEvent('paste', {...options, clipboardData: given}));
}"""


def test_pictures_are_dropped_and_pasted_and_a_question_waits_for_the_one_on_its_way(
    visit: Visit, client: MemoryClient
) -> None:
    page = visit.page

    def give(seed: int, how: str) -> None:
        content = io.BytesIO()
        picture(seed, (320, 240)).save(content, "PNG")
        page.evaluate(GIVE, [base64.b64encode(content.getvalue()).decode(), "photo.png", how])

    visit.tab("Picture")
    page.wait_for_selector("#rp-picture .rp-empty")
    give(1, "drop")
    page.wait_for_selector("#rp-picture svg image")
    first = page.get_attribute("#rp-picture image", "href")
    assert page.locator("#rp-picture .rp-looked").count() == 0  # bright until something is asked
    for n in range(9):
        page.fill("#rp-question textarea", f"is it unknown, {n}?")
        page.press("#rp-question textarea", "Enter")
        page.wait_for_selector(f'#rp-rounds button[data-n="{n}"]')
    page.wait_for_function(
        "() => { const log = document.querySelector('#rp-rounds'); return log.scrollHeight > log.clientHeight + 20"
        " && log.scrollTop + log.clientHeight > log.scrollHeight - 4; }"
    )
    client.answering.clear()
    give(2, "paste")
    page.wait_for_selector("#rp-picture-sent:not([hidden])")
    page.fill("#rp-question textarea", "what is it?")
    page.press("#rp-question textarea", "Enter")
    page.locator("#rp-picture-sent", has_text="Your question is asked when it is here").wait_for()
    client.answering.set()
    page.wait_for_selector('#rp-rounds button[data-n="0"]:has-text("what is it?")')
    assert page.get_attribute("#rp-picture image", "href") != first
    have(page.locator("#rp-rounds button[data-n]"), 1)
    page.locator("#rp-picture-sent").wait_for(state="hidden")
    page.click("#rp-picture-forget")
    page.wait_for_selector("#rp-picture .rp-empty")


def test_it_fits_a_narrow_screen(visit: Visit) -> None:
    visit.page.emulate_media(color_scheme="dark")
    visit.say("A" * 200 + " is a long word, " + "and these are many " * 20)
    for width in (768, 360):
        visit.resize(width, 780)
        for name in ("Chat", "Picture", "Conversation", "Batch", "Recording", "Fleet", "About"):
            visit.tab(name)
            visit.page.wait_for_timeout(100)
            document = "document.documentElement"
            visit.page.wait_for_function(f"() => {document}.scrollWidth <= {document}.clientWidth")
            if name == "Chat":
                above = "[...document.querySelectorAll('.rp-who > *, .rp-speakers label')]"
                visit.page.wait_for_function(f"() => {above}.every(e => e.getBoundingClientRect().right <= innerWidth)")
