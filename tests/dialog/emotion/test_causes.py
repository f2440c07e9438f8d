"""Causes named beside emotions: backwards only, exact words, the same alone, in a batch and live, under any name."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dialog.conversation import Cause, Conversation, Prediction
from dialog.emotion.causes import STRETCH, Calibration, CauseFinder, CausesModelConfig, WrongEncoder
from dialog.emotion.config import EmotionModelConfig
from dialog.emotion.port import Mode
from dialog.emotion.tagger import EmotionTagger, speaker_ids
from dialog.reading.encoding import encoder_hash
from models.catalogue import UnknownModel, path_of
from models.checkpoint import read_config
from models.pointer.causes import CausesConfig
from tests.dialog.tiny import LAYOUT, chat, longer, make_causes, make_model, renamed

CRYING = "\N{CRYING FACE}\N{CRYING FACE}"


def causes(c: Conversation) -> list[tuple[Cause, ...]]:
    return [u.prediction.causes for u in c.utterances if u.prediction]


def assert_same(one: Conversation, other: Conversation) -> None:
    assert len(one.utterances) == len(other.utterances)
    for by, by_other in zip(causes(one), causes(other), strict=True):
        places = [
            sorted(((c.utterance or -1, c.start, c.end, c.span) for c in some), key=str) for some in (by, by_other)
        ]
        assert places[0] == places[1]
        assert sorted(c.probability for c in by) == pytest.approx(sorted(c.probability for c in by_other), abs=2e-4)


@pytest.fixture(scope="module")
def chats() -> list[Conversation]:
    odd = chat(
        "A: so sad", f"B:   hello {CRYING} dog!  ", "A: ", "C: never, never", f"A: {CRYING}", "B: I am angry \ud83d"
    )
    return [longer(n) for n in (1, 12, 30)] + [odd, chat()]


def test_causes_point_backwards_at_exact_words_of_the_raw_text(
    finding: EmotionTagger, chats: list[Conversation]
) -> None:
    found = 0
    for mode in ("offline", "live"):
        for c in finding.tag(chats, mode=mode):
            for i, by in enumerate(causes(c)):
                assert [x.probability for x in by] == sorted((x.probability for x in by), reverse=True)
                for cause in by:
                    found += 1
                    if cause.utterance is None:
                        assert (cause.start, cause.end, cause.span) == (None, None, None)
                        continue
                    assert i - 5 < cause.utterance <= i
                    text = c.utterances[cause.utterance].text
                    if cause.span is None:
                        assert not text.strip()
                    else:
                        assert cause.span
                        assert text[cause.start : cause.end] == cause.span
    assert found > 20


def test_surely_neutral_utterances_have_no_cause_and_all_others_may(finding: EmotionTagger) -> None:
    c, finder = longer(30), finding.causes
    assert finder
    (tagged,), (encoded,) = finding.tag([c]), finding.encoder.encode([c], keep_tokens=finder.keep_tokens)
    shown: list[tuple[str, float, float]] = [("neutral", 0.9, 0.1), ("joy", 0.3, 0.7), ("neutral", 0.55, 0.45)]
    predictions = [
        replace(
            u.prediction,
            emotion=shown[i % 3][0],
            probabilities=dict.fromkeys(u.prediction.probabilities, 0.0)
            | {"neutral": shown[i % 3][1], "joy": shown[i % 3][2]},
        )
        for i, u in enumerate(tagged.utterances)
        if u.prediction
    ]
    (found,) = finder.find([c], [encoded], [predictions], [speaker_ids([u.speaker for u in c.utterances])])
    assert all(by == () for by in found[::3])
    assert any(found[1::3])
    assert any(found[2::3]), "what is neutral, but not surely, is asked too"
    assert {cause.emotion for by in found for cause in by} == {"joy"}, "and the answer says what is asked about"


def test_emotions_are_those_of_the_model_without_causes(
    finding: EmotionTagger, tagger: EmotionTagger, chats: list[Conversation]
) -> None:
    for one, other in zip(finding.tag(chats), tagger.tag(chats), strict=True):
        for u, v in zip(one.utterances, other.utterances, strict=True):
            assert u.prediction
            assert v.prediction
            assert u.prediction.emotion == v.prediction.emotion
            assert u.prediction.probability == pytest.approx(v.prediction.probability, abs=1e-5)
    assert finding.version != tagger.version
    assert finding.without_causes().version == tagger.version
    assert not any(by for c in finding.without_causes().tag(chats) for by in causes(c))


def test_a_text_read_without_causes_can_be_read_with_them_next(finding: EmotionTagger) -> None:
    """One encoder, one cache: what was remembered without tokens must not be taken for what has them."""
    c = chat("A: it is a good film", "B: why", "A: i am so happy")
    (expected,) = finding.tag([c])
    finding.encoder._cache.clear()
    finding.without_causes().tag([c])
    assert finding.tag([c]) == [expected]
    assert any(causes(expected))


def test_a_batch_says_what_each_alone_would(finding: EmotionTagger, chats: list[Conversation]) -> None:
    for together, c in zip(finding.tag(chats), chats, strict=True):
        assert_same(together, finding.tag([c])[0])


def test_a_long_conversation_is_read_in_stretches_and_says_what_live_steps_do(finding: EmotionTagger) -> None:
    c = longer(STRETCH + 7)
    (whole,) = finding.tag([c], mode="live")
    state, said, rows = finding.start(), [], list[tuple[bytes, str]]()
    for i, u in enumerate(c.utterances):
        prediction, state = finding.step(state, u.speaker, u.text)
        said.append(prediction)
        rows += [(row, u.text) for row in state.rows(1)]
        if i % 20 == 0:  # As the service does between two messages.
            state = finding.restore(state.head(), rows)
    assert_same(whole, c.with_predictions(said))
    assert any(cause.utterance and cause.utterance > STRETCH for by in causes(whole) for cause in by)


@pytest.mark.parametrize("mode", ["offline", "live"])
def test_a_conversation_too_long_to_hold_is_read_twice_in_pieces_and_has_the_same_causes(
    finding: EmotionTagger, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    c = longer(2 * STRETCH + 9)
    (whole,) = finding.tag([c], mode=mode)
    for place in ("dialog.emotion.tagger.PIECE", "dialog.reading.encoding.PIECE"):
        monkeypatch.setattr(place, 40)
    (pieces,) = finding.tag([c], mode=mode)
    assert_same(whole, pieces)
    assert any(cause.utterance and cause.utterance > STRETCH for by in causes(pieces) for cause in by)


@pytest.mark.parametrize("mode", ["offline", "live"])
def test_a_long_conversation_that_was_stopped_is_gone_on_with_and_has_the_same_causes(
    finding: EmotionTagger, monkeypatch: pytest.MonkeyPatch, mode: Mode, tmp_path: Path
) -> None:
    c = longer(2 * STRETCH + 9)
    (whole,) = finding.tag([c], mode=mode)
    for place in ("dialog.emotion.tagger.PIECE", "dialog.reading.encoding.PIECE"):
        monkeypatch.setattr(place, 40)
    finding.encoder._cache.clear()
    monkeypatch.setattr(finding.encoder, "_remember", lambda keys, reads: None)  # only the file is left
    ran: list[int] = []
    run = finding.encoder._run
    monkeypatch.setattr(finding.encoder, "_run", lambda jobs, keep: ran.append(len(jobs)) or run(jobs, keep))
    told: list[int] = []
    keep = tmp_path / "reading"
    assert_same(whole, finding.tag_long(c, mode=mode, progress=told.append, keep=keep))
    everything = sum(ran)
    assert told == sorted(told)
    assert told[-1] == len(c.utterances)
    assert keep.exists()
    keep.unlink()

    def stop(n: int) -> None:
        if n > 0.7 * len(c.utterances):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finding.tag_long(c, mode=mode, progress=stop, keep=keep)
    with keep.open("ab") as file:
        file.write(b"torn by a kill" * 9)
    ran.clear()
    assert_same(whole, finding.tag_long(c, mode=mode, keep=keep))
    assert 0 < sum(ran) < 0.5 * everything


def test_in_live_mode_later_messages_change_nothing(finding: EmotionTagger) -> None:
    c = longer(20)
    first = replace(c, utterances=c.utterances[:11])
    whole, part = finding.tag([c, first], mode="live")
    assert_same(replace(whole, utterances=whole.utterances[:11]), part)


def test_other_names_change_nothing(finding: EmotionTagger) -> None:
    c = longer(20)
    other = renamed(c, {"X": "Yvonne Zed", "Y": "X", "Z": ""})
    for mode in ("offline", "live"):
        (one,), (two,) = finding.tag([c], mode=mode), finding.tag([other], mode=mode)
        assert_same(one, two)


def test_the_state_of_a_live_chat_is_bounded(finding: EmotionTagger) -> None:
    state, sizes = finding.start(), []
    for _ in range(24):
        _, state = finding.step(state, "A", "so sad and angry")
        sizes.append(len(state.head()) + len(state.rows(1)[0]))
    assert max(sizes[12:]) <= sizes[11] + 16
    assert len(state.rows(24)) == finding.reach < 24


def test_chats_are_gone_on_with_together_and_have_the_causes_each_has_alone(finding: EmotionTagger) -> None:
    chats = [longer(30), chat("A: " + "so sad and angry " * 4, "B: never", "A: I am happy"), longer(3), longer(14)]
    expected = finding.tag(chats, mode="live")
    states, said = [finding.start() for _ in chats], [list[Prediction]() for _ in chats]
    for n in range(30):
        there = [i for i, c in enumerate(chats) if n < len(c.utterances)]
        new = [chats[i].utterances[n] for i in there]
        stepped = finding.steps([states[i] for i in there], [(u.speaker, u.text) for u in new])
        for i, (prediction, state) in zip(there, stepped, strict=True):
            said[i].append(prediction)
            states[i] = state
    for whole, c, predictions in zip(expected, chats, said, strict=True):
        assert_same(whole, c.with_predictions(predictions))
    assert any(causes(expected[0]))


def test_a_long_message_read_alone_is_not_written_but_read_again(
    tmp_path: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dialog.emotion.live.TOKENS_WRITTEN", 6)
    folder = make_model(tmp_path / "alone", encoder_folder, layout=replace(LAYOUT, alone=True))
    make_causes(tmp_path / "causes", EmotionTagger.load(folder, causes=False).encoder.version)
    tagger = EmotionTagger.load(folder, causes=tmp_path / "causes")
    c = chat("A: so sad", "B: you are so angry and the film is so bad", "A: never", "B: why so sad")
    (whole,) = tagger.tag([c], mode="live")
    state, said, rows = tagger.start(), list[Prediction](), list[tuple[bytes, str]]()
    for u in c.utterances:
        state = tagger.restore(state.head(), rows)
        prediction, state = tagger.step(state, u.speaker, u.text)
        said.append(prediction)
        rows += [(state.rows(1)[0], u.text)]
    assert_same(whole, c.with_predictions(said))
    assert any(cause.utterance == 1 and cause.span for by in causes(whole)[2:] for cause in by)
    sizes = [len(row) for row, _ in rows]
    assert sizes[1] < sizes[0], "the long one's tokens are not in its row"


def test_what_a_message_writes_of_the_shipped_model_is_at_most_16_kb() -> None:
    tagger = EmotionTagger.load()
    state = tagger.start()
    for text in ("so sad " * 2_000, "the dog of my aunt " * 7, "\N{CRYING FACE}" * 4_000):
        for _ in range(12):
            _, state = tagger.step(state, "A", text)
            assert len(state.head()) + len(state.rows(1)[0]) <= 16 * 1024


def test_a_state_belongs_to_the_model_that_made_it(finding: EmotionTagger, tagger: EmotionTagger) -> None:
    _, state = finding.step(finding.start(), "A", "so sad")
    with pytest.raises(ValueError, match="belongs to"):
        tagger.restore(state.head(), [(state.rows(1)[0], "so sad")])
    with pytest.raises(ValueError, match="belongs to"):
        finding.restore(tagger.start().head(), [])


def test_another_encoder_or_other_emotions_are_refused(
    model_folder: Path, tagger: EmotionTagger, tmp_path: Path
) -> None:
    make_causes(tmp_path, "0123456789ab")
    with pytest.raises(WrongEncoder, match=f"0123456789ab.*{tagger.encoder.version}.*rapport train causes/reccon"):
        EmotionTagger.load(model_folder, causes=tmp_path)
    with pytest.raises(WrongEncoder, match="knows the emotions"):
        CauseFinder.load(tmp_path, tagger.encoder, ("good", "bad"))
    with pytest.raises(UnknownModel, match="causes/none"):
        EmotionTagger.load(model_folder, causes="causes/none")
    assert EmotionTagger.load(model_folder).causes is None, "the shipped causes read another encoder"


def test_another_habit_has_its_own_calibration_and_an_unknown_one_is_refused(finding: EmotionTagger) -> None:
    finder = finding.causes
    assert finder
    assert finder.habit == 0
    other = finder.with_thresholds(0.0, 1.0, habit="ecf")
    assert (other.habit, other.calibration.scale, other.calibration.threshold) == (1, 0.6, 0.0)
    assert other.keep_tokens is finder.keep_tokens
    with pytest.raises(ValueError, match="nobody"):
        finder.with_thresholds(0.0, 1.0, habit="nobody")


def test_configs_that_make_no_sense_are_refused() -> None:
    pointer = CausesConfig(n_emotions=2)
    with pytest.raises(ValueError, match="1 labels"):
        CausesModelConfig(labels=("a",), pointer=pointer, encoder="x")
    with pytest.raises(ValueError, match="2 habits and 1 calibrations"):
        CausesModelConfig(labels=("a", "b"), pointer=pointer, encoder="x", habits=("reccon", "ecf"))
    with pytest.raises(ValueError, match="exact 2"):
        CausesModelConfig(labels=("a", "b"), pointer=pointer, encoder="x", exact=2.0)
    with pytest.raises(ValueError, match="thresholds 2"):
        Calibration(threshold=2.0)


def test_deltas_and_layout_make_the_hash_of_an_encoder(tagger: EmotionTagger) -> None:
    layout, deltas = tagger.config.layout, {"a.A": torch.ones(2, 3).half(), "a.B": torch.ones(3, 2).half()}
    one = encoder_hash("minilm", layout, deltas)
    assert one == encoder_hash("minilm", layout, dict(reversed(deltas.items())))
    others = [
        encoder_hash("other", layout, deltas),
        encoder_hash("minilm", replace(layout, live_tokens=31), deltas),
        encoder_hash("minilm", layout, deltas | {"a.A": 2 * deltas["a.A"]}),
    ]
    assert len({one, *others}) == 4


def test_the_shipped_causes_read_the_shipped_emotions() -> None:
    """Whoever ships another emotion/ekman trains causes/reccon again: it takes one command and minutes."""
    folder, causes = path_of("emotion/ekman"), path_of("causes/reccon")
    config = read_config(folder, EmotionModelConfig)
    tensors = load_file(folder / "model.safetensors")
    deltas = {k.removeprefix("encoder."): v for k, v in tensors.items() if k.startswith("encoder.")}
    told = read_config(causes, CausesModelConfig)
    assert told.encoder == encoder_hash(config.encoder, config.layout, deltas)
    assert told.labels == config.labels
    assert sum(file.stat().st_size for file in causes.iterdir()) <= 4 << 20
