"""Names, addresses and numbers out; everything else stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog.annotation.anonymise import Anonymiser
from dialog.conversation import Conversation, Utterance
from dialog.formats import Unreadable


def anonymised(*turns: tuple[str, str], id: str = "c") -> list[tuple[str, str]]:
    conversation = Conversation(id=id, utterances=tuple(Utterance(speaker=s, text=t) for s, t in turns))
    result = Anonymiser()(conversation)
    assert isinstance(result, Conversation)
    return [(u.speaker, u.text) for u in result.utterances]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hi Ann Smith, ann's here, ANN!", "hi Speaker 1, Speaker 1's here, Speaker 1!"),
        ("Annabel and Joanna stay", "Annabel and Joanna stay"),
        ("thanks Mr Smith", "thanks Mr Speaker 1"),
        ("will you, Will? I will", "will you, Speaker 2? I will"),
        ("a bo-tox, but Bo", "a bo-tox, but Speaker 3"),
        ("小明你好", "Speaker 4你好"),
        ("write to ann.smith+x@mail.example.org now", "write to [email] now"),
        ("call +49 170 1234567 or 030/1234567", "call Speaker 5 or [phone]"),
        ("call (555) 123-4567, 0170-1234567, 00491701111111", "call [phone], [phone], [phone]"),
        ("@491701234567 look", "@Speaker 5 look"),
        ("on 2020-12-31 at 21:41, 31.12.2020, 31/12/20", "on 2020-12-31 at 21:41, 31.12.2020, 31/12/20"),
        ("it cost 1234.50 for 20000 people, 3-4 days", "it cost 1234.50 for 20000 people, 3-4 days"),
        ("the user said so", "the user said so"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    speakers = ["Ann Smith", "Will", "Bo", "小明", "+49 170 1234567", "user"]
    assert anonymised(*((s, "") for s in speakers), ("Bo", text))[-1] == ("Speaker 3", expected)


def test_one_person_has_one_pseudonym_in_a_whole_run() -> None:
    anonymise = Anonymiser()
    first = Conversation(
        id="Ann and Bo", utterances=(Utterance(speaker="Ann", text=""), Utterance(speaker="Bo", text=""))
    )
    second = Conversation(id="x", utterances=(Utterance(speaker="BO ", text=""), Utterance(speaker="Cem", text="Ann?")))
    a, b = anonymise(first), anonymise(second)
    assert isinstance(a, Conversation)
    assert isinstance(b, Conversation)
    assert a.id == "Speaker 1 and Speaker 2"
    assert b.speakers == ("Speaker 2", "Speaker 3")
    assert b.utterances[1].text == "Ann?"  # she takes no part here


def test_fields_we_do_not_know_are_gone_through_too() -> None:
    utterance = Utterance(speaker="7", text="", extra={"speaker": 7, "reply": {"to": ["Ann x@y.org"]}, "n": 5})
    ann = Utterance(speaker="Ann", text="")
    result = Anonymiser()(Conversation(id="c", utterances=(utterance, ann), extra={"title": "Ann"}, warnings=("Ann",)))
    assert isinstance(result, Conversation)
    value = result.to_dict()
    assert value["utterances"][0] == {
        "speaker": "Speaker 1", "text": "", "reply": {"to": ["Speaker 2 [email]"]}, "n": 5
    }  # fmt: skip
    assert (value["title"], value["warnings"]) == ("Speaker 2", ["Speaker 2"])


def test_what_could_not_be_read_keeps_only_where_and_why() -> None:
    wrong = Unreadable.at(3, "utterances[0].text: expected a string, got 'Ann'", "Ann", {"x": "Ann"}, source="Ann")
    result = Anonymiser()(wrong)
    assert result == Unreadable.at(3, "utterances[0].text: expected a string", "", None, source="log 1")


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=40)), max_size=5))
def test_any_names_and_texts_go_through(turns: list[tuple[str, str]]) -> None:
    clean = [(s.encode("utf-8", "replace").decode(), t.encode("utf-8", "replace").decode()) for s, t in turns]
    result = anonymised(*clean)
    assert len(result) == len(turns)
    assert all(speaker.startswith("Speaker ") for speaker, _ in result)
