"""Everyday questions answered from evidence: each kind gets what it asks for, what no picture answers is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

from dialog.pictures.answers import Answer
from dialog.pictures.evidence import N_CLAIM, N_FEATURES, Presence
from dialog.pictures.match import BANK, TEXTS
from dialog.pictures.questions import read
from dialog.pictures.referring import antecedent, resolved
from dialog.pictures.seqdialn import NOT_KNOWN, VisualDialog
from tests.dialog.tiny_visual import make_visual, picture

WORDS = ("dog", "man", "running", "sitting", "red", "beach", "hat")
CAPTIONS = ["a dog on the beach", "a man sits", "two red hats"]
Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with everything evidence needs, its weights random and its captions three."""
    root = tmp_path_factory.mktemp("everyday")
    model = make_visual(root, told=WORDS)
    torch.manual_seed(1)
    save_file({"captions": F.normalize(torch.randn(3, 32), dim=-1)}, root / "eyes" / BANK)
    (root / "eyes" / TEXTS).write_text(json.dumps(CAPTIONS))
    Presence((0.5,) * N_FEATURES, 0.0, (0.5,) * N_CLAIM, 0.0).save(model)
    return model


@pytest.fixture(scope="module")
def dialog(folder: Path) -> VisualDialog:
    found = VisualDialog.load(folder)
    assert found.everyday is not None
    return found


@pytest.fixture(scope="module")
def ask(dialog: VisualDialog) -> Ask:
    look = dialog.look(picture(0, (80, 60)))

    def answer(question: str, *rounds: tuple[str, str]) -> Answer:
        return dialog.ask(dialog.start(look, rounds), question)[0]

    return answer


@pytest.mark.parametrize(
    "question",
    ["what is it?", "what animal is this?", "what colour is the dog?", "how many dogs are there?", "who is it?",
     "where is the man?", "what is the man doing?", "what is he wearing?", "what room is this?", "what sport is it?",
     "what is he holding?", "describe the picture", "what is on his head?"],
)  # fmt: skip
def test_a_what_question_is_never_answered_yes_or_no(ask: Ask, question: str) -> None:
    assert not {c.text for c in ask(question).answers} & {"yes", "no"}


@pytest.mark.parametrize("question", ["is there a dog?", "is it a cat?", "is the man running?", "is it night?"])
def test_a_yes_or_no_question_is_answered_so_and_its_chances_add_up(ask: Ask, question: str) -> None:
    found = ask(question)
    assert {c.text for c in found.answers} == {"yes", "no"}
    assert sum(c.probability or 0 for c in found.answers) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("question", "options"),
    [("is it a dog or a cat?", {"dog", "cat"}), ("is it day or night?", {"day", "night"}),
     ("is it red or blue?", {"red", "blue"}), ("is he sitting or running?", {"sitting", "running"})],
)  # fmt: skip
def test_a_choice_is_made_among_the_words_of_the_question(ask: Ask, question: str, options: set[str]) -> None:
    assert {c.text for c in ask(question).answers} == options


def test_a_description_is_a_caption_people_wrote_and_says_so(ask: Ask) -> None:
    found = ask("what is in the picture?")
    assert found.retrieved
    assert found.answers[0].text in CAPTIONS
    assert found.to_dict()["retrieved"] is True


@pytest.mark.parametrize(
    "question", ["why is it red?", "will it rain tomorrow?", "qwertz asdf", "¿Dónde está el perro ahora mismo?"]
)
def test_what_no_picture_answers_is_not_known_and_says_why(ask: Ask, question: str) -> None:
    found = ask(question)
    assert (found.known, found.text) == (False, NOT_KNOWN)
    assert found.why


def test_evidence_travels_with_the_state(dialog: VisualDialog) -> None:
    state = dialog.start(dialog.look(picture(0, (80, 60))))
    restored = dialog.restore(state.to_bytes())
    for question in ("is there a dog?", "what colour is it?", "describe it"):
        assert dialog.ask(restored, question)[0] == dialog.ask(state, question)[0]


def test_a_word_the_picture_has_makes_its_thing_likelier(dialog: VisualDialog) -> None:
    look = dialog.look(picture(0, (80, 60)))
    assert dialog.everyday is not None
    assert look.evidence is not None
    shown = look.evidence._replace(words=look.evidence.words + 8 * F.one_hot(torch.tensor(0), len(WORDS)))
    before, after = (float(dialog.everyday.p_present(e, ["puppy"])[0]) for e in (look.evidence, shown))
    assert after > before + 0.01


def test_a_pronoun_means_what_was_named_last_and_agrees_with_it() -> None:
    rounds = [("is there a dog?", "yes"), ("who is it?", "a man")]
    assert antecedent(rounds, "it") == "dog"
    assert antecedent(rounds, "he") == "man"
    assert antecedent(rounds, "she") == ""
    assert antecedent([*rounds, ("what is he riding?", "horse")], "it") == "horse"


def test_a_question_is_read_with_its_pronouns_meaning() -> None:
    def nobody(person: bool) -> str:
        return "woman" if person else "cat"

    rounds = [("what animal is it?", "dog")]
    assert resolved(read("what colour is it?"), rounds, nobody).noun == "dog"
    assert resolved(read("is it running?"), rounds, nobody).claim == "the dog is running"
    assert resolved(read("is she running?"), rounds, nobody).claim == "the woman is running"
    assert resolved(read("what colour is his hat?"), rounds, nobody).noun == "hat"


def test_a_drawing_is_left_to_the_reasoner(dialog: VisualDialog) -> None:
    look = dialog.look(Image.new("RGB", (40, 40), "red"))._replace(evidence=None, drawn=True)
    answer, _ = dialog.ask(dialog.start(look), "what shape is it?")
    assert answer.text in dialog.config.answers
