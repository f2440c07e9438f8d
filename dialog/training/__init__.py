"""Training: the loop, and one recipe a model. `rapport train NAME` runs what this table names."""

from functools import partial

from dialog.training import runs
from dialog.training.emotion.ablations import ABLATIONS
from dialog.training.geometry.recipes import POINTERS
from dialog.training.recipe import Recipe
from dialog.training.speech.ablations import ABLATIONS as VOICE_ABLATIONS


def _emotion(summary: str, name: str, *parts: str) -> Recipe:
    return Recipe(summary=summary, train=runs.emotion(name, *parts), takes_teachers=True)


def _visual(summary: str, name: str, reasoning: str | None = None) -> Recipe:
    return Recipe(summary=summary, train=runs.visual(name, reasoning))


def _pointer(name: str, summary: str) -> Recipe:
    return Recipe(summary=summary, train=runs.pointer(name), takes_start=False, reads_data=False)


_PARTS = {"alone": "the same encoder on single utterances, nothing else"} | {
    part: ablation.summary for part, ablation in ABLATIONS.items()
}

_CHAINS = {
    "paper": "the paper's own chain",
    "gla": "gated linear attention in the GRU's place",
    "min-rnn": "a minimal gated recurrence in the GRU's place",
    "aaren": "attention as a recurrence in the GRU's place",
}
"""What telemetry is compared with: dialog.training.telemetry.fleet.CHAINS."""

RECIPES: dict[str, Recipe] = {
    "causes/reccon": Recipe(summary="What caused an emotion, on the encoder of --start; minutes", train=runs.causes),
    "correction/chat": Recipe(
        summary="Slips of the keys mended, words completed; half an hour; goes on from --start", train=runs.correction
    ),
    "correction/margins": Recipe(
        summary="When a corrector (--start) speaks up, chosen anew by real slips in context; minutes",
        train=runs.correction_margins,
    ),
    "emotion/encoder": Recipe(
        summary="The encoder the emotion models start from", train=runs.emotion_encoder, takes_start=False
    ),
    "emotion/teacher": Recipe(
        summary="What the default learns from: all-mpnet-base-v2 (rapport[large], or its folder as --start)",
        train=runs.emotion_teacher,
    ),
    "emotion/answers": Recipe(
        summary="What a teacher (--teacher) says of many messages (--start as for emotion/teacher)",
        train=runs.emotion_answers,
        takes_teachers=True,
    ),
    "emotion/ekman": Recipe(
        summary="The default: each message read alone, from answers (--teacher), over the encoder of --start",
        train=runs.emotion_default,
        takes_teachers=True,
    ),
    "emotion/ekman-again": Recipe(
        summary="The default trained on from itself (--start) where there are new chats or answers (--teacher)",
        train=partial(runs.emotion_default, goes_on=True),
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
        summary="Replies chosen among those people wrote; minutes on one core", train=runs.replies, takes_start=False
    ),
    "responder/lm": Recipe(
        summary="A small language model that writes replies: --mixer softmax, gla or hybrid; half an hour on one core",
        train=runs.language,
        takes_start=False,
        mixers=("softmax", "gla", "hybrid"),
    ),
    "telemetry/lasers": Recipe(
        summary="Simulated ageing lasers: forecast, alarm, hours left; minutes, needs no --data",
        train=runs.lasers,
        takes_start=False,
        reads_data=False,
    ),
    "telemetry/fd001": Recipe(
        summary="C-MAPSS FD001 turbofan engines: cycles left, forecast and alarm; minutes",
        train=runs.fd001,
        takes_start=False,
    ),
    "telemetry/service": Recipe(
        summary="A simulated service with faults, to compare with what watches ours; minutes, needs no --data",
        train=runs.service,
        takes_start=False,
        reads_data=False,
    ),
    **{
        f"telemetry/{fleet}-{chain}": Recipe(
            summary=f"As telemetry/{fleet}, by {what}, to compare with",
            train=partial(train, chain=chain),
            takes_start=False,
            reads_data=fleet == "fd001",
        )
        for fleet, train in (("lasers", runs.lasers), ("fd001", runs.fd001))
        for chain, what in _CHAINS.items()
    },
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
        summary="Two voices apart, from data/audio and a folder of --voices; goes on from --start; an hour",
        train=runs.voices,
        takes_voices=True,
    ),
    **{
        f"speech/voices-{name}": Recipe(
            summary=f"The same in minutes, to compare: {ablation.summary}",
            train=partial(runs.voices, ablation=name),
            takes_start=False,
            takes_voices=True,
        )
        for name, ablation in VOICE_ABLATIONS.items()
    },
    "speech/voiceprints": Recipe(
        summary="One voice known from another, from data/audio and a folder of --voices; minutes",
        train=runs.voiceprints,
        takes_start=False,
        takes_voices=True,
    ),
    "speech/speakers": Recipe(
        summary="speakers.json of voiceprints (--start): how many people speak, from talks of --voices; minutes",
        train=runs.speakers,
        takes_voices=True,
    ),
    "speech/emotion": Recipe(
        summary="Which acted emotion a voice is likest, from data/audio; minutes",
        train=runs.voice_emotion,
        takes_start=False,
    ),
    "visual/things": Recipe(
        summary="What looks for things by name beside a model (--start); a quarter of an hour", train=runs.things
    ),
    "visual/presence": Recipe(
        summary="presence.json of a model (--start): how far what is seen is believed; minutes", train=runs.presence
    ),
    "visual/drawings": Recipe(
        summary="A model (--start) taught to read drawings by their parts; a quarter of an hour", train=runs.drawings
    ),
    "visual/reasoning": Recipe(
        summary="Five ways of reasoning over a model's (--start) fusion, to rank them; an hour and a half, resumable",
        train=runs.reasoning,
    ),
    "visual/visdial": Recipe(
        summary="VisDial v1.0 as published, from its original files", train=runs.visdial, takes_start=False
    ),
    "vision/encoder": Recipe(
        summary="The built-in picture network, from photographs and captions", train=runs.vision, takes_start=False
    ),
}
"""name -> recipe."""
