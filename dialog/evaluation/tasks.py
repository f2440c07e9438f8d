"""`rapport evaluate`: the tasks by name."""

import inspect
from collections.abc import Callable
from typing import Any

from dialog.evaluation.behaviour import evaluate_behaviour
from dialog.evaluation.correction.correction import evaluate_correction
from dialog.evaluation.emotion.causes import evaluate_causes
from dialog.evaluation.emotion.emotion import evaluate_emotion
from dialog.evaluation.pictures.visual import evaluate_visual
from dialog.evaluation.recall import evaluate_recall
from dialog.evaluation.replies.chosen import evaluate_reply
from dialog.evaluation.replies.written import evaluate_responder
from dialog.evaluation.speech.emotion import evaluate_voice_emotion
from dialog.evaluation.speech.speakers import evaluate_speakers
from dialog.evaluation.speech.speech import evaluate_speech
from dialog.evaluation.telemetry.telemetry import evaluate_telemetry

TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "behaviour": evaluate_behaviour,
    "causes": evaluate_causes,
    "correction": evaluate_correction,
    "emotion": evaluate_emotion,
    "recall": evaluate_recall,
    "reply": evaluate_reply,
    "responder": evaluate_responder,
    "speakers": evaluate_speakers,
    "speech": evaluate_speech,
    "telemetry": evaluate_telemetry,
    "visual": evaluate_visual,
    "voice-emotion": evaluate_voice_emotion,
}
"""task -> function(data files, model, ...) -> the object of DESIGN.md section 2."""

WITHOUT_DATA = frozenset({"behaviour", "recall", "telemetry"})
"""The tasks that have lines of their own, or make their examples, and need no files."""


def takes(measure: Callable[..., Any], option: str) -> bool:
    """Whether a row of TASKS has that argument."""
    arguments = inspect.signature(measure).parameters
    return option in arguments or any(a.kind is a.VAR_KEYWORD for a in arguments.values())
