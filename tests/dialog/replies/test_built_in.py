import pytest
import torch

from dialog.conversation import Conversation, Prediction, Utterance
from dialog.replies.bank import ReplyBank
from dialog.replies.built_in import BuiltInResponder
from dialog.replies.distress import CARE
from dialog.replies.frank import NOTHING_TO_SAY
from dialog.replies.port import whole
from models import checkpoint


def talk(*texts: str) -> Conversation:
    people = ("Ann", "assistant")
    return Conversation(id="t", utterances=tuple(Utterance(speaker=people[i % 2], text=t) for i, t in enumerate(texts)))


def told(text: str, emotion: str, probability: float = 0.9, care: bool = False) -> Conversation:
    found = Prediction(emotion=emotion, probability=probability, probabilities={}, sentiment="", care=care)
    return Conversation(id="t", utterances=(Utterance(speaker="Ann", text=text, prediction=found),))


def test_a_question_that_lies_near_is_asked(responder):
    said = whole(responder.reply(talk("My dog is so very ill.")))
    assert (said.text, said.emotion, said.finish, said.sure) == (
        "Has your dog seen a doctor?",
        "neutral",
        "stop",
        True,
    )


@pytest.mark.parametrize(
    ("text", "emotion", "probability", "allowed"),
    [
        ("It broke into a thousand pieces.", "sadness", 0.9, {"That's a pity.", "How sad for you.", "Tell me more."}),
        ("We did it at last!", "joy", 0.9, {"That's wonderful!", "Tell me more."}),
        ("The shop opens at nine.", "neutral", 0.9, {"Tell me more."}),
        ("Thanks a lot.", "joy", 0.9, {"You're welcome."}),
        ("Should they wait?", "fear", 0.9, {"Well, it depends."}),
    ],
)
def test_where_none_lies_near_the_reply_is_one_that_answers_such_messages(
    responder, text, emotion, probability, allowed
):
    assert whole(responder.reply(told(text, emotion, probability))).text in allowed


@pytest.mark.parametrize("text", ["Where is the station?", "What is your favourite film?", "How was your weekend?"])
def test_what_asks_for_a_fact_or_a_life_gets_no_made_up_answer(responder, text):
    assert whole(responder.reply(told(text, "neutral"))).sure is False


def test_where_a_message_may_speak_of_self_harm_no_platitude_is_said(responder):
    said = whole(responder.reply(told("I want to end it.", "sadness", care=True)))
    assert (said.text, said.sure) == (CARE[0], True)


def test_a_reply_comes_word_by_word_and_only_the_last_piece_ends_it(responder):
    pieces = list(responder.reply(told("It broke.", "sadness")))
    assert len(pieces) in (3, 4)
    assert [p.finish for p in pieces] == [None] * (len(pieces) - 1) + ["stop"]


def test_no_reply_comes_twice_in_a_dialogue_nor_one_that_will_not_do(responder):
    said: list[str] = []
    while (reply := whole(responder.reply(told("It broke.", "sadness"), instead_of=said))).sure:
        said.append(reply.text)
    assert len(said) == len(set(said)) >= 3
    heard = whole(responder.reply(talk("My dog is so ill.", "has your dog seen a DOCTOR", "My dog is so ill.")))
    assert heard.text != "Has your dog seen a doctor?"


@pytest.mark.parametrize(
    "text",
    ["...", "!?", "Where is the station?"],
)
def test_where_nothing_is_near_it_says_so(responder, text):
    said = whole(responder.reply(talk(text)))
    assert (said.text, said.emotion, said.sure) == (NOTHING_TO_SAY[0], None, False)
    assert whole(responder.reply(talk(text, said.text, text))).text == NOTHING_TO_SAY[1]


def test_a_conversation_without_a_message_is_refused(responder):
    with pytest.raises(ValueError, match="the conversation has none"):
        next(responder.reply(Conversation(id="t", utterances=())))


def test_the_emotions_reach_the_towers(responder):
    torch.nn.init.normal_(responder.towers.context_out.weight, generator=torch.Generator().manual_seed(1))
    try:
        plain = Utterance(speaker="Ann", text="Well.")
        sad = Utterance(speaker="Ann", text="Well.", emotion="sadness")
        known = [responder.context([u], to_feel) for u, to_feel in ((plain, None), (sad, None), (plain, "joy"))]
        assert not torch.allclose(known[0], known[1])
        assert not torch.allclose(known[0], known[2])
        torch.testing.assert_close(responder.context([plain], "no such emotion"), known[0])
    finally:
        torch.nn.init.zeros_(responder.towers.context_out.weight)


def test_a_saved_responder_answers_as_before(responder, tmp_path):
    checkpoint.save(tmp_path / "m", responder.towers, responder.config, dtype=torch.float16)
    responder.bank.save(tmp_path / "m")
    again = BuiltInResponder.load(tmp_path / "m", device="cpu")
    for text in ("I failed my exam.", "It rains.", "xqzt 0x3f"):
        assert whole(again.reply(talk(text))) == whole(responder.reply(talk(text)))
    assert again.version.startswith("m@")


def test_a_bank_that_does_not_fit_its_texts_is_refused(responder, tmp_path):
    checkpoint.save(tmp_path / "m", responder.towers, responder.config)
    responder.bank.save(tmp_path / "m")
    (tmp_path / "m" / "replies.json").write_text('[["Hello.", null, "nobody", []]]')
    with pytest.raises(checkpoint.CheckpointError, match="vectors"):
        BuiltInResponder.load(tmp_path / "m", device="cpu")
    (tmp_path / "m" / "replies.json").write_text('[{"text": 1}]')
    with pytest.raises(checkpoint.CheckpointError, match="expected"):
        BuiltInResponder.load(tmp_path / "m", device="cpu")


def test_rounding_to_bytes_moves_no_cosine_by_a_hundredth():
    vectors = torch.nn.functional.normalize(torch.randn(200, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    bank = ReplyBank.of([], vectors)
    assert float((bank.vectors @ vectors.T - vectors @ vectors.T).abs().max()) < 0.01
