"""Asking about pictures with the built-in kind of model: rounds, states, honesty, files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dialog.pictures.answers import NOT_KNOWN, Answer, BadQuestion
from dialog.pictures.deciding import UNSURE
from dialog.pictures.questions import FOREIGN_QUESTION
from dialog.pictures.seqdialn import UNKNOWN_PICTURE, VisualDialog, VisualState
from dialog.reading.seeing import n_tiles, see
from dialog.reading.text_vectors import TextReader, batched, joined
from models.encoders.text import TextEncoder
from models.tensors import read_file, write_file
from tests.dialog.tiny_visual import ANSWERS, make_visual, picture

QUESTIONS = ("is it a dog?", "what is it?", "where is it", "is it good?")


@pytest.fixture(scope="module", params=["mr", "ip", "gla"])
def dialog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VisualDialog:
    return VisualDialog.load(make_visual(tmp_path_factory.mktemp(request.param), reasoning=request.param))


def talk(dialog: VisualDialog, state: VisualState, *questions: str) -> tuple[list[Answer], VisualState]:
    answers = []
    for question in questions:
        answer, state = dialog.ask(state, question)
        answers.append(answer)
    return answers, state


def test_an_answer_says_what_it_rests_on(dialog: VisualDialog) -> None:
    look = dialog.look(picture())
    answers, state = talk(dialog, dialog.start(look), *QUESTIONS)
    for t, answer in enumerate(answers):
        assert answer.text == answer.answers[0].text in ANSWERS
        p = [c.probability for c in answer.answers]
        assert p == sorted(p, reverse=True)
        assert len(p) == 5
        assert 0.8 < sum(p) <= 1.0001
        assert sum(answer.regions) == pytest.approx(1, abs=1e-5)
        assert len(answer.regions) == len(look.boxes) == 4
        assert len(answer.rounds) == t
        assert all(0 <= w <= 1.0001 for w in answer.rounds)
        assert answer.known
        assert answer.to_dict()["answers"][0] == {"text": answer.text, "probability": p[0]}
    assert state.rounds == tuple((q, a.text) for q, a in zip(QUESTIONS, answers, strict=True))


def test_rounds_said_before_are_as_good_as_rounds_asked(dialog: VisualDialog) -> None:
    look = dialog.look(picture())
    asked, state = talk(dialog, dialog.start(look), *QUESTIONS)
    replayed = dialog.start(look, state.rounds[:-1])
    again, _ = dialog.ask(replayed, QUESTIONS[-1])
    assert again == asked[-1]
    other, _ = dialog.ask(dialog.start(look, [("what is it?", "a dog"), *state.rounds[1:-1]]), QUESTIONS[-1])
    assert other.answers != asked[-1].answers  # what was said before matters


def test_live_rounds_equal_the_whole_dialogue_at_once(dialog: VisualDialog) -> None:
    """Streaming, with its caches, against the parallel pass the network is trained with."""
    look = dialog.look(picture())
    answers, state = talk(dialog, dialog.start(look, caption="the dog"), *QUESTIONS)
    items = [joined(dialog.reader.read(item)) for item in (["the dog"], *state.rounds[:-1])]
    history, questions = batched(items), batched(dialog.reader.read(QUESTIONS))
    with torch.inference_mode():
        one = [type(t)(t.words[None], t.mask[None], t.sentence[None]) for t in (history, questions)]
        z = dialog.network(look.regions, *one, torch.ones(1, 4, dtype=torch.bool)).z[0]
        p = dialog.probabilities(z)
    for row, question, answer in zip(p, QUESTIONS, answers, strict=True):
        suited = dialog.suited(row, question)
        for c in answer.answers:
            assert c.probability == pytest.approx(float(suited[ANSWERS.index(c.text)]), abs=1e-5)


def test_a_state_survives_a_database_and_stays_a_value(dialog: VisualDialog) -> None:
    look = dialog.look(picture())
    for n in (0, 1, 3):
        _, state = talk(dialog, dialog.start(look, caption="hi"), *QUESTIONS[:n])
        expected, _ = dialog.ask(state, "what is it")
        restored = dialog.restore(state.to_bytes())
        assert restored.rounds == state.rounds
        assert restored.look.boxes == look.boxes
        assert dialog.ask(restored, "what is it")[0] == expected
        assert dialog.ask(state, "what is it")[0] == expected  # asking did not change it


def test_a_foreign_state_is_refused(dialog: VisualDialog, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the state"):
        dialog.restore(b"pickle me")
    other = VisualDialog.load(make_visual(tmp_path, n_memory=3))
    state = other.start(other.look(picture()))
    with pytest.raises(ValueError, match="belongs to"):
        dialog.restore(state.to_bytes())


@pytest.mark.parametrize("question", ["", "  \n", "why " * 400])
def test_a_question_that_cannot_be_read_is_refused(dialog: VisualDialog, question: str) -> None:
    with pytest.raises(BadQuestion):
        dialog.ask(dialog.start(dialog.look(picture())), question)


def test_a_picture_unlike_training_is_admitted_not_to_be_understood(tmp_path: Path) -> None:
    dialog = VisualDialog.load(make_visual(tmp_path, familiar=True))
    known, _ = dialog.ask(dialog.start(dialog.look(picture(1000))), "what is it")
    look = dialog.look(Image.new("RGB", (50, 50), (255, 0, 255)))
    strange, state = dialog.ask(dialog.start(look), "what is it")
    assert look.strangeness is not None
    assert look.strangeness > 1
    assert known.known
    assert (strange.known, strange.text, strange.why) == (False, NOT_KNOWN, UNKNOWN_PICTURE)
    assert strange.answers  # still shown, for who wants them
    assert state.rounds == (("what is it", NOT_KNOWN),)


def test_a_question_in_another_language_is_admitted_not_to_be_understood(dialog: VisualDialog) -> None:
    answer, _ = dialog.ask(dialog.start(dialog.look(picture())), "¿Qué está haciendo el perro en la foto?")
    assert (answer.known, answer.text, answer.why) == (False, NOT_KNOWN, FOREIGN_QUESTION)


def test_who_asks_what_is_not_answered_yes_or_no(dialog: VisualDialog) -> None:
    p = torch.full((len(dialog.config.answers),), 1 / len(dialog.config.answers))
    asked = ("What's it?", " how many ?", "is it red?", "Whole?")
    suited = {question: dialog.suited(p, question) for question in asked}
    closed = torch.tensor([a in ("yes", "no") for a in dialog.config.answers])
    assert bool(closed.any())
    for question in asked[:2]:
        assert float(suited[question][closed].sum()) == 0
        assert float(suited[question].sum()) == pytest.approx(1)
    assert torch.equal(suited["is it red?"], p)
    assert torch.equal(suited["Whole?"], p)
    answers, _ = talk(dialog, dialog.start(dialog.look(picture())), "what is it?")
    assert answers[0].text not in ("yes", "no")


def test_an_answer_too_unlikely_is_not_given(dialog: VisualDialog) -> None:
    from dataclasses import replace

    config = replace(dialog.config, least_probability=0.999999)
    cautious = VisualDialog(
        "c", "0", config, dialog.network, dialog.options, dialog.eyes, dialog.reader, dialog.familiarity
    )
    answer, _ = cautious.ask(cautious.start(cautious.look(picture())), "what is it")
    assert (answer.known, answer.text, answer.why) == (False, NOT_KNOWN, UNSURE)


def test_a_blind_model_answers_alike_for_every_picture_and_a_seeing_one_does_not(tmp_path: Path) -> None:
    for blind in (True, False):
        dialog = VisualDialog.load(make_visual(tmp_path / str(blind), blind=blind))
        one, two = (dialog.ask(dialog.start(dialog.look(picture(i))), "what is it")[0] for i in range(2))
        assert (one.answers == two.answers) is blind


def test_a_wide_picture_is_read_in_tiles(dialog: VisualDialog) -> None:
    assert [n_tiles(*size) for size in ((400, 100), (640, 480), (480, 640), (1920, 1080), (10_000, 10))] == [
        3, 1, 1, 1, 6,
    ]  # fmt: skip
    wide = picture(3, (400, 100))
    regions = see(dialog.eyes, [picture(1), wide])[1]
    assert regions.vectors.shape[0] == 12
    alone = see(dialog.eyes, [wide.crop((133, 0, 267, 100))])[0]
    # Another size of batch may take another kernel of the processor's library: alike, not bit for bit.
    torch.testing.assert_close(regions.vectors[4:8], alone.vectors, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(regions.boxes[4:8, 0], (alone.boxes[:, 0] + 1) / 3)
    torch.testing.assert_close(regions.boxes[4:8, 1], alone.boxes[:, 1])
    assert dialog.ask(dialog.start(dialog.look(wide)), "what is it")[0].known


def test_a_text_reads_alike_alone_in_a_batch_and_from_the_cache(tmp_path: Path) -> None:
    from tests.dialog.tiny import make_encoder

    encoder = TextEncoder.load(make_encoder(tmp_path))
    texts = ["hello", "", "the dog is so happy and i am sad", "hello"]
    together = TextReader(encoder).read(texts)
    assert [len(v.words) for v in together][1] == 0
    reader = TextReader(encoder, cache_texts=1)
    for _ in range(2):
        for text, expected in zip(texts, together, strict=True):
            (alone,) = reader.read([text])
            torch.testing.assert_close(alone.words, expected.words, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(alone.sentence, expected.sentence, rtol=1e-4, atol=1e-5)
    assert batched(together).mask.sum(1).tolist() == [len(v.words) for v in together]


def test_a_name_nobody_knows_is_named() -> None:
    with pytest.raises(ValueError, match="no model 'visual/none'"):
        VisualDialog.load("visual/none")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("options"), "options is missing"),
        (lambda t: t.pop("familiarity.limit"), "familiarity.limit is missing"),
        (lambda t: t.update({"network.stray": torch.zeros(1)}), "network.stray is not in the model"),
        (lambda t: t.update({"options": torch.zeros(2, 2)}), r"options is \(2, 2\), expected \(6, 16\)"),
    ],
)
def test_weights_that_do_not_fit_are_one_line_that_names_the_folder(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], Any], said: str
) -> None:
    model = make_visual(tmp_path, familiar=True)
    tensors = read_file(model / "model.safetensors")
    change(tensors)
    write_file(model / "model.safetensors", tensors)
    with pytest.raises(ValueError, match=said) as caught:
        VisualDialog.load(model)
    assert str(model) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_refuses_a_picture_encoder_it_was_not_trained_with(tmp_path: Path) -> None:
    model = make_visual(tmp_path)
    config = tmp_path / "eyes" / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(ValueError, match="was trained with picture encoder"):
        VisualDialog.load(model)
