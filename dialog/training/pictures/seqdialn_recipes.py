"""The recipes of the model that answers about pictures, by name."""

from dataclasses import replace

from dialog.training.pictures.seqdialn import VisualRecipe

LIGHT: dict[str, object] = {"n_fusion_layers": 1, "n_text_layers": 0, "n_option_layers": 0}
"""A step on a CPU core costs what passes over the regions cost; MiniLM's token states are contextual already."""


def standard() -> VisualRecipe:
    """Everything there is to learn from: an hour on one CPU core, the encoders' work and the twin included."""
    sizes = {"d_model": 128, "d_answer": 128, "dropout": 0.2}
    network = LIGHT | sizes | {"gist": True, "question_reads": "previous", "learned_nothing": True}
    return VisualRecipe(network=network, drop_pictures=0.3, drop_regions=0.3, epochs=5.0, lr=1e-3)


def again() -> VisualRecipe:
    """Trained on from a model (`start`): fewer captions, more of what people ask and what refers to earlier rounds."""
    return replace(
        standard(),
        goes_on=True,
        averaged=0.996,
        drop_pictures=0.15,
        epochs=5.0,
        epochs_blind=12.0,
        lr_blind=5e-4,
        repeat=(("daquar", 2), ("easyvqa", 2)),
        drawn=(("caption", 2), ("scene", 4), ("easyvqa", 6)),
        chained=3,
    )


def small() -> VisualRecipe:
    """For ten minutes on one CPU core, the encoders' work included: fewer pictures, a narrower network."""
    whole = standard()
    return replace(
        whole,
        network=whole.network | {"d_model": 96, "d_answer": 96, "dropout": 0.1},
        epochs=2.0,
        epochs_blind=2.0,
        lr=2e-3,
        repeat=(),
        pictures=(("flickr8k", 1200), ("easyvqa", 150), ("nlvr", 200)),
    )


def reasoning_by(recipe: VisualRecipe, kind: str) -> VisualRecipe:
    """The recipe with another way of reasoning, and without a blind twin: for the table of mixers."""
    return replace(recipe, network=recipe.network | {"reasoning": kind}, twin=False)
