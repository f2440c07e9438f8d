import re
from dataclasses import replace
from pathlib import Path

import pytest

from serve.client import ServiceError
from tests.dialog.tiny_visual import picture
from tests.ui.fake import MemoryClient
from ui.page.picture.rendering import answer as laid_open
from ui.page.picture.rendering import notices, place, places, rounds
from ui.page.picture.rendering import picture as drawn
from ui.page.picture.tab import PictureState, ask, forget, largest, open_file, restore

BUSY = ServiceError(503, "unavailable", "the models are starting", retry_after=2)
MISSING = ServiceError(503, "model-missing", "the model visual/seqdialn cannot be loaded", retry_after=600)


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient()


@pytest.fixture
def photo(tmp_path: Path) -> str:
    picture(1, (120, 90)).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def shown(client: MemoryClient, photo: str, *questions: str) -> PictureState:
    *_, state = open_file(PictureState(), photo, client)
    for question in questions:
        *_, state = ask(state, question, client)
    return state


def test_a_picture_is_looked_at_and_its_upload_deleted(client: MemoryClient, photo: str) -> None:
    looking, state = open_file(PictureState(), photo, client)
    assert looking.arriving
    assert state.dialog is not None
    assert (looking.arrived, state.arrived) == (0, 1)
    assert state.address.startswith("data:image/jpeg;base64,")
    assert not Path(photo).exists()
    assert "<image" in drawn(state.dialog, state.address, None)


def test_a_question_is_shown_at_once_and_answered_after(client: MemoryClient, photo: str) -> None:
    asking, state = ask(shown(client, photo), " what  is it? ", client)
    assert (asking.asking, asking.unsent) == ("what is it?", "")
    assert "Looking" in rounds(asking.dialog, asking.asking)
    assert state.chosen is not None
    assert (state.asking, state.unsent, state.chosen.answer.text) == (None, None, "a dog")
    assert "71 %" in rounds(state.dialog)


def test_an_answer_is_laid_open_in_words_and_numbers(client: MemoryClient, photo: str) -> None:
    state = shown(client, photo, "what is it?", "is it big?", "where is it?")
    assert state.dialog is not None
    assert state.chosen is not None
    page = laid_open(state.chosen, state.dialog.rounds[:2])
    assert page.index("a dog") < page.index("a cat")
    assert "71 %" in page
    assert page.index("2. is it big?") < page.index("1. what is it?"), "what was used most comes first"
    seen = drawn(state.dialog, state.address, state.chosen.answer)
    assert "looked most at: the centre (42 %), centre right (20 %), centre left (10 %)" in seen
    assert seen.count("rp-looked") == 3
    first = replace(state, selected=0)
    assert first.chosen is not None
    assert "Earlier" not in laid_open(first.chosen)


def test_what_is_not_known_is_said(client: MemoryClient, photo: str) -> None:
    state = shown(client, photo, "unknown?")
    page = laid_open(state.chosen)
    assert "does not know: no answer is likely enough" in page
    assert "not to be relied on" in page
    assert "%" not in rounds(state.dialog), "no probability stands beside what is not known"
    assert state.dialog is not None
    strange = replace(state.dialog, strangeness=1.5)
    assert "unlike" in drawn(strange, state.address, None)
    assert "unlike" not in drawn(state.dialog, state.address, None)


@pytest.mark.parametrize("question", ["never?", "unknown?"])
def test_only_a_guess_is_shown_as_one_and_what_no_picture_answers_rests_on_nothing(
    question: str, client: MemoryClient, photo: str
) -> None:
    state = shown(client, photo, "what is it?", question)
    assert state.dialog is not None
    assert state.chosen is not None
    said, page = rounds(state.dialog), laid_open(state.chosen, state.dialog.rounds[:1])
    seen = drawn(state.dialog, state.address, state.chosen.answer)
    guessed = question == "unknown?"
    assert ("a guess: a dog" in said) == ("a cat" in page) == ("rp-looked" in seen) == guessed
    assert ("that is nothing a picture shows" in said) == (not guessed)
    assert "Earlier rounds" not in page


def test_things_are_outlined_with_names_that_stay_inside(client: MemoryClient, photo: str) -> None:
    state = shown(client, photo, "which things are there?")
    assert state.dialog is not None
    assert state.chosen is not None
    seen = drawn(state.dialog, state.address, state.chosen.answer)
    assert "It found: dog (83 %), surfboard (64 %)." in seen
    assert "rp-places" not in seen
    assert seen.count("rp-edge") == seen.count("rp-looked") == 2
    assert re.findall(r'text-anchor="(\w+)".*?>([^<]*)<', seen) == [("start", "dog"), ("end", "surfboard")]


def test_the_picture_itself_comes_once(client: MemoryClient, photo: str) -> None:
    state = shown(client, photo, "what is it?")
    assert "href" not in drawn(state.dialog, "", None)
    assert "href" in drawn(state.dialog, state.address, None)


def test_the_same_failure_twice_is_told_apart(client: MemoryClient, photo: str, tmp_path: Path) -> None:
    state = shown(client, photo)
    numbers = []
    for _ in range(2):
        (tmp_path / "drawing.svg").write_bytes(b"<svg/>")
        *_, state = open_file(state, str(tmp_path / "drawing.svg"), client)
        numbers.append(notices(state.notice, state.arrived))
    assert numbers[0] != numbers[1]
    assert "SVG" in numbers[1]


def test_the_script_knows_how_large_a_picture_may_be(client: MemoryClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent() -> dict[str, int]:
        raise BUSY

    client.limit["picture_bytes"] = 2 * 1024**2
    assert 'data-largest="2097152" data-told="2 MB"' in largest(client)
    monkeypatch.setattr(client, "limits", silent)
    assert largest(client) == ""


def test_an_engine_that_cannot_say_where_it_looked_shows_the_picture_alone(client: MemoryClient, photo: str) -> None:
    state = shown(client, photo, "what is it?")
    assert state.dialog is not None
    assert state.chosen is not None
    silent = replace(state.chosen.answer, regions=(), rounds=())
    assert "looked" not in drawn(replace(state.dialog, boxes=()), state.address, silent)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0, 0, 1, 1), "the whole picture"),
        ((0, 0, 0.3, 0.3), "top left"),
        ((0.3, 0.3, 0.7, 0.7), "the centre"),
        ((0.8, 0.8, 1, 1), "bottom right"),
    ],
)
def test_places_have_names(box: tuple[float, float, float, float], words: str) -> None:
    assert place(box) == words
    assert places([box, box], [0.25, 0.5]) == [(words, 0.75)]


def test_text_never_becomes_code(client: MemoryClient, photo: str) -> None:
    state = shown(client, photo, "<img src=x onerror=alert(1)>")
    assert "<img" not in rounds(state.dialog) + laid_open(state.chosen)


def test_a_question_that_fails_goes_back_into_the_box(client: MemoryClient, photo: str) -> None:
    state = shown(client, photo, "what is it?")
    client.failing = BUSY
    *_, failed = ask(state, "is it big?", client)
    assert "busy" in failed.notice
    assert (failed.unsent, failed.dialog) == ("is it big?", state.dialog)
    client.failing = None
    *_, after = ask(failed, "is it big?", client)
    assert after.notice == ""


def test_a_question_needs_words_a_picture_and_a_bound(client: MemoryClient, photo: str) -> None:
    assert "Show a picture" in next(ask(PictureState(), "what?", client)).notice
    state = shown(client, photo)
    assert list(ask(state, "  ", client)) == [replace(state, notice="", unsent=None)]
    assert "too long" in next(ask(state, "x" * 1001, client)).notice


def test_what_is_no_picture_leaves_the_one_before(client: MemoryClient, photo: str, tmp_path: Path) -> None:
    state = shown(client, photo)
    (tmp_path / "drawing.png").write_bytes(b"<svg/>")
    *_, after = open_file(state, str(tmp_path / "drawing.png"), client)
    assert "SVG" in after.notice
    assert after.dialog == state.dialog


def test_a_picture_that_is_too_large_is_not_sent(client: MemoryClient, photo: str) -> None:
    client.limit["picture_bytes"] = 100
    (after,) = open_file(PictureState(), photo, client)
    assert "too large" in after.notice
    assert client.dialogs == {}
    assert not Path(photo).exists()


def test_without_a_model_the_tab_says_so(client: MemoryClient, photo: str) -> None:
    client.failing = MISSING
    *_, after = open_file(PictureState(), photo, client)
    assert "no model for pictures" in after.notice
    assert "visual/seqdialn" in after.notice


def test_a_new_picture_deletes_the_one_before(client: MemoryClient, photo: str, tmp_path: Path) -> None:
    state = shown(client, photo, "what is it?")
    picture(2).save(tmp_path / "other.png")
    *_, after = open_file(state, str(tmp_path / "other.png"), client)
    assert after.dialog is not None
    assert list(client.dialogs) == [after.dialog.id]
    assert forget(after, client).dialog is None
    assert client.dialogs == {}


def test_a_picture_deleted_elsewhere_is_told(client: MemoryClient, photo: str) -> None:
    state = shown(client, photo)
    client.dialogs.clear()
    *_, after = ask(state, "what is it?", client)
    assert after.dialog is None
    assert "deleted" in after.notice
    assert forget(state, client).dialog is None


def test_a_reload_brings_the_picture_back(client: MemoryClient, photo: str) -> None:
    state = shown(client, photo, "what is it?")
    assert state.dialog is not None
    assert restore({"dialog": state.dialog.id}, client).dialog == state.dialog
    for nonsense in (None, "", 5, {}, {"dialog": 5}, {"dialog": "gone"}):
        assert restore(nonsense, client) == PictureState()
    client.failing = BUSY
    assert "busy" in restore({"dialog": state.dialog.id}, client).notice


def test_rounds_of_another_window_are_fetched(client: MemoryClient, photo: str) -> None:
    state = shown(client, photo)
    assert state.dialog is not None
    client.ask(state.dialog.id, "and this?")
    *_, after = ask(state, "what is it?", client)
    assert after.dialog is not None
    assert [r.question for r in after.dialog.rounds] == ["and this?", "what is it?"]


def test_a_question_asked_while_a_picture_is_on_its_way_goes_back_into_the_box(
    client: MemoryClient, photo: str
) -> None:
    old = shown(client, photo, "what is it?")
    picture(2, (60, 60)).save(photo)
    arriving, _ = open_file(old, photo, client)
    assert arriving.arriving
    (after,) = ask(arriving, "is it big?", client)
    assert "still on its way" in after.notice
    assert after.unsent == "is it big?"
    assert after.dialog is not None
    assert len(after.dialog.rounds) == 1


def test_an_answer_about_the_picture_before_comes_too_late(client: MemoryClient, photo: str, tmp_path: Path) -> None:
    old = shown(client, photo)
    answers = ask(old, "what is it?", client)
    assert next(answers).asking == "what is it?"
    picture(2, (60, 60)).save(tmp_path / "new.png")
    *_, new = open_file(old, str(tmp_path / "new.png"), client)
    assert list(answers) == []  # nothing is shown of it, and the new picture stays
    assert new.dialog is not None
    assert new.dialog.rounds == ()


def test_of_two_pictures_shown_at_once_the_later_stays_and_the_other_is_deleted(
    client: MemoryClient, photo: str, tmp_path: Path
) -> None:
    picture(2, (60, 60)).save(tmp_path / "later.png")
    state = PictureState()
    first = open_file(state, photo, client)
    assert next(first).arriving
    *_, later = open_file(state, str(tmp_path / "later.png"), client)
    assert list(first) == []
    assert later.dialog is not None
    assert set(client.dialogs) == {later.dialog.id}


def test_a_guess_is_told_as_one_and_none_where_no_picture_answers(client: MemoryClient, photo: str) -> None:
    state = shown(client, photo, "is it unknown?")
    assert state.dialog is not None
    assert "a guess: a dog" in rounds(state.dialog)
    (one,) = state.dialog.rounds
    never = replace(one, answer=replace(one.answer, why="that is nothing a picture shows"))
    assert "a guess" not in rounds(replace(state.dialog, rounds=(never,)))
