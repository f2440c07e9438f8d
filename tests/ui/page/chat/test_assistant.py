"""The talk with the assistant: what its address answers, and the Chat tab in a real browser."""

import json
from typing import Any

import httpx
import pytest

from serve.client import ServiceError
from tests.ui.fake import MemoryClient
from tests.ui.page.browsing import CHROMIUM, Visit, have
from ui.page.chat.answer import answers
from ui.page.chat.tab import answer


def in_a_browser(test: Any) -> Any:
    """Marks a test that needs one."""
    missing = pytest.mark.skipif(CHROMIUM is None, reason="CHROMIUM IS MISSING: NO BROWSER TEST HAS RUN")
    return pytest.mark.browser(missing(test))


def begun(client: MemoryClient, *texts: str) -> dict[str, Any]:
    told: dict[str, Any] = {"chat": None, "warnings": {}}
    for text in texts:
        told = answer({"act": "say", "text": text, "speaker": "You", "chat": told["chat"]}, client)
    return {"chat": told["chat"], "total": told["total"], "warnings": told["warnings"]}


def test_words_come_first_and_then_the_chat_with_them() -> None:
    client = MemoryClient()
    *words, last = answers(begun(client, "I got the job!!"), client)
    assert "".join(w["text"] for w in words).strip() == "You say i got the job!!"
    told = last["told"]
    assert (told["total"], told["answered"]) == (2, True)
    assert "rp-program" in told["log"]
    assert "answering" in told["log"]
    assert [(p["name"], p["assistant"]) for p in told["people"]] == [("You", False), ("Assistant", True)]


def test_an_answer_it_does_not_have_looks_like_one() -> None:
    client = MemoryClient()
    *_, last = answers(begun(client, "nothing"), client)
    assert "rp-program-unsure" in last["told"]["log"]
    assert "It has no answer that fits" in last["told"]["log"]


def test_a_chat_that_went_on_is_shown_as_it_is() -> None:
    client = MemoryClient()
    asked = begun(client, "hello")
    client.add_message(asked["chat"], "Bo", "wait")
    (last,) = answers(asked, client)
    assert "notice" not in last["told"]
    assert last["told"]["total"] == 2


def test_when_there_is_no_other_answer_it_is_said_and_when_busy_it_may_be_tried_again() -> None:
    client = MemoryClient()
    asked = begun(client, "hello")
    list(answers(asked, client))
    again = {**asked, "total": 2, "another": True}
    told = [list(answers(again, client))[-1]["told"] for _ in range(4)]
    assert "no other answer" in told[-1]["notice"]
    client.failing = ServiceError(503, "unavailable", "the models are starting", retry_after=2)
    assert list(answers(again, client)) == [{"told": {"notice": told_busy(client), "again": 2}}]


def told_busy(client: MemoryClient) -> Any:
    return answer({"act": "open", "chat": next(iter(client.chats))}, client)["notice"]


def test_what_hangs_up_stops_it_and_what_came_is_kept() -> None:
    client = MemoryClient()
    asked = begun(client, "hello")
    pieces = answers(asked, client)
    assert next(pieces) == {"text": "You "}
    pieces.close()
    kept = client.chats[asked["chat"]].messages[-1]
    assert (kept.text, kept.reply and kept.reply.finish) == ("You", "stopped")


def test_an_export_and_an_undo_know_who_answered() -> None:
    client = MemoryClient()
    asked = begun(client, "hello")
    list(answers(asked, client))
    line = json.loads(answer({"act": "export", "chat": asked["chat"]}, client)["content"])
    assert [u.get("reply", {}).get("finish") for u in line["utterances"]] == [None, "stop"]
    gone = answer({"act": "forget", "chat": asked["chat"]}, client)
    back = answer({"act": "bring_back", "chat": None, "before": gone["undo"]["before"]}, client)
    assert "rp-program" in back["log"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        ("{}", "application/json", 400),
        ("[1]", "application/json", 400),
        ("x", "application/json", 400),
        ("{}", "text/plain", 415),
    ],
)
def test_its_address_takes_nothing_else(address: str, content: str, kind: str, status: int) -> None:
    answered = httpx.post(f"{address}/rapport/answer", content=content, headers={"content-type": kind})
    assert answered.status_code == status


# In a browser


class Talk:
    """A visit with the switch on."""

    def __init__(self, visit: Visit) -> None:
        self.visit, self.page = visit, visit.page
        self.switch("Assistant")

    def switch(self, to: str) -> None:
        self.page.click(f"#rp-with label:has-text('{to}')")

    def type(self, text: str) -> None:
        self.page.fill("#rp-words", text)
        self.page.press("#rp-words", "Enter")

    def say(self, text: str) -> None:
        """Types a message, and waits for the whole answer."""
        before = self.answers()  # counted after it, the answer might be there already
        self.type(text)
        self.whole(before + 1)

    def whole(self, n: int) -> None:
        """Until there are so many answers, and none is coming."""
        self.page.wait_for_function(
            "n => document.querySelectorAll('#rp-log .rp-program').length === n "
            "&& !document.querySelector('#rp-under-way li')",
            arg=n,
        )

    def answers(self) -> int:
        found: int = self.page.locator("#rp-log .rp-program").count()
        return found

    def texts(self) -> list[str]:
        found: list[str] = self.page.locator("#rp-log .rp-text").all_inner_texts()
        return found


@pytest.fixture
def talk(visit: Visit) -> Talk:
    return Talk(visit)


@in_a_browser
def test_a_message_is_labelled_and_answered_and_another_answer_takes_the_place_of_the_first(
    talk: Talk, client: MemoryClient
) -> None:
    talk.say("I got the job!!")
    assert talk.texts() == ["I got the job!!", "You say i got the job!!"]
    assert talk.visit.labels()[:2] == ["joy 93 %", "joy 93 %"]
    have(talk.page.locator("#rp-chat-timeline [data-n]"), 2)
    talk.page.click("#rp-another")
    talk.page.wait_for_selector("#rp-log :text('again')")
    talk.whole(1)
    assert talk.texts() == ["I got the job!!", "You say i got the job!! again"]
    talk.page.click('#rp-log [data-n="1"]')
    talk.page.wait_for_selector("#rp-details :text('program')")
    assert "Because of" in talk.page.inner_text("#rp-details")
    talk.page.click('#rp-details [data-emotion="surprise"]')
    talk.page.wait_for_selector("#rp-log .rp-label :text('surprise')")
    assert len(list(client.chats.values())[-1].messages) == 2


@in_a_browser
def test_it_comes_piece_by_piece_and_stop_keeps_what_came(talk: Talk, client: MemoryClient) -> None:
    talk.type("slowly " + "and on " * 300)  # as long as it may take until somebody can press Stop
    talk.page.wait_for_function("() => (document.querySelector('#rp-live')?.textContent ?? '').startsWith('You say')")
    talk.page.click("#rp-stop")
    talk.whole(1)
    kept = talk.texts()[1]
    assert kept.startswith("You say")
    assert len(kept) < len("and on " * 300)
    have(talk.page.locator("#rp-log :text('stopped')"), 1)
    assert list(client.chats.values())[-1].messages[-1].text == kept


@in_a_browser
def test_a_reload_in_the_middle_loses_nothing(talk: Talk, client: MemoryClient) -> None:
    talk.type("slowly does it")
    talk.page.wait_for_function("() => (document.querySelector('#rp-live')?.textContent ?? '').startsWith('You')")
    talk.type("and this one waits")
    talk.page.reload()
    talk.page.wait_for_selector("#rp-words")
    talk.whole(2)
    texts = talk.texts()
    assert (texts[0], texts[2]) == ("slowly does it", "and this one waits")
    assert texts[1].startswith("You")
    assert texts[3] == "You say and this one waits"
    assert [m.text for m in list(client.chats.values())[-1].messages] == texts


@in_a_browser
def test_two_windows_follow_each_other(talk: Talk, context: Any, address: str) -> None:
    talk.say("hello")
    other = Visit(context.new_page(), talk.page.url)
    other.page.wait_for_selector("#rp-log .rp-program")
    second = Talk(other)
    second.type("from the other window")
    talk.type("from this one")
    talk.page.wait_for_function("() => document.querySelectorAll('#rp-log .rp-program').length === 3")
    other.page.wait_for_function("() => document.querySelectorAll('#rp-log .rp-program').length === 3")
    said = [t for t in talk.texts() if not t.startswith("You say")]
    assert sorted(said) == ["from the other window", "from this one", "hello"]
    other.page.close()


@in_a_browser
def test_the_switch_goes_back_to_people_in_the_middle_of_a_talk(talk: Talk) -> None:
    talk.say("hello 👋🏽 привет")
    talk.switch("People")
    assert talk.page.locator("#rp-speaker input").evaluate_all("all => all.map(i => i.value)") == ["You", "Ann"]
    talk.type("just between us")
    talk.page.wait_for_function("() => document.querySelectorAll('#rp-log .rp-line').length === 3")
    assert talk.answers() == 1
    assert talk.page.is_hidden("#rp-another")
    talk.switch("Assistant")
    talk.page.click("#rp-answer-this")
    talk.whole(2)
    assert talk.texts()[-1] == "You say just between us"


@in_a_browser
def test_what_is_refused_asks_for_no_answer_and_nothing_is_said_of_nothing(talk: Talk, client: MemoryClient) -> None:
    talk.type("   ")
    talk.type("x" * 5000)
    talk.page.wait_for_selector(".rp-failed")
    have(talk.page.locator("#rp-under-way li"), 1)
    talk.page.click("text=Discard")
    talk.say("z" * 4000)
    assert [len(t) for t in talk.texts()] == [4000, 4008]


@in_a_browser
def test_while_the_service_is_away_an_answer_waits(talk: Talk, client: MemoryClient) -> None:
    talk.say("hello")
    client.failing = ServiceError(503, "unavailable", "the models are starting", retry_after=0.2)
    talk.type("are you there?")
    talk.page.wait_for_selector("#rp-chat-notice .rp-notice")
    client.failing = None
    talk.whole(2)
    assert talk.texts()[2:] == ["are you there?", "You say are you there?"]


@in_a_browser
def test_one_of_several_responders_is_chosen(talk: Talk, client: MemoryClient, address: str) -> None:
    assert talk.page.is_hidden("#rp-responder")
    client.answerers = ("reply/built-in", "mine")
    try:
        talk.page.reload()
        talk.page.wait_for_selector("#rp-responder", state="visible")
        talk.page.select_option("#rp-responder", "mine")
        talk.say("hello")
    finally:
        client.answerers = ("reply/built-in",)
    notes = list(client.chats.values())[-1].messages[-1].reply
    assert notes is not None
    assert notes.responder == "mine"


@in_a_browser
@pytest.mark.parametrize("width", [1366, 390])
def test_it_fits_the_screen_and_the_keyboard_reaches_it(talk: Talk, width: int) -> None:
    talk.visit.resize(width, 700)
    talk.say("a very long message " * 40)
    talk.type("slowly " + "now " * 300)
    talk.page.wait_for_selector("#rp-stop")
    assert talk.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    box = talk.page.locator("#rp-stop").bounding_box()
    assert 0 <= box["x"] < box["x"] + box["width"] <= width
    talk.page.wait_for_function("() => (document.querySelector('#rp-live')?.textContent ?? '').startsWith('You')")
    talk.page.focus("#rp-words")
    talk.page.keyboard.press("Escape")
    talk.page.wait_for_selector("#rp-log :text('stopped')")
