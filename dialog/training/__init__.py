"""Training: the loop, and one recipe a model. `rapport train NAME` runs what this table names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog.training.ablations import ABLATIONS
from dialog.training.pointers import POINTERS

if TYPE_CHECKING:
    from dialog.training.loop import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A recipe as the command line shows it. `train` is heavy and imports what it needs when it is called."""

    summary: str
    train: "Callable[..., dict[str, Any]]"
    """(data folder, output folder, seed, folder to start from, report, device) -> validation scores."""
    takes_teachers: bool = False
    """Whether `train` takes teachers=(folders of trained models): what they say is learned beside the labels."""
    takes_start: bool = True
    """Whether `train` may go on from another model; one that starts from nothing is given None."""
    reads_data: bool = True
    """False where examples are made: then there is no data folder, and `train` is given an empty path."""


N_ANSWERS = 88_500
"""Messages that the shipped default's teacher was asked about: what a quarter of an hour held, our chats first."""


def _emotion(summary: str, name: str, *parts: str) -> Recipe:
    def train(
        data: Path,
        out: Path,
        seed: int,
        start: Path | None,
        report: "Callable[[Progress], None] | None",
        device: str | None = None,
        teachers: Sequence[Path] = (),
    ) -> dict[str, Any]:
        from dialog.training import recipes
        from dialog.training.emotion import train_emotion

        recipe = getattr(recipes, name)()
        for part in parts:
            recipe = recipes.alone(recipe) if part == "alone" else recipes.ablated(recipe, part)
        full = "emotion/" + "-".join([name.replace("_", "-"), *parts])
        trained = train_emotion(
            recipe, data, out, seed=seed, start=start, teachers=teachers, name=full, report=report, device=device
        )
        return trained.scores

    return Recipe(summary=summary, train=train, takes_teachers=True)


def _teacher(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
) -> dict[str, Any]:
    from dialog.training.pool import for_teacher
    from dialog.training.teacher import TeacherRecipe, train_teacher

    train_teacher(for_teacher(data, seed), out, TeacherRecipe(seed=seed), start=start, report=report, device=device)
    return {}


def _answers(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
    teachers: Sequence[Path] = (),
) -> dict[str, Any]:
    from dialog.training.answers import make_answers
    from dialog.training.loop import Progress
    from dialog.training.pool import for_student

    if len(teachers) != 1:
        raise ValueError(f"{len(teachers)} teachers: emotion/answers takes one, --teacher FOLDER of emotion/teacher")
    messages, done = for_student(data, seed, limit=N_ANSWERS), 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        if report:
            report(Progress(done, len(messages), 0.0))

    make_answers(messages, teachers[0], out, large=start, device=device, progress=count)
    return {}


def _default(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
    teachers: Sequence[Path] = (),
    *,
    goes_on: bool = False,
) -> dict[str, Any]:
    from dialog.training.default import DefaultRecipe, going_on, train_default

    if len(teachers) != 1:
        raise ValueError(f"{len(teachers)} teachers: emotion/ekman takes one, --teacher FOLDER of emotion/answers")
    if goes_on and start is None:
        raise ValueError("emotion/ekman-again goes on from a model: --start FOLDER")
    recipe = going_on() if goes_on else DefaultRecipe()
    return train_default(recipe, data, out, answers=teachers[0], start=start, seed=seed, report=report, device=device)


def _correction(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
) -> dict[str, Any]:
    from dialog.training.correction import CorrectionRecipe, train_correction

    return train_correction(CorrectionRecipe(), data, out, seed=seed, start=start, report=report, device=device)


def _encoder(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
) -> dict[str, Any]:
    from dialog.training.encoder import EncoderRecipe, train_encoder

    del start  # None: it takes none.
    train_encoder(EncoderRecipe(), data, out, seed=seed, report=report, device=device)
    return {}


def _causes(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
) -> dict[str, Any]:
    from dialog.training.causes import CausesRecipe, train_causes

    return train_causes(CausesRecipe(), data, out, seed=seed, start=start, report=report, device=device)


def _visual(summary: str, name: str, reasoning: str | None = None) -> Recipe:
    def train(
        data: Path,
        out: Path,
        seed: int,
        start: Path | None,
        report: "Callable[[Progress], None] | None",
        device: str | None = None,
    ) -> dict[str, Any]:
        from dialog.training import visual, visual_recipes

        recipe = getattr(visual_recipes, name)()
        known_as = "visual/seqdialn" + ("" if name == "standard" else f"-{name}")
        if reasoning is not None:
            recipe, known_as = visual_recipes.reasoning_by(recipe, reasoning), f"visual/seqdialn-{reasoning}"
        return visual.train_visual(
            recipe, data, out, seed=seed, start=start, report=report, device=device, name=known_as
        )

    return Recipe(summary=summary, train=train)


def _visdial(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
) -> dict[str, Any]:
    from dialog.training.visdial import VisDialRecipe, train_visdial

    del start  # None: it takes none.
    return train_visdial(VisDialRecipe(), data, out, seed=seed, report=report, device=device)


def _presence(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
) -> dict[str, Any]:
    from dialog.training.presence import train_presence

    del seed  # Nothing in it is drawn.
    return train_presence(data, out, start=start, report=report, device=device)


def _replies(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
) -> dict[str, Any]:
    from dialog.training.replies import RepliesRecipe, train_replies

    del start  # None: it takes none.
    return train_replies(RepliesRecipe(), data, out, seed=seed, report=report, device=device)


def _lasers(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
    *,
    recipe: str = "lasers",
) -> dict[str, Any]:
    from dialog.training import telemetry

    del data, start, device  # Made as needed, from nothing, on the processor.
    return telemetry.train_lasers(out, seed=seed, report=report, recipe=getattr(telemetry, recipe)())


def _fd001(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
) -> dict[str, Any]:
    from dialog.training.telemetry import train_fd001

    del start  # None: it takes none.
    return train_fd001(data, out, seed=seed, report=report, device=device)


def _vision(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
) -> dict[str, Any]:
    from dialog.training.vision import VisionRecipe, train_vision

    del start  # None: it takes none.
    return train_vision(VisionRecipe(), data, out, seed=seed, report=report, device=device)


_PARTS = {"alone": "the same encoder on single utterances, nothing else"} | {
    part: ablation.summary for part, ablation in ABLATIONS.items()
}


def _pointer(name: str, summary: str) -> Recipe:
    def train(
        data: Path,
        out: Path,
        seed: int,
        start: Path | None,
        report: "Callable[[Progress], None] | None",
        device: str | None = None,
    ) -> dict[str, Any]:
        from dialog.training.pointer import NAMED, train_pointer

        del start  # None: it takes none.
        return train_pointer(name, NAMED[name](), out, seed=seed, report=report, device=device).scores

    return Recipe(summary=summary, train=train, takes_start=False, reads_data=False)


def _voices(
    data: Path,
    out: Path,
    seed: int,
    start: Path | None,
    report: "Callable[[Progress], None] | None",
    device: str | None = None,
) -> dict[str, Any]:
    from dialog.training.voices import VoicesRecipe, train_voices

    del start  # None: it takes none.
    return train_voices(VoicesRecipe(), data, out, seed=seed, report=report, device=device)


RECIPES: dict[str, Recipe] = {
    "causes/reccon": Recipe(summary="What caused an emotion, on the encoder of --start; minutes", train=_causes),
    "correction/chat": Recipe(
        summary="Slips of the keys mended, words completed; half an hour; goes on from --start", train=_correction
    ),
    "emotion/encoder": Recipe(summary="The encoder the emotion models start from", train=_encoder, takes_start=False),
    "emotion/teacher": Recipe(
        summary="What the default learns from: all-mpnet-base-v2 (rapport[large], or its folder as --start)",
        train=_teacher,
    ),
    "emotion/answers": Recipe(
        summary="What a teacher (--teacher) says of many messages (--start as for emotion/teacher)",
        train=_answers,
        takes_teachers=True,
    ),
    "emotion/ekman": Recipe(
        summary="The default: each message read alone, from answers (--teacher), over the encoder of --start",
        train=_default,
        takes_teachers=True,
    ),
    "emotion/ekman-again": Recipe(
        summary="The default trained on from itself (--start) where there are new chats or answers (--teacher)",
        train=partial(_default, goes_on=True),
        takes_teachers=True,
    ),
    "emotion/ekman-joint": _emotion("As the default was: messages read side by side, every corpus that fits", "ekman"),
    "emotion/ekman-joint-again": _emotion("The same trained on from itself, --start", "ekman_again"),
    "emotion/ekman-permissive": _emotion(
        "Messages read side by side, from GoEmotions alone, whose licence is permissive", "ekman_permissive"
    ),
    **{
        f"emotion/{name}": _emotion(f"{title}, for comparison with the literature", name)
        for name, title in (
            *(("meld", "MELD"), ("emorynlp", "EmoryNLP"), ("dailydialog", "DailyDialog")),
            ("iemocap", "IEMOCAP (not shipped)"),
        )
    },
    **{
        f"emotion/{name}-{part}": _emotion(f"{name}, for the ablation table: {what}", name, part)
        for name in ("meld", "emorynlp", "iemocap", "dailydialog")
        for part, what in _PARTS.items()
    },
    **{name: _pointer(name, f"A pointer network for {row.summary}; needs no --data") for name, row in POINTERS.items()},
    "reply/built-in": Recipe(
        summary="Replies chosen among those people wrote; minutes on one core", train=_replies, takes_start=False
    ),
    "telemetry/lasers": Recipe(
        summary="Simulated ageing lasers: forecast, alarm, hours left; minutes, needs no --data",
        train=_lasers,
        takes_start=False,
        reads_data=False,
    ),
    "telemetry/lasers-paper": Recipe(
        summary="The same by the paper's own chain, to compare with; minutes, needs no --data",
        train=partial(_lasers, recipe="lasers_paper"),
        takes_start=False,
        reads_data=False,
    ),
    "telemetry/fd001": Recipe(
        summary="C-MAPSS FD001 turbofan engines: cycles left, forecast and alarm; minutes",
        train=_fd001,
        takes_start=False,
    ),
    "visual/seqdialn": _visual("Answers about pictures, from everything there is; an hour on one core", "standard"),
    "visual/seqdialn-again": _visual("The same trained on from a model, --start; an hour on one core", "again"),
    "visual/seqdialn-small": _visual("The same from fewer pictures, in a quarter of an hour on one core", "small"),
    **{
        f"visual/seqdialn-{kind}": _visual(f"As -small, reasoning by {what}, for comparison", "small", kind)
        for kind, what in {
            "ip": "the paper's LSTM",
            "gla": "gated linear attention",
            "aaren": "attention as a recurrence",
            "gru": "a GRU",
        }.items()
    },
    "speech/voices": Recipe(
        summary="Two voices apart, from data/audio and, where it is there, data/voices; an hour",
        train=_voices,
        takes_start=False,
    ),
    "visual/presence": Recipe(
        summary="presence.json of a model (--start): how far what is seen is believed; minutes", train=_presence
    ),
    "visual/visdial": Recipe(
        summary="VisDial v1.0 as published, from its original files", train=_visdial, takes_start=False
    ),
    "vision/encoder": Recipe(
        summary="The built-in picture network, from photographs and captions", train=_vision, takes_start=False
    ),
}
"""name -> recipe."""
