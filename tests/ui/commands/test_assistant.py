"""The conversation with an assistant in the terminal, with a responder that answers from a list."""

import io
import json
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from dialog.conversation import Conversation
from dialog.replies.port import Piece, ResponderUnavailable
from tests.ui.fake import FakeTagger
from ui.commands.kept_chat import KeptChat
from ui.commands.terminal_assistant import converse_with


class Listed:
    """Answers with the first line not refused; `silence` in a message is a service that is away."""

    name, version = "listed", "listed@1"

    def __init__(self) -> None:
        self.heard: list[list[tuple[str, str, str | None]]] = []

    def reply(
        self,
        conversation: Conversation,
        *,
        speaker: str = "assistant",
        to_feel: str | None = None,
        instead_of: Collection[str] = (),
        most: int = 256,
    ) -> Iterator[Piece]:
        told = [(u.speaker, u.text, u.prediction.emotion if u.prediction else None) for u in conversation.utterances]
        self.heard.append(told)
        if "silence" in told[-1][1]:
            raise ResponderUnavailable("nobody is there")
        words = next(w for w in ("How wonderful!", "I am so sorry") if w not in instead_of)
        yield Piece(words[:4])
        yield Piece(words[4:], "stop")


def said(typed: str, capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, object]], Listed, str]:
    responder = Listed()
    assert converse_with(responder, FakeTagger(), io.StringIO(typed), as_json=True) == 0
    out, err = capsys.readouterr()
    return [json.loads(line) for line in out.splitlines()], responder, err


def test_every_message_is_answered_and_both_are_labelled(capsys: pytest.CaptureFixture[str]) -> None:
    lines, responder, _ = said("I got the job!!\n\nBo: I hate mornings\n", capsys)
    assert [(x["speaker"], x["text"]) for x in lines] == [
        ("You", "I got the job!!"),
        ("assistant", "How wonderful!"),
        ("Bo", "I hate mornings"),
        ("assistant", "How wonderful!"),
    ]
    assert lines[0]["prediction"]["emotion"] == "joy"  # type: ignore[index]
    assert [turn[0] for turn in responder.heard[1]] == ["You", "assistant", "Bo"]
    assert responder.heard[1][0][2] == "joy"


def test_another_answer_takes_the_place_of_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    lines, responder, _ = said("hm\n/again\nand now\n", capsys)
    assert [x["text"] for x in lines[:3]] == ["hm", "How wonderful!", "I am so sorry"]
    assert [turn[1] for turn in responder.heard[2]] == ["hm", "I am so sorry", "and now"]


def test_before_anything_was_said_there_is_no_other_answer(capsys: pytest.CaptureFixture[str]) -> None:
    lines, _, err = said("/again\n", capsys)
    assert lines == []
    assert "nothing to answer" in err


def test_a_responder_that_is_away_is_told_and_the_chat_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    lines, _, err = said("silence\ngreat\n", capsys)
    assert "nobody is there" in err
    assert [x["text"] for x in lines] == ["silence", "great", "How wonderful!"]


def test_in_the_terminal_the_reply_stands_there_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert converse_with(Listed(), FakeTagger(), io.StringIO("great\n")) == 0
    out = capsys.readouterr().out
    assert "assistant: How wonderful!\n" in out
    assert out.count("How wonderful!") == 1


def kept_in(path: Path) -> list[tuple[str, str]]:
    [line] = path.read_text("utf-8").splitlines()
    return [(u["speaker"], u["text"]) for u in json.loads(line)["utterances"]]


def test_a_kept_chat_goes_on_where_it_was_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "chat.jsonl"

    def go_on(typed: str) -> tuple[Listed, str]:
        responder = Listed()
        converse_with(responder, FakeTagger(), io.StringIO(typed), kept=KeptChat(path), as_json=True)
        return responder, capsys.readouterr().err

    _, told = go_on("I got the job!!\n")
    assert "Going on" not in told
    assert kept_in(path) == [("You", "I got the job!!"), ("assistant", "How wonderful!")]
    responder, told = go_on("/again\nBo: I hate mornings\n")
    assert "Going on after 2 messages" in told
    assert responder.heard[0] == [("You", "I got the job!!", "joy")], "the answer to be given anew is not told"
    first = [("You", "I got the job!!"), ("assistant", "I am so sorry")]
    assert [turn[:2] for turn in responder.heard[1]] == [*first, ("Bo", "I hate mornings")]
    assert kept_in(path) == [*first, ("Bo", "I hate mornings"), ("assistant", "How wonderful!")]
    responder, _ = go_on("silence\n")
    assert kept_in(path)[-1] == ("You", "silence"), "a message stays, answered or not"
    assert len(responder.heard[0]) == 5


@pytest.mark.parametrize("holds", ["not json", "[1]", '{"utterances": [{"text": 3}]}'])
def test_a_file_that_holds_no_chat_is_refused_and_left_as_it_is(holds: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(holds)
    with pytest.raises(ValueError, match="holds no chat that was kept here"):
        KeptChat(path)
    assert path.read_text() == holds
    with pytest.raises(ValueError, match="in a folder that is there"):
        KeptChat(tmp_path / "nowhere" / "chat.jsonl")
    assert KeptChat(tmp_path / "new.jsonl").said == []
