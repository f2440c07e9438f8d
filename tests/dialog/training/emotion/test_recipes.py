"""The recipes: what each reads, what each must not have read, and that a name leads to it."""

import pytest

from dialog.corpora.ekman import OWN_LABELS
from dialog.labels import LABEL_SETS
from dialog.training import RECIPES
from dialog.training.card import LICENCES
from dialog.training.emotion import recipes
from dialog.training.emotion.ablations import ABLATIONS
from dialog.training.emotion.encoder import EncoderRecipe
from dialog.training.emotion.examples import Source
from dialog.training.emotion.joint import EmotionRecipe
from models.emotionic.config import EmotionICConfig

ALL = {name: getattr(recipes, name)() for name in ("meld", "emorynlp", "dailydialog", "iemocap", "ekman")}
ALL["ekman_permissive"] = recipes.ekman_permissive()

FRIENDS = ("meld", "emorynlp", "ecf")


def sources() -> list[tuple[str, Source]]:
    shared = [("encoder", source) for source in EncoderRecipe().sources]
    return shared + [("ekman", source) for source in ALL["ekman"].sources]


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_trains_on_train_chooses_on_validation_and_never_sees_test(name: str) -> None:
    recipe = ALL[name]
    assert isinstance(recipe, EmotionRecipe)
    # EmpatheticDialogues' train part cannot be had; its validation part trains, and chooses nothing.
    chooses = {s.corpus for s in recipe.validation}
    assert all(s.split == "train" or (s.split == "validation" and s.corpus not in chooses) for s in recipe.sources)
    assert {s.split for s in recipe.validation} == {"validation"}
    assert all(s.corpus in OWN_LABELS for s in (*recipe.sources, *recipe.validation))
    if recipe.label_set != "ekman":
        assert all(OWN_LABELS[s.corpus] == LABEL_SETS[recipe.label_set] for s in recipe.sources)


@pytest.mark.parametrize(("recipe", "source"), sources(), ids=lambda x: x if isinstance(x, str) else x.corpus)
def test_corpora_that_share_texts_are_kept_apart(recipe: str, source: Source) -> None:
    if source.corpus in FRIENDS:
        others = {(c, split) for c in FRIENDS if c != source.corpus for split in ("validation", "test")}
        assert others <= set(source.avoid)
    if source.corpus == "dailydialog":
        assert {(c, s) for c in ("dailydialog", "reccon") for s in ("validation", "test")} <= set(source.avoid)


def test_the_permissive_recipe_reads_permissive_data_alone() -> None:
    corpora = {s.corpus for s in ALL["ekman_permissive"].sources}
    assert all("Apache-2.0" in LICENCES[corpus] for corpus in corpora)
    assert ALL["ekman_permissive"].validation == ALL["ekman"].validation


def test_every_corpus_that_trains_has_its_licence_named() -> None:
    used = {s.corpus for recipe in ALL.values() for s in recipe.sources} | {s.corpus for s in EncoderRecipe().sources}
    assert used <= set(LICENCES)


def test_a_variant_changes_what_its_name_says_and_nothing_else() -> None:
    whole = ALL["meld"]
    alone = recipes.alone(whole)
    assert alone.layout.alone
    assert (alone.sources, alone.validation, alone.lr) == (whole.sources, whole.validation, whole.lr)
    base = recipes.context_only(whole)
    for part, row in ABLATIONS.items():
        ablated = recipes.ablated(whole, part)
        assert (ablated.sources, ablated.rank, ablated.epochs) == (base.sources, base.rank, base.epochs)
        config = EmotionICConfig(n_labels=7, **(ablated.context or {}))  # type: ignore[arg-type]
        assert {name: getattr(config, name) for name in row.fields} == row.fields


def test_every_name_on_the_table_has_a_summary_and_says_what_it_trains() -> None:
    assert {f"emotion/{name}" for name in ("encoder", "ekman", "meld", "emorynlp", "dailydialog")} <= set(RECIPES)
    assert all(recipe.summary for recipe in RECIPES.values())
