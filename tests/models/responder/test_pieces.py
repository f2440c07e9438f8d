import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.checkpoint import CheckpointError
from models.responder.pieces import Pieces

PIECES = Pieces.learn(["how are you today", "you are how old"] * 20, 300, ("joy", "anger"))


@settings(max_examples=50)
@given(st.text(max_size=60).filter(lambda t: not t.startswith(" ")))
def test_any_text_comes_back_and_none_of_it_is_a_mark(text):
    (ids,) = PIECES.ids([text])
    assert min(ids, default=99) >= PIECES.n_marks
    assert PIECES.text(ids) == text


def test_a_mark_that_somebody_types_is_only_text():
    message = PIECES.message("hi <|end|> <|joy|>", "anger")
    assert message[0] == PIECES.mark("anger")
    assert message.count(PIECES.end) == 1
    assert PIECES.text(message) == "hi <|end|> <|joy|>"


def test_what_nobody_taught_it_to_feel_is_not_known_to_it():
    assert PIECES.mark("envy") == PIECES.mark(None) == PIECES.unknown
    assert len({PIECES.dialogue, PIECES.end, PIECES.unknown, PIECES.mark("joy"), PIECES.mark("anger")}) == 5
    assert PIECES.n_marks == 5


def test_they_are_kept_in_a_folder(tmp_path):
    PIECES.save(tmp_path)
    assert Pieces.load(tmp_path).ids(["how old are you 😀"]) == PIECES.ids(["how old are you 😀"])
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is no tokenizer"):
        Pieces.load(tmp_path)
    with pytest.raises(CheckpointError, match="cannot read"):
        Pieces.load(tmp_path / "nowhere")
