from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from dialog.conversation import Cause, Prediction, Tag
from serve.client import ServiceError
from tests.ui.fake import predict
from ui.messages import ShownMessage
from ui.page.drawing import render
from ui.page.drawing.people import people_of
from ui.page.drawing.timeline import POINTS, STRIP_SHOWN, strip, timeline
from ui.page.drawing.turning import Turn

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    '</li></ol><a href="javascript:alert(1)">x</a>',
    "${alert(1)} {{constructor.constructor('alert(1)')()}}",
]


class Parsed(HTMLParser):
    """Tags and attributes as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("img", "line", "circle", "br", "progress"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def said(n: int, text: str, speaker: str = "Ann", **fields: Any) -> ShownMessage:
    return ShownMessage(n=n, speaker=speaker, text=text, prediction=predict(text), **fields)


def table(messages: list[ShownMessage], selected: int | None = None) -> str:
    return render.table(messages, messages, people_of((), messages), selected)


def overview(messages: list[ShownMessage]) -> str:
    turns = [Turn(message=messages[0], change=1.0)]
    return render.overview(messages, people_of((), messages), turns)


VIEWS: dict[str, Callable[[str], str]] = {
    "transcript": lambda x: render.transcript([said(0, x, x, warnings=(x,)), said(1, "a", correction=x)], 0),
    "failed": lambda x: render.transcript([ShownMessage(n=0, speaker=x, text=x, error=x)]),
    "details": lambda x: render.details(
        ShownMessage(
            n=0,
            speaker=x,
            text=x,
            prediction=Prediction(
                emotion=x,
                probability=1,
                probabilities={x: 1.0},
                sentiment=x,
                causes=(Cause(utterance=0, start=0, end=1, span=x, probability=1),),
            ),
        ),
        [said(0, x, x)],
    ),
    "table": lambda x: table([said(0, x, x)]),
    "overview": lambda x: overview([said(0, x, x), said(1, x, "Bo", correction=x)]),
    "timeline": lambda x: timeline([said(0, x, x), said(1, x, "Bo", correction=x)]),
    "notice": lambda x: render.notice("error", x, [x], x),
    "unreadable": lambda x: render.unreadable([(3, x, x)]),
    "problem": lambda x: render.problem(ServiceError(422, "invalid", x, faults=[(x, x)], request_id=x)),
    "progress": lambda x: render.progress(x, 0.5),
}


def test_a_warning_is_not_said_twice_of_a_message_without_a_label() -> None:
    reason = "not in English"
    message = ShownMessage(n=0, speaker="Ann", text="مرحبا", error=reason, warnings=(reason,))
    html = render.transcript([message])
    assert html.count(reason) == 1
    assert "no label" in html
    assert reason in render.transcript([replace(message, warnings=())])


def test_what_could_not_be_read_at_all_is_no_line_and_says_nothing_of_others() -> None:
    assert "1 line could not be read" in render.unreadable([(3, "no text", "x")])
    whole = render.unreadable([(0, "binary data", "")], others=False)
    assert "1 part could not be read" in whole
    assert "value=" not in whole
    assert "Everything else" not in whole


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_a_user_writes_becomes_markup(view: str, payload: str) -> None:
    harmless, html = Parsed(VIEWS[view]("hello")), Parsed(VIEWS[view](payload))
    assert html.tags == harmless.tags
    assert html.open == []
    assert [name for name, _ in html.attributes] == [name for name, _ in harmless.attributes]


def test_a_label_is_a_word_and_a_symbol_and_never_colour_alone() -> None:
    chip = render.chip("joy", 0.93)
    assert "joy" in chip
    assert "#rp-g-joy" in chip
    assert "93 %" in chip


def test_a_guess_looks_like_one() -> None:
    assert "rp-unsure" in render.chip("joy", 0.4)
    assert "rp-unsure" not in render.chip("joy", 0.6)


def test_a_correction_is_marked_as_such() -> None:
    assert "by hand" in render.transcript([said(0, "great!", correction="anger")])


def test_a_message_that_is_being_read_is_shown_at_once() -> None:
    html = render.transcript([ShownMessage(n=0, speaker="Ann", text="hello")])
    assert "hello" in html
    assert "reading" in html


def test_an_empty_chat_says_what_to_do() -> None:
    assert "Nobody has spoken yet" in render.transcript([])
    assert "Choose a message" in render.details(None)


def test_a_long_chat_shows_its_end_and_says_so() -> None:
    html = render.transcript([said(n, f"text {n}") for n in range(5, 20)], hidden=5)
    assert html.count("data-n=") == 15
    assert "5 earlier messages hidden" in html


def test_one_message_of_a_chat_is_reached_by_tab_and_the_others_by_arrows() -> None:
    html = render.transcript([said(n, f"text {n}") for n in range(5)], 2)
    assert html.count('tabindex="0"') == 1
    assert html.index('data-n="2" tabindex="0"') > 0
    assert 'data-n="4" tabindex="0"' in render.transcript([said(n, f"text {n}") for n in range(5)])


def test_details_list_every_label_the_most_probable_first() -> None:
    html = render.details(said(0, "great!"))
    assert html.index("joy") < html.index("anger")
    assert html.count("<dt>") == 7


def test_an_overview_counts_what_was_found() -> None:
    html = overview([said(0, "great!"), said(1, "great!"), said(2, "leaving", "Bo")])
    assert "<b>3</b> messages, <b>2</b> speakers" in html


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ServiceError(429, "overloaded", "full", retry_after=3), ["busy", "3 s"]),
        (ServiceError(503, "unavailable", "full"), ["busy", "in a moment"]),
        (ServiceError(0, "unreachable", "no"), ["does not answer"]),
        (ServiceError(413, "too-large", "10 MB at most"), ["too large", "10 MB at most"]),
        (ServiceError(404, "not-found", "no such chat"), ["gone"]),
        (ServiceError(422, "invalid", "wrong", faults=[("/text", "too long")]), ["refused", "<p>too long"]),
        (
            ServiceError(422, "invalid", "wrong", faults=[("/conversations/0/utterances/4/text", "too long")]),
            ["conversation 1, message 5: too long"],
        ),
        (ServiceError(500, "internal", "a fault of ours", request_id="abc"), ["went wrong", "abc"]),
    ],
)
def test_every_fault_has_words_a_visitor_can_use(error: ServiceError, words: list[str]) -> None:
    html = render.problem(error, gone="It is gone.")
    assert all(word in html for word in words)


def test_a_timeline_of_nothing_says_what_will_be_there() -> None:
    assert "will be drawn here" in timeline([])
    assert "will be drawn here" in timeline([ShownMessage(n=0, speaker="Ann", text="hello")])


def test_a_happy_message_stands_above_an_unhappy_one() -> None:
    html = timeline([said(0, "great!"), said(1, "leaving!")])
    heights = [float(part.split("%")[0]) for part in html.split(' y="')[1:] if "%" in part[:6]]
    assert heights[0] < 50 < heights[1]


def test_the_strip_follows_the_end_of_the_chat_and_leads_to_its_messages() -> None:
    messages = [said(n, "great!") for n in range(STRIP_SHOWN + 20)]
    html = strip(messages, people_of((), messages))
    assert html.count("data-n=") == STRIP_SHOWN
    assert 'data-n="19"' not in html
    assert f'data-n="{STRIP_SHOWN + 19}"' in html


def test_labels_of_a_long_log_differ_in_outline_and_not_in_colour_alone() -> None:
    html = timeline([said(n, "great!" if n % 2 else "leaving") for n in range(100)])
    assert html.count('href="#rp-g-joy"') == 50
    assert html.count('href="#rp-g-sadness"') == 50


def test_a_timeline_of_a_very_long_log_stays_small() -> None:
    html = timeline([said(n, "great!" if n % 2 else "leaving") for n in range(10_000)])
    assert html.count("<use") == POINTS
    assert "10,000 messages" in html
    assert len(html) < 200_000


def test_a_timeline_is_told_in_words_too() -> None:
    assert 'aria-label="Mood over time. 2 messages: 1 joy, 1 sadness."' in timeline(
        [said(0, "great!"), said(1, "leaving")]
    )


def caused() -> list[ShownMessage]:
    causes = (
        Cause(utterance=0, start=2, end=13, span="got the job", probability=0.71),
        Cause(utterance=1, start=0, end=4, span="Wow!", probability=0.5),
        Cause(utterance=None, start=None, end=None, span=None, probability=0.4),
    )
    prediction = replace(predict("Wow!"), causes=causes)
    return [said(0, "I got the job"), ShownMessage(n=1, speaker="Bo", text="Wow!", prediction=prediction)]


def test_the_causes_of_the_chosen_message_are_marked_in_words_and_in_the_text() -> None:
    html = render.transcript(caused(), 1)
    assert "I <mark>got the job</mark>" in html
    assert "a cause of the emotion of message 2, 71 %" in html
    assert "<mark>Wow!</mark>" in html
    assert "a cause of its own emotion, 50 %" in html
    for other in (render.transcript(caused(), 0), render.transcript(caused())):
        assert "<mark>" not in other
        assert "a cause of" not in other


def test_details_say_the_causes_in_words() -> None:
    html = render.details(caused()[1], caused())
    assert "message 1, Ann: “got the job” (71\u00a0%)" in html
    assert "the message itself: “Wow!” (50\u00a0%)" in html
    assert "something outside the conversation (40\u00a0%)" in html


def test_the_table_of_a_log_marks_the_causes_of_the_chosen_message() -> None:
    html = table(caused(), selected=1)
    assert "I <mark>got the job</mark>" in html
    assert "a cause of the emotion of message 2, 71 %" in html
    assert html.count('aria-pressed="true"') == 1
    assert "<mark>" not in table(caused())


def test_causes_are_found_among_the_last_messages_of_a_longer_log() -> None:
    first, second = caused()
    assert second.prediction is not None
    later = replace(second, n=1001, prediction=second.prediction.moved(1000))
    html = table([replace(first, n=1000), later], selected=1001)
    assert "because of message 1001, Ann: “got the job” (71\u00a0%); the message itself" in html
    assert "I <mark>got the job</mark>" in html
    lost = table([later])
    assert "because of message 1001 (71\u00a0%)" in lost


def test_the_table_of_a_log_says_the_causes_under_the_message() -> None:
    html = table(caused())
    assert html.count("because of") == 1
    assert "because of message 1, Ann: “got the job” (71\u00a0%); the message itself: “Wow!” (50\u00a0%)" in html


def test_a_message_that_may_speak_of_self_harm_has_a_care_note_that_promises_nothing() -> None:
    message = replace(said(0, "great!"), prediction=replace(predict("x"), care=True))
    assert "may speak of self-harm" in render.transcript([message])
    html = render.details(message)
    assert "emergency number" in html
    assert "cannot tell who is at risk" in html
    assert "self-harm" in overview([message])
    assert "self-harm" not in render.details(said(0, "great!"))


def test_tags_and_pleasantness_stand_beside_the_bars() -> None:
    told = replace(predict("x"), tags=(Tag(tag="gratitude", probability=0.7),), valence=4.1, arousal=2.2)
    message = replace(said(0, "great!"), prediction=told)
    html = render.details(message)
    assert "gratitude <b>70 %</b>" in html
    assert "pleasant (4.1 of 5), calm (2.2 of 5)" in html
    assert "pleasantness 4.1 of 5" in overview([message, said(1, "ok", "Bo")])


def test_a_text_the_model_cannot_read_says_so_in_place_of_a_label() -> None:
    told = replace(predict("x"), emotion=None, reason="not in a language the model knows")
    html = render.transcript([replace(said(0, "x"), prediction=told)])
    assert "not in a language the model knows" in html
