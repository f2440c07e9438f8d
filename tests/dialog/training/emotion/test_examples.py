"""What a training run reads: sources without leaks, labels by index, cuts that cover everything."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog.conversation import Conversation
from dialog.corpora import MissingCorpus, gold
from dialog.corpora.derived.strays import with_emoji, with_strangers
from dialog.corpora.ekman import TO_EKMAN
from dialog.labels import LABEL_SETS
from dialog.reading.batching import Packer
from dialog.training.emotion.examples import (
    UNKNOWN,
    Source,
    load_source,
    make_examples,
    random_spans,
)
from models.encoders.text import TextEncoder
from tests.dialog.tiny import LAYOUT, chat
from tests.dialog.training.conftest import write_corpus


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(0, 99))
def test_random_cuts_cover_a_conversation_once_and_fit(lengths: list[int], seed: int) -> None:
    spans = random_spans(lengths, 48, random.Random(seed))
    assert [i for s in spans for i in range(s.begin, s.end)] == list(range(len(lengths)))
    for s in spans:
        assert s.begin == s.first < s.end
        assert 1 + sum(n + 3 for n in lengths[s.begin : s.end]) <= 48


def test_random_cuts_leave_some_utterances_alone_and_some_conversations_whole() -> None:
    rng = random.Random(0)
    pieces = [len(random_spans([2] * 8, 48, rng)) for _ in range(300)]
    assert sum(n == 1 for n in pieces) > 120
    assert sum(n >= 5 for n in pieces) > 20


def test_labels_become_places_in_their_set_and_in_ekmans(encoder: TextEncoder) -> None:
    c = chat("A: hi", "B: no", "A: oh", "B: well", emotions=("mad", "peaceful", None, "unheard of"))
    labels, ekman = LABEL_SETS["emorynlp"], LABEL_SETS["ekman"]
    (e,) = make_examples([c, chat()], "emorynlp", labels, ekman, Packer(encoder, LAYOUT))
    assert e.labels == [labels.index("mad"), labels.index("peaceful"), UNKNOWN, UNKNOWN]
    assert e.ekman == [ekman.index("anger"), UNKNOWN, UNKNOWN, UNKNOWN]
    assert [u.speaker for u in e.utterances] == ["A", "B", "A", "B"]
    assert e.whole is None


def test_a_source_leaves_out_what_is_tested_elsewhere(tmp_path: Path) -> None:
    tested = chat("A: you are the worst film ever made", id="tested", emotions=("anger",))
    copy = chat("X: You are the worst film ever made!", id="copy", emotions=("anger",))
    own = chat("X: the dog is so good to me", id="own", emotions=("joy",))
    write_corpus(tmp_path, "meld", "test", [tested])
    write_corpus(tmp_path, "emorynlp", "train", [copy, own])
    kept = load_source(Source(corpus="emorynlp", avoid=(("meld", "test"),)), tmp_path, 0)
    assert [c.id for c in kept] == ["own"]
    assert len(load_source(Source(corpus="emorynlp"), tmp_path, 0)) == 2
    with pytest.raises(MissingCorpus, match="ecf test"):
        load_source(Source(corpus="emorynlp", avoid=(("ecf", "test"),)), tmp_path, 0)


def test_emotional_only_means_two_emotions_or_a_strong_one(tmp_path: Path) -> None:
    def one(id: str, *emotions: str | None) -> object:
        return chat(*["A: hi"] * len(emotions), id=id, emotions=emotions)

    some = [one("flat", "neutral", None), one("glad", "happiness", "neutral"), one("glad twice", *["happiness"] * 2)]
    write_corpus(tmp_path, "dailydialog", "train", [*some, one("cross", "anger", "neutral")])  # type: ignore[list-item]
    kept = load_source(Source(corpus="dailydialog", emotional_only=True), tmp_path, 0)
    assert [c.id for c in kept] == ["glad twice", "cross"]


def test_a_limit_draws_emotional_conversations_first_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    some = [chat("A: hi", id=str(i), emotions=("sad" if i < 30 else "others",)) for i in range(100)]
    write_corpus(tmp_path, "emocontext", "train", some)
    source = Source(corpus="emocontext", limit=40)
    drawn = load_source(source, tmp_path, 1)
    assert Counter(c.utterances[0].emotion for c in drawn)["sad"] >= 24
    assert len({c.id for c in drawn}) == 40
    assert load_source(source, tmp_path, 1) == drawn
    assert load_source(source, tmp_path, 2) != drawn
    assert len(load_source(Source(corpus="emocontext", limit=1000), tmp_path, 1)) == 100


def test_an_emoji_suits_the_label_and_comes_as_often_as_asked() -> None:
    said = [chat(*("A: well", "B: then") * 50, id=str(i)) for i in range(4)]
    felt = [
        replace(c, utterances=tuple(replace(u, emotion="joy" if u.speaker == "A" else "neutral") for u in c.utterances))
        for c in said
    ]
    drawn = with_emoji(felt, "meld", 0.25, random.Random(0))
    changed = [(u.emotion, u.text) for c in drawn for u in c.utterances if not u.text.isascii()]
    assert {emotion for emotion, _ in changed} == {"joy"}
    assert 30 <= len(changed) <= 70
    assert all(text.startswith("well ") for _, text in changed)
    assert with_emoji(felt, "meld", 0.0, random.Random(0)) == felt


def test_of_empathetic_dialogues_the_first_message_carries_the_label() -> None:
    told = Conversation.from_dict(
        {"emotion": "terrified", "utterances": [{"speaker": "A", "text": "a noise"}, {"speaker": "B", "text": "oh"}]}
    )
    assert gold(told, "empathetic_dialogues") == ["terrified", None]
    assert TO_EKMAN["empathetic_dialogues"]["terrified"] == "fear"


def test_strays_keep_their_own_label_and_everybody_elses() -> None:
    c = chat("A: hi there", "B: oh no", "A: well", id="one", emotions=("joy", "fear", "neutral"))
    d = chat("X: leave me alone", id="two", emotions=("anger",))
    added, emoji = 0, 0
    for seed in range(40):
        first, second = with_strangers([c, d], "meld", 1.0, random.Random(seed))
        assert (first.id, second.id) == ("one", "two")
        known = {u.text: u.emotion for u in (*c.utterances, *d.utterances)}
        for u, label in zip(first.utterances, gold(first, "meld"), strict=True):
            emoji += u.text not in known
            assert label == known[u.text] if u.text in known else label in TO_EKMAN["meld"]
        own = [u.text for u in c.utterances]
        kept = iter(u.text for u in first.utterances)
        assert all(text in kept for text in own)  # All still there, in their order.
        added += len(first.utterances) - len(own)
    assert added == 40
    assert 5 < emoji < 30
    assert with_strangers([c, d], "meld", 0.0, random.Random(0)) == [c, d]


def test_a_stray_never_takes_the_place_whose_label_is_the_conversations() -> None:
    c = replace(chat("A: they robbed me", "B: how awful"), extra={"emotion": "furious"})
    for seed in range(20):
        (one,) = with_strangers([c], "empathetic_dialogues", 1.0, random.Random(seed))
        assert one.utterances[0] == c.utterances[0]
        assert gold(one, "empathetic_dialogues") == ["furious", None, None]


def test_a_stray_emoji_is_labelled_where_the_corpus_keeps_its_labels() -> None:
    c = replace(chat("A: fine"), extra={})
    strays = [with_strangers([c], "goemotions", 1.0, random.Random(seed))[0] for seed in range(30)]
    labels = [label for one in strays for label in gold(one, "goemotions") if label]
    assert len(labels) > 5
    assert set(labels) <= set(TO_EKMAN["goemotions"])
