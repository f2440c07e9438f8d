"""How the default is made: messages and answers, strays that keep their label, where the line to neutral is drawn."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dialog.labels import TAGS
from dialog.training.emotion.answers import read_answers, write_answers
from dialog.training.emotion.contrast import ContextRecipe, ContrastTraining, Talk, train_context
from dialog.training.emotion.decorations import decorated, state_words
from dialog.training.emotion.distil import Answers, StudentRecipe, mixed, shouting
from dialog.training.emotion.ekman import Held, at_temperature, choose_bias, decisions, fit_temperature
from dialog.training.emotion.firming import firm
from dialog.training.emotion.messages import LABELS, Message, held_out, spread
from models.emotionic.config import EmotionICConfig
from models.emotionic.model import EmotionIC

NEUTRAL = LABELS.index("neutral")
PLAIN, GLAD = spread({"neutral": 1.0}), spread({"joy": 1.0})


def test_a_decorated_message_keeps_its_label_and_its_words() -> None:
    rng, seen = random.Random(0), set()
    for emotion in (PLAIN, GLAD):
        for _ in range(200):
            m = decorated(Message("The train to Leeds leaves at four.", "c", emotion), rng)
            assert m.emotion == emotion
            assert sum(word in m.text for word in ("train", "Leeds", "leaves", "four")) >= 2
            seen.add(m.text)
    assert len(seen) > 40


def test_every_word_for_what_somebody_is_comes_with_plain_lines_and_with_strong_ones() -> None:
    lines = state_words(4000, random.Random(0))
    for word in ("homeless", "pregnant", "Muslim"):
        own = [m.emotion for m in lines if f" {word} " in f" {m.text} "]
        plain = sum(e is not None and e[NEUTRAL] > 0.9 for e in own) / len(own)
        assert 0.55 < plain < 0.95


def test_shouting_moves_half_of_an_unsure_neutral_to_the_feelings_and_leaves_a_sure_one() -> None:
    unsure = spread({"neutral": 0.6, "anger": 0.4})
    said = {shouting("where is my money", row, random.Random(s)) for s in range(200) for row in (unsure, PLAIN)}
    assert ("WHERE IS MY MONEY", PLAIN) in said
    assert any(t.isupper() and row[NEUTRAL] == pytest.approx(0.3) and sum(row) == pytest.approx(1) for t, row in said)
    assert all(row in (unsure, PLAIN) for t, row in said if not t.isupper())


def test_what_is_learned_is_a_mixture_of_label_and_answer() -> None:
    said = Answers(torch.tensor([PLAIN, PLAIN]), torch.zeros(2, len(TAGS)), torch.zeros(2, 2))
    messages = [Message("a", "chats", GLAD, frozenset({"joy"}), (4.0, 2.5)), Message("b", "talk-swda")]
    emotion, tags, affect = mixed(replace(StudentRecipe(), gold={"chats": 0.75}), messages, said)
    assert emotion[0].tolist() == pytest.approx([0.75 * g + 0.25 * p for g, p in zip(GLAD, PLAIN, strict=True)])
    assert emotion[1].tolist() == list(PLAIN)
    assert tags[0, TAGS.index("joy")] == 0.5
    assert affect.tolist() == [[1.0, -0.5], [0.0, 0.0]]


def test_answers_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    messages = [Message("a 😢", "chats", GLAD, frozenset({"joy", "pride"}), (4.0, 2.5)), Message("b", "talk-swda")]
    said = Answers(torch.tensor([GLAD, PLAIN]), torch.full((2, len(TAGS)), 0.25), torch.ones(2, 2))
    read, again = read_answers(write_answers(messages, said, tmp_path))
    assert read == messages
    for a, b in zip(said, again, strict=True):
        torch.testing.assert_close(a, b)
    (tmp_path / "messages.jsonl").unlink()
    with pytest.raises(ValueError, match=r"messages\.jsonl is missing"):
        read_answers(tmp_path)


def test_the_last_round_keeps_the_answer_to_a_line_that_only_got_a_mark_or_a_word_for_a_person() -> None:
    texts = (("the man took the bus", "talk-swda"), ("I hate him", "talk-swda"), ("ok", "chats"))
    messages = [Message(*row) for row in texts]
    said = Answers(torch.tensor([PLAIN, GLAD, PLAIN]), torch.zeros(3, len(TAGS)), torch.zeros(3, 2))
    drawn, kept = firm(messages, said, random.Random(0))
    assert len(drawn) == len(kept.emotion) == len(kept.tags) == len(kept.affect)
    rows = [(m.text, tuple(row)) for m, row in zip(drawn, kept.emotion.tolist(), strict=True) if m.corpus != "states"]
    assert {row for text, row in rows if "hate" in text} == {GLAD}
    assert {row for text, row in rows if "hate" not in text} == {PLAIN}
    assert any(text.endswith("!") for text, _ in rows)
    assert any(text.split()[2] == "man" for text, _ in rows if text.startswith("the ")), "the homeless man"


def test_what_is_held_out_does_not_depend_on_what_else_there_is() -> None:
    kept = [f"id-{i}" for i in range(2000) if held_out(f"id-{i}", 0.15)]
    assert 0.12 < len(kept) / 2000 < 0.18
    assert all(held_out(one, 0.15) and held_out(one, 0.3) for one in kept)


def _tiny() -> tuple[EmotionIC, list[Talk], torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    config = EmotionICConfig(n_labels=7, d_encoder=16, d_model=16, n_heads=2, window=4, gated=True, crf="none")
    talks = [
        Talk(torch.randn(5, 16), torch.eye(7)[torch.randint(7, (5,))], torch.tensor([1, 2, 1, 2, 1])) for _ in range(6)
    ]
    return EmotionIC(config), talks, torch.randn(9, 16), torch.randn(9, 16)


def test_a_stray_is_to_be_read_as_it_is_alone_and_the_others_keep_what_is_wanted_of_them() -> None:
    context, talks, plain, strong = _tiny()
    recipe = ContextRecipe(stray_share=1.0, cut_share=0.0)
    training = ContrastTraining(context, talks, plain, strong, recipe)
    for seed in range(20):
        seen, alone = training._seen(talks[0], random.Random(seed))
        assert int(alone.sum()) == 1
        assert len(seen.vectors) == 6
        torch.testing.assert_close(seen.vectors[~alone], talks[0].vectors)
        torch.testing.assert_close(seen.wanted[~alone], talks[0].wanted)


def test_context_is_learned_and_the_classifier_of_single_messages_is_left_alone(tmp_path: Path) -> None:
    context, talks, plain, strong = _tiny()
    before = {k: v.clone() for k, v in context.state_dict().items()}
    recipe = ContextRecipe(steps=30, batch=4, pairs=2, lr=1e-2)
    start = ContrastTraining(context, talks, plain, strong, recipe).loss(random.Random(1)).item()
    train_context(context, talks, plain, strong, recipe, tmp_path)
    assert ContrastTraining(context, talks, plain, strong, recipe).loss(random.Random(1)).item() < start
    after = context.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith(("norm.", "classify.")))
    assert not torch.equal(before["contribute.weight"], after["contribute.weight"])


def _held(sharpness: float) -> Held:
    torch.manual_seed(1)
    logits = torch.randn(4000, 7)
    logits[:, NEUTRAL] += 1.0
    truth = torch.eye(7)[torch.multinomial(logits.softmax(-1), 1)[:, 0]]
    return Held((sharpness * logits).softmax(-1), truth)


def test_the_temperature_undoes_what_is_too_sharp() -> None:
    part = _held(1.5)
    found = fit_temperature({"one": part, "two": part})
    assert found == pytest.approx(1.5, abs=0.15)
    assert decisions(at_temperature(part, found), 0.0)["ece"] < decisions(part, 0.0)["ece"]


def test_the_line_to_neutral_keeps_the_bounds_where_they_can_be_kept() -> None:
    part = _held(1.0)
    parts = {"chats": part}
    free = decisions(part, choose_bias(parts, missed=100.0, alarms=100.0))
    strict = decisions(part, choose_bias(parts, missed=30.0, alarms=100.0))
    assert strict["feelings_missed"] <= 30.0 < free["feelings_missed"]
    assert strict["accepted"] <= free["accepted"]


def test_the_line_to_neutral_serves_the_corpora_half_as_much_as_the_chats() -> None:
    part = _held(1.0)
    glad = torch.zeros_like(part.wanted)
    glad[:, LABELS.index("joy")] = 1.0
    alone = choose_bias({"chats": part}, missed=100.0, alarms=100.0)
    with_one = choose_bias({"chats": part, "meld": replace(part, wanted=glad)}, missed=100.0, alarms=100.0)
    assert with_one < alone  # a corpus of nothing but joy draws the line away from neutral
