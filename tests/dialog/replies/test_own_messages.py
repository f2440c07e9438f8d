"""Messages of our own, of every sort, and what answers them: sentences of the program's own, or replies of a kind."""

import json
from pathlib import Path

import pytest

from dialog.conversation import Conversation, Prediction, Utterance
from dialog.emotion.care import speaks_of_self_harm
from dialog.replies import abroad, distress, frank
from dialog.replies.kinds import KINDS, kinds_of
from dialog.replies.port import whole
from dialog.training.replies.built_in import general_replies

OWN = [json.loads(line) for line in Path(__file__).with_name("own_messages.jsonl").read_text("utf-8").splitlines()]
SENTENCES = {
    name: said
    for module in (abroad, distress, frank)
    for name, said in vars(module).items()
    if name.isupper() and not name.startswith("_") and name != "AT_A_LOSS"
}


def told(text: str, felt: str | None) -> Conversation:
    found = Prediction(emotion=felt, probability=0.8, probabilities={}, sentiment="", care=speaks_of_self_harm(text))
    return Conversation(id="t", utterances=(Utterance(speaker="Ann", text=text, prediction=found),))


@pytest.mark.parametrize("own", OWN, ids=lambda own: own["text"][:40])
def test_a_message_of_our_own_is_answered_as_one_would(own, responder):
    talk = told(own["text"], own["felt"])
    reply = whole(responder.reply(talk))
    name, _, felt = own["answer"].partition(" ")
    if name in SENTENCES:
        assert reply.text == (SENTENCES[name][felt] if felt else SENTENCES[name])[0]
        assert reply.sure == (SENTENCES[name] not in (*frank.AT_A_LOSS, abroad.ONLY_ENGLISH))
    else:
        assert kinds_of(own["text"], own["felt"], 0.8) == set(own["answer"].split())
        assert reply.text not in {s for said in SENTENCES.values() for s in said} - set(frank.NOTHING_TO_SAY)


def test_whoever_goes_on_despairing_hears_something_else(responder):
    heard: list[str] = []
    for text in ("I feel worthless", "nobody cares about me", "I hate myself"):
        heard.append(whole(responder.reply(told(text, "sadness"), instead_of=heard)).text)
    assert tuple(heard) == distress.DESPAIRING


def test_of_every_kind_there_are_replies_that_answer_any_such_message():
    general = general_replies()
    assert {kind for written in general for kind in written.kinds} >= set(KINDS)
    assert len({written.text for written in general}) == len(general)
