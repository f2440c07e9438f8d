"""The report: complete in itself, safe to open, and right about what it shows."""

import base64
import gzip
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog.conversation import Cause, Conversation, Prediction, Utterance
from dialog.formats import Unreadable, write
from dialog.formats.html.drawings import LEFT, WIDTH, lanes, ridges
from dialog.formats.html.glyphs import glyph_of
from dialog.formats.html.pages import LONG, length
from dialog.formats.html.view import ConversationView, Piece, overview_of, percent
from dialog.labels import COLOURS, LABEL_SETS

CHROMIUM = Path("/usr/bin/chromium")
LABELS = LABEL_SETS["ekman"]
EVIL = "<script>alert(1)</script><img src=http://example.org/x.png onerror=alert(2)></style>\"'{{7*7}}"


def predicted(label: str = "joy", p: float = 0.75, causes: tuple[Cause, ...] = ()) -> Prediction:
    rest = {name: (1 - p) / (len(LABELS) - 1) for name in LABELS}
    return Prediction(
        emotion=label, probability=p, probabilities={**rest, label: p}, sentiment="neutral", causes=causes
    )


def said(speaker: str, text: str, **fields: Any) -> Utterance:
    return Utterance(speaker=speaker, text=text, prediction=predicted(**fields))


def chat(n: int, speakers: int = 3, id: str = "chat") -> Conversation:
    turns = (said(f"Person {i * 7 % 11 % speakers}", f"words {i}", label=LABELS[i % 7]) for i in range(n))
    return Conversation(id=id, utterances=tuple(turns))


def report(*items: Conversation | Unreadable, **options: Any) -> str:
    out = io.BytesIO()
    write(list(items), out, "html", **options)
    return out.getvalue().decode()


class Page(HTMLParser):
    """Tags with their attributes, and the words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, attribute: str) -> Iterator[str]:
        return (value for _, attrs in self.tags if (value := attrs.get(attribute)) is not None)


def evil_conversation() -> Conversation:
    cause = Cause(utterance=0, start=0, end=9, span=EVIL, probability=0.5)
    evil = Prediction(
        emotion=EVIL, probability=0.4, probabilities={EVIL: 0.4, "joy": 0.3}, sentiment=EVIL, causes=(cause,)
    )
    turns = (Utterance(speaker=EVIL, text=EVIL, time=EVIL, emotion="x" + EVIL, prediction=evil), said("ב", "مرحبا 😀"))
    return Conversation(
        id=EVIL, utterances=turns, error=EVIL, warnings=(EVIL,), extra={"model_version": EVIL, "mode": EVIL}
    )


def test_a_report_asks_nothing_of_any_other_place() -> None:
    page = Page(report(evil_conversation(), Unreadable.at(1, EVIL, EVIL), title=EVIL))
    assert not {"script", "img", "link", "iframe", "object", "form", "base"} & {tag for tag, _ in page.tags}
    assert all(href.startswith("#") for href in page.all("href"))
    assert not any(name.startswith("on") or name in ("src", "style") for _, attrs in page.tags for name in attrs)


def test_whatever_is_said_is_shown_as_it_was_said() -> None:
    page = Page(report(evil_conversation(), Unreadable.at(1, EVIL, EVIL), title=EVIL))
    assert page.words.count(EVIL) >= 6
    assert "{{7*7}}" in page.words


def test_the_policy_allows_the_style_and_nothing_else() -> None:
    text = report(chat(3))
    style = re.search("<style>(.*)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = next(a["content"] for t, a in Page(text).tags if t == "meta" and "http-equiv" in a)
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in style[1]
    assert "@import" not in style[1]


@pytest.mark.parametrize("n", [0, 1, 2, 41, 2000])
def test_every_utterance_is_there_and_every_link_leads_somewhere(n: int) -> None:
    page = Page(report(chat(n), chat(2, id="second")))
    ids = list(page.all("id"))
    assert len(ids) == len(set(ids))
    assert {href[1:] for href in page.all("href")} <= set(ids)
    assert [f"c1-{i}" in ids for i in (0, n - 1) if i >= 0] == [n > 0] * (1 + (n > 0))


def test_a_label_is_a_word_and_a_shape_wherever_it_is_a_colour() -> None:
    page = Page(report(Conversation(id="a", utterances=(said("Ann", "Hi", label="fear", p=0.42),))))
    (item,) = [attrs for tag, attrs in page.tags if tag == "li" and attrs.get("id") == "c1-0"]
    assert (item["class"] or "").startswith("e")
    assert re.search(r"fear\s+42 %", page.words)
    assert "0 Ann: fear 42 %" in page.words  # what the face in the lane is called


@pytest.mark.parametrize("labels", LABEL_SETS.values())
def test_in_a_label_set_no_two_labels_share_a_colour_or_an_outline(labels: tuple[str, ...]) -> None:
    assert len({COLOURS[label] for label in labels}) == len(labels)
    outlines = {re.sub('<path class="f".*', "", glyph_of(label)) for label in labels}
    assert len(outlines) == len(labels)


def test_causes_are_marked_where_they_stand_and_linked_both_ways() -> None:
    causes = (
        Cause(utterance=0, start=2, end=7, span="got 😀", probability=0.9),
        Cause(utterance=1, start=None, end=None, span=None, probability=0.5),
        Cause(utterance=None, start=None, end=None, span=None, probability=0.1),
    )
    turns = (said("Ann", "I got 😀 it"), said("Bo", "No!", causes=causes[:1]), said("Cem", "Oh", causes=causes))
    text = report(Conversation(id="a", utterances=turns))
    assert "<mark>got 😀</mark>" in text
    assert '<a href="#c1-1" title="a cause of 1">1</a> <a href="#c1-2" title="a cause of 2">2</a>' in text
    page = Page(text)
    assert re.search(r"Because of\s*0:\s*got 😀\s*90 %", page.words)
    assert re.search(r"Because of\s*something outside the conversation\s*10 %", page.words)
    assert re.search(r"A cause of\s*2", page.words)


@given(
    st.text(max_size=20), st.lists(st.tuples(st.integers(-3, 25), st.integers(-3, 25), st.integers(0, 5)), max_size=4)
)
def test_pieces_put_together_are_the_text(text: str, spans: list[tuple[int, int, int]]) -> None:
    causes = [Cause(utterance=0, start=max(0, s), end=max(0, e), span=None, probability=1.0) for s, e, _ in spans]
    turns = (said("A", text), *(said("B", "", causes=(c,)) for c in causes))
    view = ConversationView.of(Conversation(id="a", utterances=turns), 1, LABELS)
    pieces = view.utterances[0].pieces
    assert "".join(p.text for p in pieces) == text
    for i, cause in enumerate(causes, 1):
        marked = "".join(p.text for p in pieces if i in p.causes)
        assert marked == text[cause.start : cause.end]
    assert all(p.text for p in pieces)
    assert view.utterances[1].pieces == () if causes else True


def test_a_text_without_marks_is_one_piece() -> None:
    view = ConversationView.of(Conversation(id="a", utterances=(said("A", "one piece"),)), 1, LABELS)
    assert view.utterances[0].pieces == (Piece("one piece"),)


@settings(max_examples=40)
@given(st.integers(1, 700), st.integers(1, 11))
def test_everything_is_drawn_inside_the_drawing(n: int, speakers: int) -> None:
    view = ConversationView.of(chat(n, speakers), 1, LABELS)
    upper = ridges(view)
    for band in upper.bands:
        assert all(bar.x >= LEFT and bar.x + bar.width <= WIDTH for bar in band.bars)
        assert all(bar.y >= band.base - 30 and bar.y + bar.height <= band.base + 1e-6 for bar in band.bars)
    assert sum(band.count for band in upper.bands) == n
    assert len(upper.ticks) <= 21
    rows = lanes(view)
    assert [f.utterance.number for row in rows for f in row.faces] == list(range(n))
    for row in rows:
        assert all(f.x >= LEFT - 1 and f.x + 20 <= WIDTH and f.y >= 0 and f.y + 20 <= row.height for f in row.faces)
        steps = [b.x - a.x for a, b in zip(row.faces, row.faces[1:], strict=False)]
        assert all(step >= 19 for step in steps), "faces must not cover one another"


def test_numbers_add_up() -> None:
    conversation = chat(30, speakers=20)
    view = ConversationView.of(conversation, 1, LABELS)
    assert sum(row.total for row in view.speakers) == 30
    assert len(view.speakers) <= 12
    overview = overview_of([conversation, Unreadable.at(1, "x"), chat(5, id="b").with_error("boom")])
    assert (overview.conversations, overview.utterances, overview.failed) == (2, 35, 2)
    assert sum(overview.counts.values()) == 35


def test_labels_a_log_came_with_are_shown_where_no_model_spoke() -> None:
    turns = (Utterance(speaker="A", text="x", emotion="joyful"), Utterance(speaker="B", text="y"))
    page = Page(report(Conversation(id="a", utterances=turns)))
    assert "joyful" in page.words
    labelled = replace(turns[0], prediction=predicted("fear"))
    assert "given: joyful" in Page(report(Conversation(id="a", utterances=(labelled,)))).words


def test_many_conversations_are_folded_and_listed() -> None:
    page = Page(report(*(chat(3, id=f"chat {i}") for i in range(20))))
    assert sum(tag == "details" for tag, _ in page.tags) == 20
    assert page.words.count("chat 19") == 2


@pytest.mark.parametrize(
    ("p", "shown"),
    [
        (0.0, "0 %"),
        (0.001, "< 1 %"),
        (0.5, "50 %"),
        (0.994, "99 %"),
        (0.999, "> 99 %"),
        (1.0, "100 %"),
        (float("nan"), "? %"),
    ],
)
def test_percentages_claim_no_more_than_the_model(p: float, shown: str) -> None:
    assert percent(p) == shown


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.floats() | st.floats(0, 1)
CAUSES = st.builds(
    Cause,
    utterance=st.none() | st.integers(0, 5),
    start=st.none() | st.integers(0, 20),
    end=st.none() | st.integers(0, 20),
    span=st.none() | TEXT,
    probability=NUMBER,
)
PREDICTIONS = st.builds(
    Prediction,
    emotion=st.sampled_from(LABELS) | TEXT,
    probability=NUMBER,
    probabilities=st.dictionaries(TEXT, NUMBER, max_size=3),
    sentiment=TEXT,
    causes=st.lists(CAUSES, max_size=2).map(tuple),
)
UTTERANCES = st.builds(
    Utterance,
    speaker=TEXT,
    text=TEXT,
    emotion=st.none() | TEXT,
    time=st.none() | TEXT,
    prediction=st.none() | PREDICTIONS,
)


@settings(max_examples=15)
@given(st.lists(st.builds(Conversation, id=TEXT, utterances=st.lists(UTTERANCES, max_size=3).map(tuple)), max_size=3))
def test_any_conversation_has_a_report(conversations: list[Conversation]) -> None:
    assert report(*conversations).rstrip().endswith("</html>")


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="LOUD: no chromium, so the report was not opened in a browser")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_without_a_script_a_request_or_a_complaint(tmp_path: Path, scheme: Any) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(report(chat(300), evil_conversation(), title="Report"))
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--headless"])
        page = browser.new_context(color_scheme=scheme, viewport={"width": 1000, "height": 800}).new_page()
        page.set_default_timeout(120_000)  # on a busy machine
        page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
        page.on("console", lambda message: complaints.append(f"console {message.text}"))
        page.on("request", lambda r: complaints.append(r.url) if not r.url.startswith("file:") else None)
        page.goto(path.as_uri())
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(251, 250, 248)" if scheme == "light" else "rgb(20, 23, 26)"), "the style is in force"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out at the side"
        page.locator("summary").first.click()
        page.locator("svg.drawing a").first.click()
        page.wait_for_url("**#c1-0")
        page.set_viewport_size({"width": 380, "height": 800})
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")  # nor on a telephone
        browser.close()
    assert complaints == []


def unpacked(text: str) -> list[str]:
    return [gzip.decompress(base64.b64decode(packed)).decode() for packed in Page(text).all("data-page")]


def test_a_long_conversation_stands_in_pages_that_hold_every_message() -> None:
    text = report(chat(LONG + 1), evil_conversation())
    pages = [Page(page) for page in unpacked(text)]
    ids = [id for page in pages for id in page.all("id") if id.startswith("c1-")]
    assert ids == [f"c1-{i}" for i in range(LONG + 1)]
    for page in pages:
        assert {href[1:] for href in page.all("href")} <= set(page.all("id"))
        assert not {"script", "img", "link", "iframe", "form"} & {tag for tag, _ in page.tags}
    whole = Page(text)
    assert not any(id.startswith("c1-") for id in whole.all("id"))
    assert any(id.startswith("c2-") for id in whole.all("id")), "short ones are read where they stand"
    assert len(text) < 0.5 * sum(map(len, unpacked(text)))


def test_the_policy_of_a_long_report_allows_the_lines_that_open_its_pages_and_nothing_else() -> None:
    text = report(chat(LONG + 1))
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    policy = next(a["content"] for t, a in Page(text).tags if t == "meta" and "http-equiv" in a)
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert all(f"<style>{style}</style>" in page for page in unpacked(text)), "the pages live under the same policy"


@pytest.mark.parametrize(("n", "size"), [(2001, 200), (20_000, 200), (60_000, 600), (1_000_000, 10_000)])
def test_a_length_is_chosen_for_the_pages(n: int, size: int) -> None:
    assert length(n) == size


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="LOUD: no chromium, so no page was opened in a browser")
def test_a_browser_opens_a_page_of_a_long_conversation(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(report(chat(LONG + 1)))
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--headless"])
        page = browser.new_page()
        page.set_default_timeout(120_000)  # on a busy machine
        page.on("console", lambda message: complaints.append(f"console {message.text}"))
        page.on("request", lambda r: complaints.append(r.url) if not r.url.startswith(("file:", "about:")) else None)
        page.goto(path.as_uri())
        assert page.locator("iframe").count() == 0
        page.locator("details.page summary").nth(1).click()
        message = page.frame_locator("iframe").locator(".transcript li").first
        assert message.get_attribute("id") == "c1-200"
        frame = page.frames[1]
        assert frame.evaluate("getComputedStyle(document.body).backgroundColor") != "rgba(0, 0, 0, 0)"
        browser.close()
    assert complaints == []
