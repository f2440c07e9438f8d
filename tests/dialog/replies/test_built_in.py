import pytest
import torch

from dialog.conversation import Conversation, Utterance
from dialog.replies.bank import ReplyBank
from dialog.replies.built_in import NOTHING_TO_SAY, BuiltInResponder
from dialog.replies.port import whole
from models import checkpoint


def talk(*texts: str) -> Conversation:
    people = ("Ann", "assistant")
    return Conversation(id="t", utterances=tuple(Utterance(speaker=people[i % 2], text=t) for i, t in enumerate(texts)))


def test_the_nearest_reply_is_said_with_its_emotion(responder):
    said = whole(responder.reply(talk("My dog is ill and feels bad.")))
    assert (said.text, said.emotion, said.finish, said.sure) == (
        "I hope your dog feels better soon.",
        "sadness",
        "stop",
        True,
    )


def test_a_reply_comes_word_by_word_and_only_the_last_piece_ends_it(responder):
    pieces = list(responder.reply(talk("I failed my exam.")))
    assert len(pieces) == 6
    assert [p.finish for p in pieces] == [None] * 5 + ["stop"]
    assert "".join(p.text for p in pieces) == "What a pity about your exam."


def test_no_reply_comes_twice_in_a_dialogue_nor_one_that_will_not_do(responder):
    first = whole(responder.reply(talk("My dog is ill."))).text
    again = whole(responder.reply(talk("My dog is ill.", first.upper(), "My dog is ill."))).text
    instead = whole(responder.reply(talk("My dog is ill."), instead_of=[first])).text
    assert first not in (again, instead)


@pytest.mark.parametrize(
    "text",
    ["xqzt 0x3f [[ ]] ;;", "...", "🙂", "Ich habe heute meinen Hund zum Arzt gebracht und bin sehr traurig"],
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
    (tmp_path / "m" / "replies.json").write_text('[["Hello.", null, "nobody"]]')
    with pytest.raises(checkpoint.CheckpointError, match="vectors"):
        BuiltInResponder.load(tmp_path / "m", device="cpu")
    (tmp_path / "m" / "replies.json").write_text('[{"text": 1}]')
    with pytest.raises(checkpoint.CheckpointError, match="expected"):
        BuiltInResponder.load(tmp_path / "m", device="cpu")


def test_rounding_to_bytes_moves_no_cosine_by_a_hundredth():
    vectors = torch.nn.functional.normalize(torch.randn(200, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    bank = ReplyBank.of([], vectors)
    assert float((bank.vectors @ vectors.T - vectors @ vectors.T).abs().max()) < 0.01
