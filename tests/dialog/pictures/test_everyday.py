"""Everyday questions answered from evidence: each kind gets what it asks for, what no picture answers is refused."""

import json
from collections.abc import Callable
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

from dialog.pictures.answers import NOT_KNOWN, Answer
from dialog.pictures.bounds import needed, no_surer
from dialog.pictures.deciding import decide
from dialog.pictures.everyday import Everyday
from dialog.pictures.evidence import N_CLAIM, N_FEATURES, Presence
from dialog.pictures.match import BANK, TEXTS
from dialog.pictures.names import IMAGENET
from dialog.pictures.questions import read
from dialog.pictures.referring import antecedent, resolved
from dialog.pictures.seqdialn import RECOGNISED, VisualDialog
from dialog.pictures.vocabulary import OBJECTS
from dialog.reading.seeing import see
from models.detector.model import YoloTiny
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


def test_a_description_is_a_caption_people_wrote_and_says_so(
    dialog: VisualDialog, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = dialog.look(picture(0, (80, 60)))
    assert dialog.everyday is not None
    assert look.evidence is not None
    near = look.evidence._replace(pooled=dialog.everyday.witness.match.captions[1])
    monkeypatch.setattr("dialog.pictures.describing.INTERCEPT", 5.0)
    found, _ = dialog.ask(dialog.start(look._replace(evidence=near)), "what is in the picture?")
    assert found.retrieved
    assert found.text == "A man sits"
    assert found.to_dict()["retrieved"] is True


def test_where_no_caption_is_near_what_is_there_is_named(dialog: VisualDialog) -> None:
    look = dialog.look(picture(0, (80, 60)))
    assert look.evidence is not None
    far = look.evidence._replace(pooled=torch.zeros_like(look.evidence.pooled))
    found, _ = dialog.ask(dialog.start(look._replace(evidence=far)), "what is in the picture?")
    assert not found.retrieved
    assert found.answers[0].text.startswith("a photo of a")


def test_what_is_surely_one_thing_is_no_other_but_whatever_it_is_a_kind_of(dialog: VisualDialog) -> None:
    look = dialog.look(picture(0, (80, 60)))
    assert look.evidence is not None
    beagle = IMAGENET.index("beagle")
    sure = look.evidence._replace(classes=20.0 * F.one_hot(torch.tensor(beagle), 1000))
    start = dialog.start(look._replace(evidence=sure))

    def yes(question: str) -> float:
        return {c.text: c.probability or 0 for c in dialog.ask(start, question)[0].answers}["yes"]

    assert yes("is it a guitar?") < 0.01
    assert min(yes("is it a dog?"), yes("is it an animal?")) > 0.01


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("is there a dog on the boat", ["dog"]),
        ("is the dog wearing a hat?", ["hat"]),
        ("is somebody playing the piano?", ["person"]),
        ("is anyone wearing a red hat?", ["person", "hat"]),
        ("is the man running?", []),
    ],
)
def test_a_claim_is_no_likelier_than_what_it_needs(
    dialog: VisualDialog, question: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dialog.everyday is not None
    asked = read(question)
    assert needed(asked) == names
    evidence = dialog.look(picture(0, (80, 60))).evidence
    assert evidence is not None
    monkeypatch.setattr(dialog.everyday.sight, "p_present", lambda evidence, nouns: torch.full((len(nouns),), 0.01))
    reply = dialog.everyday.answer(asked, evidence, {"yes": 0.99, "no": 0.01})
    assert reply is not None
    if names:
        assert dict(reply.answers)["yes"] <= 0.011


def test_who_may_be_either_is_said_to_be_a_child() -> None:
    assert no_surer("boy", {"boy": 0.84, "girl": 0.79, "child": 0.8}) == "child"
    assert no_surer("boy", {"boy": 0.84, "girl": 0.3}) == "boy"
    assert no_surer("woman", {"woman": 0.6, "man": 0.55}) == "person"
    assert no_surer("dog", {"dog": 0.5}) == "dog"


def test_the_answer_to_an_open_question_is_not_its_own_word() -> None:
    reasoned = {"dog": 0.9, "frisbee": 0.6}
    decided = decide("what is the dog trying to catch?", (), reasoned, None, None, lambda _: 0.0)
    assert decided.answers[0].text == "frisbee"
    assert decide("is it a dog or a cat?", (), reasoned, None, None, lambda _: 0.0).answers[0].text == "dog"


def test_a_game_is_believed_only_as_far_as_it_is_likelier_than_others(dialog: VisualDialog) -> None:
    look = dialog.look(picture(0, (80, 60)))
    assert dialog.everyday is not None
    assert look.evidence is not None
    shares = dialog.everyday.naming.sports(look.evidence)
    for game in ("soccer", "tennis"):
        answer, _ = dialog.ask(dialog.start(look), f"are they playing {game}?")
        assert {c.text: c.probability or 0 for c in answer.answers}["yes"] <= shares[game] + 1e-6


def test_a_strange_picture_of_what_is_recognised_is_familiar(tmp_path_factory: pytest.TempPathFactory) -> None:
    dialog = VisualDialog.load(make_visual(tmp_path_factory.mktemp("kin"), familiar=True, told=WORDS))
    regions = see(dialog.eyes, [picture(0)])[0]
    regions = regions._replace(vectors=2 * regions.vectors)
    strange = dialog.look_at(regions._replace(classes=torch.zeros(1000))).strangeness
    assert strange is not None
    assert strange > 1
    assert dialog.look_at(regions._replace(classes=50.0 * F.one_hot(torch.tensor(3), 1000))).strangeness == (
        1.0 if strange <= 1 / RECOGNISED else strange
    )


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
    before, after = (float(dialog.everyday.sight.p_present(e, ["puppy"])[0]) for e in (look.evidence, shown))
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


@pytest.mark.parametrize("question", ["is the dog {}?", "is it {}?", "isn't the dog {}?"])
def test_whether_a_thing_is_of_a_colour_is_told_by_its_pixels(dialog: VisualDialog, question: str) -> None:
    look = dialog.look(Image.new("RGB", (80, 60), (220, 20, 20)))
    said = {c: dialog.ask(dialog.start(look), question.format(c))[0].answers[0].text for c in ("red", "green")}
    expected = ("no", "yes") if question.startswith("isn't") else ("yes", "no")
    assert (said["red"], said["green"]) == expected


def test_what_the_detector_is_sure_of_is_a_name_for_the_picture(dialog: VisualDialog) -> None:
    everyday = dialog.everyday
    assert everyday is not None
    evidence = dialog.look(picture(0, (80, 60))).evidence
    assert evidence is not None
    boxed = evidence._replace(
        labels=torch.tensor([0, 1]), p=torch.tensor([0.9, 0.95]), boxes=torch.tensor([[0.1, 0.1, 0.5, 0.5]] * 2)
    )
    detector = SimpleNamespace(config=SimpleNamespace(labels=("cell phone", "person")))
    witness = copy(everyday.witness)
    witness.detector = cast("YoloTiny", detector)
    named = Everyday(witness, everyday.presence).sight.boxed(boxed)
    assert [name for name, _ in named] == ["phone"]
    assert named[0][1] == pytest.approx(0.9)


def test_nobody_holds_what_the_question_says_holds_it(ask: Ask) -> None:
    assert "baby" in OBJECTS["holding"].split()
    assert "baby" not in {c.text for c in ask("what is the baby holding?").answers}


def test_three_animals_each_as_likely_as_not_are_none_to_be_sure_of(
    dialog: VisualDialog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dialog.everyday is not None
    evidence = dialog.look(picture(0, (80, 60))).evidence
    assert evidence is not None
    known = {"sheep": 0.67, "ray": 0.64, "koala": 0.61}
    monkeypatch.setattr(
        dialog.everyday.sight, "p_present", lambda evidence, nouns: torch.tensor([known.get(n, 0.01) for n in nouns])
    )
    plain = evidence._replace(classes=torch.zeros(1000))
    unsure = dialog.everyday.naming.named(plain, "animal")
    known["sheep"] = 0.999
    sure = dialog.everyday.naming.named(plain, "animal")
    assert unsure is not None
    assert sure is not None
    assert unsure.answers[0][0] == sure.answers[0][0] == "sheep"
    assert unsure.answers[0][1] < 0.35 < 0.9 < sure.answers[0][1]


def test_it_rains_only_where_rain_is_seen(dialog: VisualDialog, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dialog.everyday is not None
    evidence = dialog.look(picture(0, (80, 60))).evidence
    assert evidence is not None
    monkeypatch.setattr(dialog.everyday.sight, "p_present", lambda evidence, nouns: torch.full((len(nouns),), 0.05))
    reply = dialog.everyday.answer(read("is it raining?"), evidence, {})
    assert reply is not None
    assert dict(reply.answers)["yes"] <= 0.051
