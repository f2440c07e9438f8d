"""The conversation with an assistant in the terminal, with a responder that answers from a list."""

import io
import json
from collections.abc import Collection, Iterator

import pytest

from dialog.conversation import Conversation
from dialog.replies.port import Piece, ResponderUnavailable
from tests.ui.fake import FakeTagger
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
