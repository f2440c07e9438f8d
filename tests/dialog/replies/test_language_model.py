"""A language model of a few thousand weights, made on the spot."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from dialog.conversation import Conversation, Utterance
from dialog.replies.choosing import open_responder
from dialog.replies.drawing import NO_REPEAT
from dialog.replies.language_model import LanguageModelResponder
from dialog.replies.port import ResponderUnavailable, whole
from dialog.replies.prompt import as_messages, as_text

WORDS = [
    "[UNK]",
    "</s>",
    "User",
    "Assistant",
    ":",
    *["how", "are", "you", "today", "fine", "thanks", "and", "well", "so", "good", "day", "friend"],
]
TALK = Conversation(id="t", utterances=(Utterance(speaker="Ann", text="how are you today"),))
TEMPLATE = "{% for m in messages %}{{ m.role }} : {{ m.content }} {% endfor %}Assistant :"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    set_seed(0)
    backend = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="[UNK]")
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64, eos_token_id=None, bos_token_id=None,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("lm")
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_a_model_writes_token_by_token_and_can_be_stopped(folder):
    responder = open_responder(f"lm:{folder}", device="cpu")
    said = whole(responder.reply(TALK, most=12))
    assert said.text.split()
    assert set(said.text.split()) <= set(WORDS)
    pieces = responder.reply(TALK, most=12)
    first = next(pieces)
    assert said.text.startswith(first.text.strip())
    pieces.close()  # as whoever stops asking does
    assert whole(responder.reply(TALK, most=12)).text == said.text, "the same question is answered the same"
    assert whole(responder.reply(TALK, most=12, instead_of=[said.text])).text != said.text


def test_a_reply_never_goes_round_in_a_circle(folder):
    words = whole(open_responder(f"lm:{folder}", device="cpu").reply(TALK, most=40)).text.split()
    runs = [tuple(words[i : i + NO_REPEAT]) for i in range(len(words) - NO_REPEAT + 1)]
    assert len(runs) > 20
    assert len(set(runs)) == len(runs)


def test_what_is_too_long_for_the_model_is_cut_from_the_front(folder):
    long = Conversation(id="t", utterances=(Utterance(speaker="Ann", text="how are you " * 100),))
    assert whole(open_responder(f"lm:{folder}", device="cpu").reply(long, most=8)).text


def test_a_model_with_a_chat_form_is_asked_in_it(folder):
    responder = LanguageModelResponder.load(folder, device="cpu")
    assert responder._prompt(as_messages(TALK, "assistant"))[1] is False
    responder.tokenizer.chat_template = TEMPLATE
    ids, has_template = responder._prompt(as_messages(TALK, "assistant"))
    assert has_template
    assert responder.tokenizer.decode(ids[0]).endswith("how are you today Assistant :")
    assert whole(responder.reply(TALK, most=5)).text


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ResponderUnavailable, match="nowhere"):
        open_responder(f"lm:{tmp_path / 'nowhere'}")


def test_roles_come_from_who_speaks():
    said = [("system", "Be kind."), ("Ann", "Hi"), ("assistant", "Hello"), ("Bob", "And me?")]
    talk = Conversation(id="t", utterances=tuple(Utterance(speaker=s, text=t) for s, t in said))
    messages = as_messages(talk, "assistant", "joy")
    assert [m["role"] for m in messages] == ["system", "system", "user", "assistant", "user"]
    assert messages[2]["content"] == "Ann: Hi", "two people are told apart"
    assert as_text(messages[3:]) == "Assistant: Hello\nUser: Bob: And me?\nAssistant:"
    with pytest.raises(ValueError, match="has none"):
        as_messages(Conversation(id="t", utterances=()), "assistant")
