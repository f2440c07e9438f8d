"""Training and scoring the model that answers about pictures, on hand-made collections in the real ones' layout."""

import gzip
import json
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dialog.corpora.derived.caption_questions import chains, facts, questions
from dialog.corpora.derived.caption_statements import caption_statements
from dialog.corpora.derived.scene_statements import read_scene, scene_statements
from dialog.corpora.derived.visual_examples import DRAWN, TIMES, Asked, Talk, dialogues, load_talks, plain, rarer
from dialog.evaluation.pictures.baselines import Priors, lenient, question_type, roc_area
from dialog.evaluation.pictures.validation import Predicted, correct, judging, predict
from dialog.evaluation.pictures.visual import evaluate_visual
from dialog.pictures.bank import Bank
from dialog.pictures.batches import Batches
from dialog.pictures.seqdialn import VisualDialog
from dialog.training.pictures.seqdialn import TWIN, VisualRecipe, build, filled_bank, train_visual
from models.encoders.base import ImageEncoder
from models.encoders.image import load_image_encoder
from tests.dialog.tiny import make_encoder
from tests.dialog.tiny_collections import COLOURS, make_collections, table
from tests.dialog.tiny_visual import make_eyes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_collections(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> VisualRecipe:
    folder = tmp_path_factory.mktemp("encoders")
    return VisualRecipe(
        network={"d_model": 16, "n_heads": 2, "d_answer": 16, "n_fusion_layers": 1, "dropout": 0.0},
        picture_encoder=str(make_eyes(folder / "eyes")),
        text_encoder=str(make_encoder(folder / "text")),
        epochs=14,
        epochs_blind=14,
        lr=4e-3,
        batch_rounds=32,
        drop_regions=0.0,
        judge_every=4,
    )


@pytest.fixture(scope="module")
def trained(data: Path, recipe: VisualRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train_visual(recipe, data, out, seed=1)
    return out


def test_it_learns_to_see_and_its_blind_twin_does_not(data: Path, trained: Path) -> None:
    talks = [t for t in load_talks(data, "test") if t.collection == "daquar"]
    bank = Bank()
    seeing, blind = VisualDialog.load(trained), VisualDialog.load(trained / TWIN)
    bank.see(data, {(t.collection, t.image) for t in talks}, seeing.eyes)
    bank.read([x for t in talks for r in t.rounds for x in (r.question, r.answer)], seeing.reader)
    shares = []
    for dialog in (seeing, blind):
        rows = [r for r in predict(dialog, bank, talks, history=False) if r.round == 0]
        shares.append(sum(correct(dialog, r) for r in rows) / len(rows))
    assert shares[0] > 0.7  # one in four by chance; not all, since processors round differently
    assert shares[1] < 0.5
    assert (trained / "card.md").read_text().startswith("# visual/seqdialn")
    assert not list(trained.rglob("checkpoint*"))


def test_evaluate_prints_every_score_with_what_needs_no_picture(data: Path, trained: Path) -> None:
    result = evaluate_visual([data], trained)
    for name in ("daquar_exact", "daquar_lenient", "statements_accuracy", "nlvr_accuracy", "easyvqa_accuracy"):
        low, high = result["metrics"][f"{name}_95"]
        assert low <= result["metrics"][name] <= high
        assert all(name in result["baselines"][who] for who in ("blind", "question_type", "majority"))
        assert f"{name}_over_blind_95" in result["metrics"]
    assert result["metrics"]["daquar_exact"] > result["baselines"]["majority"]["daquar_exact"]
    assert 0 <= result["metrics"]["judged_captions_roc"] <= 1
    history = result["diagnostics"]["history"]
    assert history["made_not_a_result"]
    assert history["n"] == 4  # of each picture: what is worn, and then its colour
    assert 0 <= result["diagnostics"]["unlike_training"]["roc"] <= 1
    assert result["n"] == sum(result["metrics"][k] for k in result["metrics"] if k.endswith("_n") and "judged" not in k)
    json.dumps(result)


def test_a_folder_with_only_a_test_part_is_scored_beside_the_same_priors(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "only")
    for file in (tmp_path / "only").rglob("*.jsonl.gz"):
        with gzip.open(file, "rt") as old:
            rows = [json.loads(line) for line in old]
        table(file.parent, file.name.removesuffix(".jsonl.gz"), [r for r in rows if r.get("split", "test") == "test"])
    whole, only = (evaluate_visual([folder], trained) for folder in (data, tmp_path / "only"))
    assert only["metrics"].keys() == whole["metrics"].keys()
    for who in ("question_type", "majority"):
        mine, theirs = only["baselines"][who], whole["baselines"][who]
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            assert mine[name] == pytest.approx(value), name


def test_a_stopped_evaluation_goes_on_and_says_the_same(
    data: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dialog.pictures.bank.KEPT_EVERY", 8)
    seen = list[int]()
    see_all = Bank._encode
    monkeypatch.setattr(Bank, "_encode", lambda self, some, eyes: (seen.append(len(some)), see_all(self, some, eyes)))
    whole = evaluate_visual([data], trained, keep=tmp_path)
    n, _ = sum(seen), seen.clear()
    again = evaluate_visual([data], trained, keep=tmp_path)
    assert n > 0 == sum(seen)
    for part in ("metrics", "baselines", "diagnostics"):
        assert again[part] == whole[part]
    assert evaluate_visual([data], trained)["metrics"] == whole["metrics"]


def test_a_killed_run_goes_on_to_the_same_weights(
    data: Path, recipe: VisualRecipe, trained: Path, tmp_path: Path
) -> None:
    short = replace(recipe, epochs=1.0, twin=False)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train_visual(short, data, whole, seed=2, start=trained)

    class Killed(Exception):
        pass

    def kill(progress: Any) -> None:
        if progress.step == progress.steps:
            raise Killed

    with pytest.raises(Killed):
        train_visual(short, data, cut, seed=2, start=trained, report=kill)
    train_visual(short, data, cut, seed=2, start=trained)
    one, two = (load_file(folder / "model.safetensors") for folder in (whole, cut))
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_a_model_is_trained_on_from_itself_and_never_for_the_worse(
    data: Path, recipe: VisualRecipe, trained: Path, tmp_path: Path
) -> None:
    onward = replace(recipe, goes_on=True, averaged=0.9, epochs=0.2, epochs_blind=0.2, lr=1e-9, lr_blind=1e-9)
    train_visual(onward, data, tmp_path, seed=3, start=trained)
    for folder in ("", TWIN):
        old, new = (VisualDialog.load(root / folder) for root in (trained, tmp_path))
        assert (new.config.answers, new.config.words) == (old.config.answers, old.config.words)
        for name, tensor in old.network.state_dict().items():
            torch.testing.assert_close(new.network.state_dict()[name], tensor)


def test_what_cannot_be_gone_on_from_is_named(data: Path, recipe: VisualRecipe, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--start"):
        train_visual(replace(recipe, goes_on=True), data, tmp_path)
    wider = replace(recipe, goes_on=True, network=recipe.network | {"d_model": 32})
    with pytest.raises(ValueError, match=r"'d_model': 16.*'d_model': 32"):
        train_visual(wider, data, tmp_path, start=trained)


def test_an_epoch_takes_what_it_is_told_to(data: Path) -> None:
    talks = load_talks(data, "train")
    once, thrice = (Batches(talks, 32, (), 0, drawn={"easyvqa": 1}, chained=n) for n in (1, 3))

    def taken(batches: Batches) -> Counter[str]:
        some = [t for i in range(batches.per_epoch) for t in batches.at(i)]
        return Counter("chained" if t.chained else r.kind for t in some for r in t.rounds)

    one, three = taken(once), taken(thrice)
    assert one["easyvqa"] == three["easyvqa"] == len({t.image for t in talks if t.collection == "easyvqa"})
    assert three["chained"] == 3 * one["chained"] > 0


def test_without_its_pictures_a_step_learns_what_the_blind_twin_does(
    data: Path, recipe: VisualRecipe, trained: Path
) -> None:
    talks = [t for t in load_talks(data, "train") if t.collection == "daquar"][:4]
    eyes, reader = load_image_encoder(recipe.picture_encoder), VisualDialog.load(trained).reader
    bank = Bank()
    bank.see(data, {(t.collection, t.image) for t in talks}, eyes)
    bank.read([*COLOURS, "yes", "no", *(x for t in talks for r in t.rounds for x in (r.question, r.answer))], reader)

    def loss(**fields: Any) -> float:
        answers = (*COLOURS, "yes", "no")
        module = build(replace(recipe, noise=0.0, **fields), answers, tuple(COLOURS), eyes, reader, bank, 0)[1]
        torch.manual_seed(0)
        return float(module.eval().loss(talks).detach())

    assert loss(drop_pictures=1.0) == pytest.approx(loss(blind=True))
    assert loss(drop_pictures=0.5) != pytest.approx(loss(blind=True))


def test_weights_are_chosen_by_real_questions_kind_by_kind(data: Path) -> None:
    chosen = judging(load_talks(data, "validation"))
    kinds = Counter(r.kind for t in chosen for r in t.rounds)
    assert set(kinds) == {"daquar", "statement", "easyvqa"}
    assert all(len(t.rounds) == 1 for t in chosen)


def test_of_a_drawing_the_rarer_answers_are_asked_sooner() -> None:
    asked = [*(Asked(f"is it {c} ?", "no", "easyvqa") for c in COLOURS), Asked("is it red ?", "yes", "easyvqa")]
    talks = [Talk("easyvqa", f"e{i}", tuple(asked[:4] if i else asked[1:])) for i in range(9)]
    weights = rarer(talks)
    assert weights["is it red ?", "yes"] == weights["is it red ?", "no"] * 8 == 8
    assert rarer(talks, most=3)["is it red ?", "yes"] == 3
    many = Talk("easyvqa", "e", (asked[-1], *asked[1:4] * 5))

    def share(weights: dict[tuple[str, str], float]) -> float:
        drawn = [t for i in range(300) for t in dialogues([many], random.Random(i), weights=weights)]
        return sum(asked[-1] in t.rounds for t in drawn) / 300

    assert share({}) == pytest.approx(DRAWN["easyvqa"] / 16, abs=0.08)
    assert share(weights) > 0.85


def test_parts_share_no_picture_and_made_rounds_are_never_scored(data: Path) -> None:
    parts = {part: load_talks(data, part) for part in ("train", "validation", "test")}  # type: ignore[arg-type]
    pictures = {p: {(t.collection, t.image) for t in talks} for p, talks in parts.items()}
    assert not pictures["train"] & pictures["validation"]
    assert not (pictures["train"] | pictures["validation"]) & pictures["test"]
    assert any(r.kind == "caption" for t in parts["train"] for r in t.rounds)
    assert not any(r.kind == "caption" for p in ("validation", "test") for t in parts[p] for r in t.rounds)


def test_epochs_cut_independent_rounds_differently_and_leave_chains_whole(data: Path) -> None:
    talks = load_talks(data, "train")
    epochs = [list(dialogues(talks, random.Random(i))) for i in range(2)]
    for epoch in epochs:
        of = [Counter(r.kind for t in some for r in t.rounds) for some in (talks, epoch)]
        assert of[1]["daquar"] == of[0]["daquar"]
        assert of[1]["statement"] == TIMES["statement"] * of[0]["statement"]
        assert of[1]["caption"] == 8 * DRAWN["caption"] < of[0]["caption"]  # of each of 8 pictures
        assert [t for t in epoch if t.chained] == [t for t in talks if t.chained]
        assert max(len(t.rounds) for t in epoch if not t.chained) <= 3
    assert epochs[0] != epochs[1]


CAPTIONS = (
    "A brown dog is running through the snow .",
    "The brown dog running in deep snow",
    "A dog with a red collar is running .",
    "A big dog plays outside .",
)


def test_questions_are_made_of_what_two_captions_say() -> None:
    found = facts(CAPTIONS)
    assert {(m.question, m.answer, m.rule) for m in questions(found)} == {
        ("what is running through the snow ?", "dog", "rule-1"),
        ("what color is the dog ?", "brown", "rule-3"),
        ("what is the dog doing ?", "running", "doing"),
    }
    # The collar is red in one caption alone; and what the dog does stands in the first question already.
    (chain,) = chains(found)
    assert [(m.question, m.answer) for m in chain] == [
        ("what is running through the snow ?", "dog"),
        ("what color is it ?", "brown"),
    ]


def test_a_pronoun_that_may_mean_either_of_two_things_is_told_by_the_round_before() -> None:
    found = facts(("a brown dog on green grass", "The brown dog lies in the green grass", "black men by a brown dog"))
    assert "men" not in found.colours
    one, two = ([(m.question, m.answer) for m in chain] for chain in chains(found) if len(chain) == 4)
    assert one[:2] == [("what is in the picture ?", "dog"), ("what color is it ?", "brown")]
    assert two == [
        ("what is in the picture ?", "grass"),
        ("is it green ?", "yes"),
        ("what else is in the picture ?", "dog"),
        ("what color is it ?", "brown"),
    ]
    assert [m.rule for m in chains(found)[0]] == ["rule-1", "rule-5"] * 2
    # Things of one colour: nothing said before could tell them apart.
    assert not [c for c in chains(facts(("a red hat and a red ball", "red ball , red hat"))) if len(c) == 4]


def test_made_statements_are_true_and_false_in_turn() -> None:
    others = [["Two horses graze near a barn ."]]
    made = caption_statements("a", CAPTIONS, others)
    assert [m.answer for m in made] == ["yes", "no"] * (len(made) // 2)
    assert {m.question for m in made if m.answer == "yes"} >= {*CAPTIONS, "a dog is running ."}
    said = set(" ".join(CAPTIONS).lower().split())
    for true, false in zip(made[::2], made[1::2], strict=True):
        if false.question not in others[0]:
            (new,) = set(false.question.split()) - set(true.question.split())
            assert new not in said


SCENE = [
    [{"y_loc": 80, "type": "square", "color": "Yellow", "x_loc": 40, "size": 20}],
    [{"y_loc": y, "type": "square", "color": c, "x_loc": 40, "size": 20} for y, c in ((80, "Black"), (59, "#0099ff"))],
    [{"y_loc": 80, "type": "square", "color": "Black", "x_loc": 40, "size": 20}],
]


def test_statements_are_made_of_a_scene_as_many_true_as_false() -> None:
    scene = read_scene(SCENE)
    assert [len(box) for box in scene] == [1, 2, 1]
    assert [i.colour for i in scene[1]] == ["black", "blue"]  # the lowest first
    assert [i.touches for i in scene[1]] == [True, False]
    made = scene_statements(SCENE, random.Random(3), 200)
    answers = Counter(m.answer for m in made)
    assert 0.6 < answers["yes"] / answers["no"] < 1.6
    counts = {m.question: m.answer for m in made if m.answer.isdigit()}
    assert counts["how many black blocks are there ?"] == "2"
    assert counts["how many towers have a blue block at the top ?"] == "1"
    told = {m.question: m.answer for m in made}
    by_hand = {
        "there are exactly two towers with a black block at the base": "yes",
        "there is exactly one tower with a blue block over a black block": "yes",
        "there is a tower with only yellow blocks": "yes",
        "there is a tower with exactly two blocks with a black block at the top": "no",
        "there are at least 2 blue blocks": "no",
    }
    shared = by_hand.keys() & told.keys()
    assert shared
    assert all(told[text] == by_hand[text] for text in shared)


def test_a_count_or_colour_that_captions_disagree_on_is_no_fact() -> None:
    assert facts(("Two dogs run .", "two dogs play")).counts == {"dogs": "2"}
    assert facts(("Two dogs run .", "two dogs play", "Three dogs")).counts == {}
    assert facts(("a red hat", "the red hat", "a blue hat")).colours == {}


def test_answers_are_compared_as_people_read_them() -> None:
    assert plain("Plastic_cup_of_coffee, red") == "plastic cup of coffee, red"
    unlike = lambda a, b: 0.5  # noqa: E731
    assert lenient("chairs", "chair", unlike) == 1
    assert lenient("table", "chair", unlike) == pytest.approx(0.05)
    assert lenient("table", "desk", lambda a, b: 0.9) == pytest.approx(0.9)
    assert lenient("clock", "clock, lamp", unlike) == pytest.approx(0.05)
    assert lenient("lamp, clock", "clock, lamp", unlike) == 1


def test_priors_know_the_type_of_a_question() -> None:
    priors = Priors(
        [("how many dogs", "2"), ("how many cats", "2"), ("how many", "3"), ("what is it", "dog"), ("is it", "yes")]
    )
    assert priors.majority == "2"
    assert priors.by_type("is there a dog ?") == "yes"
    assert priors.by_type("where is it ?") == "2"
    assert question_type("Two men talk .") == "statement"
    with pytest.raises(ValueError, match="no training answer"):
        Priors([])


def test_the_roc_area_by_hand() -> None:
    assert roc_area([3.0, 1.0, 2.0, 1.0], [True, True, False, False]) == pytest.approx((2 + 0.5) / 4)
    with pytest.raises(ValueError, match="4 of 4"):
        roc_area([1.0] * 4, [True] * 4)


def test_a_talk_alone_is_predicted_as_among_others(data: Path, trained: Path) -> None:
    dialog = VisualDialog.load(trained)
    talks: list[Talk] = load_talks(data, "validation")
    assert isinstance(dialog.eyes, ImageEncoder)
    bank = filled_bank(data, talks, (), dialog.eyes, dialog.reader, trained)
    rows: dict[tuple[int, int], Predicted] = {(id(r.talk), r.round): r for r in predict(dialog, bank, talks)}
    for talk in talks[::7]:
        for row in predict(dialog, bank, [talk]):
            torch.testing.assert_close(row.p, rows[id(talk), row.round].p, rtol=1e-4, atol=1e-5)
