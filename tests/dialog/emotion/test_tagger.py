"""EmotionTagger: what an emotion model promises, with random weights, for which no promise holds by luck."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from dialog.conversation import Conversation, Prediction, Utterance
from dialog.emotion.config import EmotionModelConfig
from dialog.emotion.port import Mode
from dialog.emotion.tagger import EmotionTagger, speaker_ids
from dialog.labels import LABEL_SETS, SENTIMENT
from dialog.reading.batching import Layout
from dialog.reading.encoding import ConversationEncoder
from models.checkpoint import CheckpointError
from models.emotionic.config import EmotionICConfig
from tests.dialog.tiny import LAYOUT, WORDS, chat, longer, make_model, probabilities, renamed

MODES: tuple[Mode, ...] = ("offline", "live")


def uncached(tagger: EmotionTagger) -> EmotionTagger:
    """The same model without anything remembered."""
    return EmotionTagger(tagger.name, tagger.version, tagger.config, tagger.encoder.encoder, tagger.context)


def close(a: Conversation, b: Conversation) -> None:
    torch.testing.assert_close(probabilities(a), probabilities(b), atol=1e-5, rtol=0)


def stream(tagger: EmotionTagger, c: Conversation, *, stored: bool = False) -> list[Prediction]:
    """The predictions of a live chat; stored: through a database between any two messages, written row by row."""
    state, predictions, rows = tagger.start(), [], list[tuple[bytes, str]]()
    for u in c.utterances:
        if stored:
            state = tagger.restore(state.head(), rows)
        p, state = tagger.step(state, u.speaker, u.text)
        rows += [(row, u.text) for row in state.rows(1)]
        predictions.append(p)
    return predictions


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [1, 2, 129, 500])
def test_conversations_of_any_length_are_labelled(tagger: EmotionTagger, mode: Mode, n: int) -> None:
    (c,) = tagger.tag([longer(n)], mode=mode)
    p = probabilities(c)
    assert p.shape == (n, 7)
    torch.testing.assert_close(p.sum(1), torch.ones(n), atol=1e-4, rtol=0)
    for u in c.utterances:
        assert u.prediction is not None
        assert u.prediction.probability == u.prediction.probabilities[u.prediction.emotion]
        assert u.prediction.sentiment == SENTIMENT[u.prediction.emotion]
        assert u.prediction.causes == ()
        assert tuple(u.prediction.probabilities) == tagger.labels


@pytest.mark.parametrize("decoding", ["viterbi", "posterior"])
@pytest.mark.parametrize("mode", MODES)
def test_a_long_conversation_is_labelled_in_pieces_as_it_would_be_whole(
    tagger: EmotionTagger, monkeypatch: pytest.MonkeyPatch, mode: Mode, decoding: Literal["viterbi", "posterior"]
) -> None:
    tagger = tagger.using(replace(tagger.config, decoding=decoding))
    cut_short = chat("A: " + "dog " * 99, "B: Я ничего не понимаю")
    long = replace(longer(150), utterances=longer(150).utterances + cut_short.utterances)
    some = [longer(5), long, longer(20)]
    whole = uncached(tagger).tag(some, mode=mode)
    for place in ("dialog.emotion.tagger.PIECE", "dialog.reading.encoding.PIECE"):
        monkeypatch.setattr(place, 32)
    for place in ("torch_sweep", "torch_viterbi", "filtering"):
        monkeypatch.setattr(f"kernels.crf.{place}.ROWS_AT_ONCE", 32)
    read, pieces_of = list[Conversation](), ConversationEncoder.pieces
    monkeypatch.setattr(ConversationEncoder, "pieces", lambda self, c, **o: read.append(c) or pieces_of(self, c, **o))
    pieces = uncached(tagger).tag(some, mode=mode)
    assert read == [long]
    for a, b in zip(whole, pieces, strict=True):
        close(a, b)
        assert (a.id, a.warnings) == (b.id, b.warnings)
        assert [u.prediction.emotion for u in a.utterances if u.prediction] == [
            u.prediction.emotion for u in b.utterances if u.prediction
        ]


@pytest.mark.parametrize("stored", [False, True])
def test_streaming_equals_the_offline_live_run_utterance_by_utterance(tagger: EmotionTagger, stored: bool) -> None:
    c = longer(40)
    (whole,) = uncached(tagger).tag([c], mode="live")
    for i, (got, u) in enumerate(zip(stream(tagger, c, stored=stored), whole.utterances, strict=True)):
        assert u.prediction is not None
        assert got.emotion == u.prediction.emotion, i
        assert got.probabilities == pytest.approx(u.prediction.probabilities, abs=1e-5), i


@pytest.mark.parametrize(
    "context", [{"crf": "linear"}, {"crf": "none"}, {"n_attention_layers": 0}, {"n_gru_layers": 0}]
)
def test_streaming_equals_the_live_run_with_any_part_left_out(
    tmp_path: Path, encoder_folder: Path, context: dict[str, Any]
) -> None:
    tagger = EmotionTagger.load(make_model(tmp_path / "part", encoder_folder, **context))
    (whole,) = tagger.tag([longer(12)], mode="live")
    got = stream(tagger, longer(12), stored=True)
    torch.testing.assert_close(
        torch.tensor([list(p.probabilities.values()) for p in got]), probabilities(whole), atol=1e-5, rtol=0
    )


def test_a_state_is_a_value(tagger: EmotionTagger) -> None:
    _, state = tagger.step(tagger.start(), "A", "hello dog")
    first, one = tagger.step(state, "B", "good")
    other, _ = tagger.step(state, "B", "bad film")
    again, two = tagger.step(state, "B", "good")
    assert first == again
    assert first != other
    assert tagger.step(one, "A", "no")[0] == tagger.step(two, "A", "no")[0]
    assert (state.n_messages, one.n_messages) == (1, 2)


def test_a_states_size_stops_growing(tagger: EmotionTagger) -> None:
    state, sizes = tagger.start(), []
    for _ in range(40):
        _, state = tagger.step(state, "A", "hello dog so good")
        sizes.append(len(state.head()) + len(state.rows(1)[0]))
    assert len(set(sizes[20:])) <= 2, "a number's digits may grow, nothing else"
    assert len(state.rows(40)) == tagger.reach == 4


def test_the_state_of_another_model_and_what_is_no_state_are_refused(
    tmp_path: Path, encoder_folder: Path, tagger: EmotionTagger
) -> None:
    _, state = tagger.step(tagger.start(), "A", "hi")
    wider = EmotionTagger.load(make_model(tmp_path / "wider", encoder_folder, d_model=32))
    same_shape = EmotionTagger("other", "other@1", tagger.config, tagger.encoder, tagger.context)
    for other in (wider, same_shape):
        with pytest.raises(ValueError, match="belongs to"):
            other.restore(state.head(), [(state.rows(1)[0], "hi")])
    (row,) = state.rows(1)
    for junk in (b"", b"abc", b"\xff" * 200, state.head()[:-7], json.dumps({}).encode()):
        with pytest.raises(ValueError, match="not the state of a live chat"):
            tagger.restore(junk, [(row, "hi")])
        with pytest.raises(ValueError, match="not the state of a live chat"):
            tagger.restore(state.head(), [(junk, "hi")])
    for rows in ([], [(row, "hi")] * 2):
        with pytest.raises(ValueError, match="not the state of a live chat"):
            tagger.restore(state.head(), rows)


def test_chats_are_gone_on_with_together_as_each_alone(tagger: EmotionTagger) -> None:
    chats = [longer(n) for n in (1, 7, 12)]
    alone = [stream(tagger, c) for c in chats]
    states = [tagger.start() for _ in chats]
    for n in range(12):
        there = [i for i, c in enumerate(chats) if n < len(c.utterances)]
        said = [chats[i].utterances[n] for i in there]
        stepped = tagger.steps([states[i] for i in there], [(u.speaker, u.text) for u in said])
        for i, (prediction, state) in zip(there, stepped, strict=True):
            assert prediction.emotion == alone[i][n].emotion
            assert prediction.probabilities == pytest.approx(alone[i][n].probabilities, abs=1e-5)
            states[i] = state
    assert [state.n_messages for state in states] == [1, 7, 12]
    assert tagger.steps([], []) == []


def test_live_the_future_changes_no_label_and_offline_it_may(tagger: EmotionTagger) -> None:
    c = longer(20)
    changed = replace(c, utterances=(*c.utterances[:-1], Utterance(speaker="Z", text="so happy great dog")))
    for mode in MODES:
        first, second = (probabilities(uncached(tagger).tag([x], mode=mode)[0])[:-1] for x in (c, changed))
        if mode == "live":
            torch.testing.assert_close(first, second, atol=1e-6, rtol=0)
        else:
            assert not torch.allclose(first, second, atol=1e-4)


lines = st.lists(
    st.tuples(st.sampled_from("ABC"), st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)), max_size=12
)


@settings(max_examples=20)
@given(data=st.data(), mode=st.sampled_from(MODES), chats=st.lists(lines, min_size=1, max_size=5))
def test_a_conversation_is_labelled_alike_alone_and_in_any_batch_in_any_order(
    tagger: EmotionTagger, data: st.DataObject, mode: Mode, chats: list[list[tuple[str, str]]]
) -> None:
    some = [chat(*(f"{s}: {t}" for s, t in c), id=str(i)) for i, c in enumerate(chats)]
    order = data.draw(st.permutations(range(len(some))))
    together = uncached(tagger).tag([some[i] for i in order], mode=mode)
    for i, got in zip(order, together, strict=True):
        assert got.id == some[i].id
        close(got, uncached(tagger).tag([some[i]], mode=mode)[0])


@settings(max_examples=20)
@given(texts=st.lists(st.text(max_size=40), max_size=6), speakers=st.lists(st.text(max_size=6), min_size=6, max_size=6))
def test_any_text_of_any_speaker_is_labelled(tagger: EmotionTagger, texts: list[str], speakers: list[str]) -> None:
    said = tuple(Utterance(speaker=s, text=t) for s, t in zip(speakers, texts, strict=False))
    (c,) = tagger.tag([Conversation(id="any", utterances=said)])
    assert probabilities(c).isfinite().all()
    assert [(u.speaker, u.text) for u in c.utterances] == [(u.speaker, u.text) for u in said]


@pytest.mark.parametrize(
    "text", ["", " \n\t ", "\N{CRYING FACE}" * 50, "你好，今天怎么样", "\ud800", "\x00", "a" * 100_000, "\u200f\u202e"]
)
def test_texts_that_break_tokenizers_are_labelled_in_both_modes(tagger: EmotionTagger, text: str) -> None:
    c = Conversation(id="odd", utterances=(Utterance(speaker="A", text=text), Utterance(speaker="A", text="hi")))
    (whole,) = tagger.tag([c], mode="live")
    got = stream(tagger, c, stored=True)
    assert got[0].probabilities == pytest.approx(whole.utterances[0].prediction.probabilities, abs=1e-5)  # type: ignore[union-attr]


def test_other_names_change_no_label(tagger: EmotionTagger) -> None:
    c = longer(30)
    for mode in MODES:
        (a,), (b,) = (uncached(tagger).tag([x], mode=mode) for x in (c, renamed(c, {"X": "Bob", "Y": "Zoe", "Z": "X"})))
        close(a, b)


def test_who_speaks_matters(tagger: EmotionTagger) -> None:
    c = longer(30)
    (a,), (b,) = (tagger.tag([x]) for x in (c, renamed(c, {"X": "X", "Y": "X", "Z": "Z"})))
    assert not torch.allclose(probabilities(a), probabilities(b), atol=1e-3)


def test_the_cache_changes_no_label(tagger: EmotionTagger) -> None:
    shared, some = uncached(tagger), [longer(9), longer(17)]
    first = shared.tag(some)
    assert shared.tag(some) == first
    for a, b in zip(first, shared.tag(some[::-1])[::-1], strict=True):
        close(a, b)


def test_a_model_saved_and_loaded_again_says_the_same(tagger: EmotionTagger, model_folder: Path) -> None:
    again = EmotionTagger.load(str(model_folder))
    assert again.version == tagger.version
    assert (again.name, again.labels) == ("tiny", LABEL_SETS["ekman"])
    assert again.tag([longer(8)]) == uncached(tagger).tag([longer(8)])


def test_the_version_follows_the_content(tmp_path: Path, model_folder: Path) -> None:
    (tmp_path / "tiny").mkdir()
    config = (model_folder / "config.json").read_text()
    tensors = load_file(model_folder / "model.safetensors")
    versions = set()
    for text, tensor in ((config, 0.0), (config.replace("1.3", "1.4"), 0.0), (config, 1.0)):
        (tmp_path / "tiny" / "config.json").write_text(text)
        changed = {k: v + tensor * (k == "context.classify.bias") for k, v in tensors.items()}
        save_file(changed, tmp_path / "tiny" / "model.safetensors")
        versions.add(EmotionTagger.load(tmp_path / "tiny").version)
    assert len(versions) == 3


def test_probability_is_the_marginal_of_the_label_returned_whichever_way_it_was_decoded(tagger: EmotionTagger) -> None:
    viterbi = tagger.using(replace(tagger.config, decoding="viterbi"))
    one, other = (t.tag([longer(60)])[0] for t in (tagger, viterbi))
    torch.testing.assert_close(probabilities(one), probabilities(other))
    labels = [[u.prediction.emotion for u in c.utterances if u.prediction] for c in (one, other)]
    assert labels[0] == [tagger.labels[int(i)] for i in probabilities(one).argmax(1)]
    assert labels[0] != labels[1], "on random weights the two decodings differ somewhere"
    for u in other.utterances:
        assert u.prediction is not None
        assert u.prediction.probability == u.prediction.probabilities[u.prediction.emotion]


def test_a_bias_changes_labels_and_no_probability(tagger: EmotionTagger) -> None:
    bias = tuple(9.0 * (label == "fear") for label in tagger.labels)
    biased = tagger.using(replace(tagger.config, label_bias=bias))
    (one,), (other,) = tagger.tag([longer(10)]), biased.tag([longer(10)])
    torch.testing.assert_close(probabilities(one), probabilities(other))
    assert {u.prediction.emotion for u in other.utterances if u.prediction} == {"fear"}
    assert stream(biased, longer(3))[2].emotion == "fear"


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_has_its_own_temperature(tagger: EmotionTagger, mode: Mode) -> None:
    def said(**temperatures: float) -> torch.Tensor:
        return probabilities(tagger.using(replace(tagger.config, **temperatures)).tag([longer(9)], mode=mode)[0])

    own, other = ("temperature", "live_temperature") if mode == "offline" else ("live_temperature", "temperature")
    both = said(**{own: 2.5, other: 0.5})
    torch.testing.assert_close(both, said(**{own: 2.5, other: 4.0}))
    assert (both - said(**{own: 0.5, other: 0.5})).abs().max() > 0.05


def test_a_higher_temperature_makes_probabilities_modest(tagger: EmotionTagger) -> None:
    def sureness(t: float) -> float:
        hot = tagger.using(replace(tagger.config, temperature=t, live_temperature=1 / t))
        return float(probabilities(hot.tag([longer(20)])[0]).amax(1).mean())

    assert sureness(0.5) > sureness(1.0) > sureness(3.0) > 1 / 7


def test_everything_else_about_a_conversation_survives(tagger: EmotionTagger) -> None:
    given_ = Conversation.from_dict(
        {"id": 7, "room": "x", "warnings": ["old"], "utterances": [{"speaker": "A", "text": "hi", "n": 3, "time": "1"}]}
    )
    (c,) = tagger.tag([given_])
    out = c.to_dict()
    assert (out["id"], out["room"], out["warnings"]) == (7, "x", ["old"])
    assert (out["utterances"][0]["n"], out["utterances"][0]["time"]) == (3, "1")


def test_nothing_in_nothing_out(tagger: EmotionTagger) -> None:
    assert tagger.tag([]) == []
    for mode in MODES:
        assert tagger.tag([chat(), chat("A: hi"), chat()], mode=mode)[::2] == [chat(), chat()]


def test_cut_and_foreign_texts_come_with_a_warning(tagger: EmotionTagger) -> None:
    long = "dog " * (LAYOUT.utterance_tokens + 1)
    (c,) = tagger.tag([chat("A: hi", f"B: {long}", "A: Я ничего не понимаю", "B: hello", f"A: {long}")])
    assert len(c.warnings) == 2
    assert "utterances 1, 4: only the first 20 tokens" in c.warnings[0]
    assert "utterance 2: not in English" in c.warnings[1]
    (many,) = tagger.tag([chat(*[f"A: {long}"] * 12)])
    assert "0, 1, 2, 3, 4, 5, 6, 7 and 4 more" in many.warnings[0]


def test_an_unknown_mode_is_refused(tagger: EmotionTagger) -> None:
    with pytest.raises(ValueError, match="mode 'later': expected 'offline' or 'live'"):
        tagger.tag([chat("A: hi")], mode="later")  # type: ignore[arg-type]


def test_damaged_weights_are_noticed_rather_than_believed(tmp_path: Path, model_folder: Path) -> None:
    tensors = load_file(model_folder / "model.safetensors")
    tensors["context.classify.bias"] = tensors["context.classify.bias"] * torch.nan
    (tmp_path / "bad").mkdir()
    save_file(tensors, tmp_path / "bad" / "model.safetensors")
    (tmp_path / "bad" / "config.json").write_text((model_folder / "config.json").read_text())
    with pytest.raises(ValueError, match="weights may be damaged"):
        EmotionTagger.load(tmp_path / "bad").tag([chat("A: hi")])


def test_a_config_says_what_is_wrong_with_it(tmp_path: Path, model_folder: Path) -> None:
    context = EmotionICConfig(n_labels=2)
    for fields, message in (
        ({"labels": ("joy",)}, "1 labels, but the context model has 2"),
        ({"labels": ("joy", "joy")}, "not distinct"),
        ({"labels": ("joy", "fear"), "label_bias": (0.0,)}, "label_bias has 1"),
    ):
        with pytest.raises(ValueError, match=message):
            EmotionModelConfig(**({"context": context, "layout": Layout()} | fields))  # type: ignore[arg-type]
    (tmp_path / "model.safetensors").write_bytes((model_folder / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text('{"config": "EmotionModelConfig"}')
    with pytest.raises(CheckpointError, match=r"describe a EmotionModelConfig: .* needs labels, context, layout"):
        EmotionTagger.load(tmp_path)


def test_speakers_are_told_apart_by_name_alone() -> None:
    ids = speaker_ids(["Ann", "Bob", "Ann", "", "\ud800"])
    assert ids[0] == ids[2]
    assert len(set(ids.tolist())) == 4
    assert speaker_ids(["Bob"])[0] == ids[1]
    assert speaker_ids([]).shape == (0,)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("context.classify.bias"), "context.classify.bias is missing"),
        (lambda t: t.update({"context.stray": torch.zeros(1)}), "context.stray is not in the model"),
        (lambda t: t.update({"context.classify.bias": torch.zeros(3)}), r"bias is \(3,\), expected \(7,\)"),
        (lambda t: t.pop(next(k for k in t if k.endswith(".B"))), "no linear layer .* or no A and B"),
        (lambda t: t.pop(next(k for k in t if k.endswith(".A"))), "no linear layer .* or no A and B"),
    ],
)
def test_weights_that_do_not_fit_are_one_line_that_names_the_folder(
    tmp_path: Path, model_folder: Path, change: Callable[[dict[str, torch.Tensor]], Any], said: str
) -> None:
    tensors = load_file(model_folder / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((model_folder / "config.json").read_text())
    with pytest.raises(CheckpointError, match=said) as caught:
        EmotionTagger.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_said_beside_the_label_is_the_same_live_in_pieces_and_in_a_batch(
    tmp_path: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"n_tags": 2, "affect": True, "gated": True}
    alone = replace(LAYOUT, alone=True, speaker_marks="none")
    folder = make_model(tmp_path / "says", encoder_folder, layout=alone, tags=("joy", "pride"), **config)
    says = EmotionTagger.load(folder)
    c = longer(40)
    (whole,), (live,) = says.tag([c]), says.tag([c], mode="live")
    monkeypatch.setattr("dialog.emotion.tagger.PIECE", 16)
    monkeypatch.setattr("dialog.reading.encoding.PIECE", 16)
    (pieces,) = uncached(says).tag([c])
    tags = set()
    for a, b, d, e in zip(whole.utterances, pieces.utterances, live.utterances, stream(says, c), strict=True):
        assert a.prediction
        assert b.prediction
        assert d.prediction
        for other in (b.prediction, d.prediction, e):
            assert other.valence == pytest.approx(a.prediction.valence, abs=1e-4)
            assert other.second in says.labels
            assert other.second != other.emotion
        assert a.prediction.valence is not None
        assert a.prediction.arousal is not None
        assert 1 <= a.prediction.valence <= 5
        assert 1 <= a.prediction.arousal <= 5
        assert all(tag.probability >= says.config.tag_threshold for tag in a.prediction.tags)
        assert a.prediction.unsure == (a.prediction.probability < 0.5)
        assert Prediction.from_dict(a.prediction.to_dict()) == a.prediction
        tags |= {tag.tag for tag in a.prediction.tags}
    assert tags <= {"joy", "pride"}
    assert tags


def test_a_shut_gate_lets_nothing_of_the_conversation_in(tmp_path: Path, encoder_folder: Path) -> None:
    layout = replace(LAYOUT, alone=True, speaker_marks="none")
    folder = make_model(tmp_path / "gated", encoder_folder, layout=layout, gated=True, crf="none")
    tagger = EmotionTagger.load(folder)
    gate = tagger.context.gate
    assert gate is not None
    told = tagger.tag([longer(6)])[0]
    with torch.no_grad():
        gate.weight.zero_()
        gate.bias.fill_(-30.0)
    shut = EmotionTagger("shut", "shut@1", tagger.config, tagger.encoder, tagger.context)
    (inside,) = shut.tag([longer(6)])
    outside = shut.tag([replace(longer(6), utterances=(u,)) for u in longer(6).utterances])
    torch.testing.assert_close(probabilities(inside), torch.cat([probabilities(c) for c in outside]))
    assert not torch.allclose(probabilities(told), probabilities(inside), atol=1e-3), "open, it lets something in"


def test_a_text_nobody_here_can_read_gets_no_label_and_an_emoji_can_be_read(tagger: EmotionTagger) -> None:
    c = chat("A: Я ничего не понимаю сегодня", "B: Я ничего не понимаю 😢", "A: ")
    said = [[u.prediction for u in tagger.tag([c], mode=mode)[0].utterances] for mode in MODES]
    for unread, emoji, empty in [*said, stream(tagger, c)]:
        assert unread
        assert emoji
        assert empty
        assert unread.emotion is None
        assert unread.unsure
        assert unread.reason
        assert "English" in unread.reason
        assert sum(unread.probabilities.values()) == pytest.approx(1)
        assert emoji.emotion in tagger.labels
        assert empty.emotion in tagger.labels
        assert empty.reason is None


def test_a_phrase_that_speaks_of_self_harm_asks_for_care_and_a_figure_of_speech_does_not(tagger: EmotionTagger) -> None:
    lines = ["A: I want to kill myself", "B: I don’t want to be alive anymore", "A: I'm dying of laughter, kill me"]
    for mode in MODES:
        (c,) = tagger.tag([chat(*lines)], mode=mode)
        assert [u.prediction.care for u in c.utterances if u.prediction] == [True, True, False]
    assert tagger.step(tagger.start(), "A", "i wish i was dead")[0].care
