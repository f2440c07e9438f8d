"""What any corrector keeps to, whatever it has learned."""

from pathlib import Path

import pytest

from dialog.correction.corrector import TextCorrector, applied
from models.catalogue import WEIGHTS_FILE
from models.checkpoint import CheckpointError
from tests.dialog.correction.tiny import make_corrector

TEXT = "Teh cat sta on teh mst 😀 tommorow!! see www.teh.com, alot of caats i cant wiat"


@pytest.fixture(scope="module")
def eager() -> TextCorrector:
    return make_corrector(-1.0)


def test_edits_made_in_the_text_give_what_was_meant_and_nothing_between_them_changes(eager: TextCorrector) -> None:
    done = eager.correct(TEXT)
    assert done.text == TEXT
    assert len(done.edits) > 4
    assert applied(TEXT, done.edits) == done.corrected != TEXT
    assert all(TEXT[e.start : e.end] == e.typed for e in done.edits)
    assert all(a.end <= b.start for a, b in zip(done.edits, done.edits[1:], strict=False))
    assert all(0 <= e.probability <= 1 for e in done.edits)
    assert "😀" in done.corrected
    assert "www.teh.com" in done.corrected


def test_the_edits_undone_give_the_text_back(eager: TextCorrector) -> None:
    done = eager.correct(TEXT)
    moved, undone = 0, []
    for e in done.edits:
        start = e.start + moved
        undone.append(e._replace(start=start, end=start + len(e.meant), typed=e.meant, meant=e.typed))
        moved += len(e.meant) - len(e.typed)
    assert applied(done.corrected, undone) == TEXT


def test_a_margin_of_one_changes_nothing() -> None:
    assert make_corrector(1.0).correct(TEXT).edits == ()


def test_words_to_keep_are_kept(eager: TextCorrector) -> None:
    assert "teh" in {e.typed for e in eager.correct(TEXT).edits}
    assert "teh" not in {e.typed.lower() for e in eager.correct(TEXT, keep={"teh"}).edits}


def test_what_was_said_in_another_part_of_a_long_text_is_mended_too(eager: TextCorrector) -> None:
    text = "the cat sat on the mat. " * 30 + "teh end"
    assert [e.start for e in eager.correct(text).edits if e.typed == "teh"] == [text.index("teh")]


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "a", "'", "\ud800 teh", "日本語", "teh" * 4_000, "teh " * 500, "\x00"]
)
def test_no_text_is_too_odd(eager: TextCorrector, text: str) -> None:
    done = eager.correct(text)
    assert applied(text, done.edits) == done.corrected
    assert len(eager.complete(text)) <= 3


def test_every_completion_begins_as_what_was_typed(eager: TextCorrector) -> None:
    for text, begun in (("see you to", "to"), ("the ca", "ca"), ("Ca", "Ca"), ("i don", "don"), ("the ", "")):
        found = eager.complete(text, 4)
        assert found
        assert all(c.word.startswith(begun) for c in found)
        assert sum(c.probability for c in found) <= 1.001
        assert [c.probability for c in found] == sorted((c.probability for c in found), reverse=True)
    assert eager.complete("xyzzy") == []
    assert eager.complete("see @bo") == []


def test_it_comes_back_from_disk_as_it_was(eager: TextCorrector, tmp_path: Path) -> None:
    again = TextCorrector.load(str(eager.save(tmp_path)))
    assert again.lexicon.words == eager.lexicon.words
    assert again.correct(TEXT).corrected == eager.correct(TEXT).corrected
    assert again.version.startswith(str(tmp_path))


def test_weights_without_a_lexicon_are_one_clear_line(eager: TextCorrector, tmp_path: Path) -> None:
    from models.tensors import read_file, write_file

    eager.save(tmp_path)
    tensors = read_file(tmp_path / WEIGHTS_FILE)
    write_file(tmp_path / WEIGHTS_FILE, {k: v for k, v in tensors.items() if not k.startswith("lexicon.")})
    with pytest.raises(CheckpointError, match="hold no lexicon"):
        TextCorrector.load(str(tmp_path))


def test_another_language_and_letters_alone_are_left() -> None:
    corrector = make_corrector(-1.0)
    for text in ("Bei uns regnet es schon seit vielen Tagen", "see 4.2(b)", "b"):
        assert not [e for e in corrector.correct(text).edits if e.typed not in ("see",)], text
