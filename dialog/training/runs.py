"""How a run becomes a call of each recipe. The recipes are heavy, so each is imported when it is run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dialog.training.recipe import Run

N_ANSWERS = 88_500
"""Messages that the shipped default's teacher was asked about: what a quarter of an hour held, our chats first."""


def emotion(name: str, *parts: str) -> Callable[[Run], dict[str, Any]]:
    """The emotion recipe of a name, with parts of it left out."""

    def train(run: Run) -> dict[str, Any]:
        from dialog.training.emotion import recipes
        from dialog.training.emotion.joint import train_emotion

        recipe = getattr(recipes, name)()
        for part in parts:
            recipe = recipes.alone(recipe) if part == "alone" else recipes.ablated(recipe, part)
        return train_emotion(
            recipe,
            run.data,
            run.out,
            seed=run.seed,
            start=run.start,
            teachers=run.teachers,
            name="emotion/" + "-".join([name.replace("_", "-"), *parts]),
            report=run.report,
            device=run.device,
        ).scores

    return train


def emotion_teacher(run: Run) -> dict[str, Any]:
    from dialog.training.emotion.pool import for_teacher
    from dialog.training.emotion.teacher import TeacherRecipe, train_teacher

    recipe = TeacherRecipe(seed=run.seed)
    train_teacher(
        for_teacher(run.data, run.seed), run.out, recipe, start=run.start, report=run.report, device=run.device
    )
    return {}


def emotion_answers(run: Run) -> dict[str, Any]:
    from dialog.training.emotion.answers import make_answers
    from dialog.training.emotion.pool import for_student
    from dialog.training.loop import Progress

    teacher = _one_teacher(run, "emotion/answers", "emotion/teacher")
    messages, done = for_student(run.data, run.seed, limit=N_ANSWERS), 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        if run.report:
            run.report(Progress(done, len(messages), 0.0))

    make_answers(messages, teacher, run.out, large=run.start, device=run.device, progress=count)
    return {}


def emotion_default(run: Run, *, goes_on: bool = False) -> dict[str, Any]:
    from dialog.training.emotion.ekman import DefaultRecipe, going_on, train_default

    answers = _one_teacher(run, "emotion/ekman", "emotion/answers")
    if goes_on and run.start is None:
        raise ValueError("emotion/ekman-again goes on from a model: --start FOLDER")
    return train_default(
        going_on() if goes_on else DefaultRecipe(),
        run.data,
        run.out,
        answers=answers,
        start=run.start,
        seed=run.seed,
        report=run.report,
        device=run.device,
    )


def _one_teacher(run: Run, name: str, of: str) -> Path:
    if len(run.teachers) != 1:
        raise ValueError(f"{len(run.teachers)} teachers: {name} takes one, --teacher FOLDER of {of}")
    return run.teachers[0]


def emotion_encoder(run: Run) -> dict[str, Any]:
    from dialog.training.emotion.encoder import EncoderRecipe, train_encoder

    train_encoder(EncoderRecipe(), run.data, run.out, seed=run.seed, report=run.report, device=run.device)
    return {}


def causes(run: Run) -> dict[str, Any]:
    from dialog.training.causes.reccon import CausesRecipe, train_causes

    return train_causes(
        CausesRecipe(), run.data, run.out, seed=run.seed, start=run.start, report=run.report, device=run.device
    )


def correction(run: Run) -> dict[str, Any]:
    from dialog.training.correction.chat import CorrectionRecipe, train_correction

    return train_correction(
        CorrectionRecipe(), run.data, run.out, seed=run.seed, start=run.start, report=run.report, device=run.device
    )


def correction_margins(run: Run) -> dict[str, Any]:
    from dialog.training.correction.margins import MarginsRecipe, choose

    recipe = MarginsRecipe()
    return choose(recipe, run.data, run.out, start=run.start, seed=run.seed, device=run.device, report=run.report)


def pointer(name: str) -> Callable[[Run], dict[str, Any]]:
    """The pointer network of a name."""

    def train(run: Run) -> dict[str, Any]:
        from dialog.training.geometry.pointer import NAMED, train_pointer

        return train_pointer(name, NAMED[name](), run.out, seed=run.seed, report=run.report, device=run.device).scores

    return train


def replies(run: Run) -> dict[str, Any]:
    from dialog.training.replies.built_in import RepliesRecipe, train_replies

    return train_replies(RepliesRecipe(), run.data, run.out, seed=run.seed, report=run.report, device=run.device)


def language(run: Run) -> dict[str, Any]:
    from dialog.training.replies.language import LanguageRecipe, train_language

    recipe = LanguageRecipe() if run.mixer is None else LanguageRecipe(mixture=run.mixer)
    return train_language(recipe, run.data, run.out, seed=run.seed, report=run.report, device=run.device)


def voices(run: Run, *, ablation: str | None = None) -> dict[str, Any]:
    from dialog.training.speech.voices import VoicesRecipe, ablated, train_voices

    return train_voices(
        VoicesRecipe() if ablation is None else ablated(ablation),
        run.data,
        run.out,
        voices=run.voices,
        start=run.start,
        seed=run.seed,
        report=run.report,
        device=run.device,
    )


def voiceprints(run: Run) -> dict[str, Any]:
    from dialog.training.speech.voiceprints import VoiceprintRecipe, train_voiceprints

    return train_voiceprints(
        VoiceprintRecipe(),
        run.data,
        run.out,
        voices=run.voices,
        seed=run.seed,
        report=run.report,
        device=run.device,
    )


def speakers(run: Run) -> dict[str, Any]:
    from dialog.training.speech.speakers import SpeakersRecipe, train_speakers

    return train_speakers(
        SpeakersRecipe(),
        run.data,
        run.out,
        voices=run.voices,
        start=run.start,
        seed=run.seed,
        report=run.report,
        device=run.device,
    )


def voice_emotion(run: Run) -> dict[str, Any]:
    from dialog.training.speech.emotion import VoiceEmotionRecipe, train_voice_emotion

    return train_voice_emotion(VoiceEmotionRecipe(), run.data, run.out, seed=run.seed, report=run.report)


def lasers(run: Run, *, chain: str | None = None) -> dict[str, Any]:
    from dialog.training.telemetry.fleet import compared, lasers, train_lasers

    recipe = lasers() if chain is None else compared(lasers(), chain)
    return train_lasers(run.out, seed=run.seed, report=run.report, recipe=recipe)


def fd001(run: Run, *, chain: str | None = None) -> dict[str, Any]:
    from dialog.training.telemetry.fleet import compared, fd001, train_fd001

    recipe = fd001() if chain is None else compared(fd001(), chain)
    return train_fd001(run.data, run.out, seed=run.seed, report=run.report, device=run.device, recipe=recipe)


def service(run: Run) -> dict[str, Any]:
    from dialog.training.telemetry.fleet import train_service

    return train_service(run.out, seed=run.seed, report=run.report)


def visual(name: str, reasoning: str | None = None) -> Callable[[Run], dict[str, Any]]:
    """The visual recipe of a name, reasoning by another mixer where one is given."""

    def train(run: Run) -> dict[str, Any]:
        from dialog.training.pictures import seqdialn as visual
        from dialog.training.pictures import seqdialn_recipes as visual_recipes

        recipe = getattr(visual_recipes, name)()
        known_as = "visual/seqdialn" + ("" if name == "standard" else f"-{name}")
        if reasoning is not None:
            recipe, known_as = visual_recipes.reasoning_by(recipe, reasoning), f"visual/seqdialn-{reasoning}"
        return visual.train_visual(
            recipe,
            run.data,
            run.out,
            seed=run.seed,
            start=run.start,
            report=run.report,
            device=run.device,
            name=known_as,
        )

    return train


def visdial(run: Run) -> dict[str, Any]:
    from dialog.training.pictures.visdial import VisDialRecipe, train_visdial

    return train_visdial(VisDialRecipe(), run.data, run.out, seed=run.seed, report=run.report, device=run.device)


def things(run: Run) -> dict[str, Any]:
    from dialog.training.pictures.things import ThingsRecipe, train_things

    return dict(
        train_things(
            ThingsRecipe(),
            run.data,
            run.out,
            start=run.start,
            seed=run.seed,
            report=run.report,
            device=run.device,
        )
    )


def presence(run: Run) -> dict[str, Any]:
    from dialog.training.pictures.presence import train_presence

    return train_presence(run.data, run.out, start=run.start, report=run.report, device=run.device)


def drawings(run: Run) -> dict[str, Any]:
    from dialog.training.pictures.drawings import train_drawings

    return train_drawings(run.data, run.out, start=run.start, seed=run.seed, report=run.report, device=run.device)


def reasoning(run: Run) -> dict[str, Any]:
    from dialog.training.pictures.reasoning import train_reasoning

    return train_reasoning(run.data, run.out, start=run.start, seed=run.seed, report=run.report, device=run.device)


def vision(run: Run) -> dict[str, Any]:
    from dialog.training.pictures.eyes import VisionRecipe, train_vision

    return train_vision(VisionRecipe(), run.data, run.out, seed=run.seed, report=run.report, device=run.device)
