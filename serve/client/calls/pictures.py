"""Questions about pictures. A picture is a file's bytes or its path; which engine looks at it is the service's
business."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ..answers import Answer, Candidate, Thing
from .kinds import Call, Form, Pages, deletion, made

Box = tuple[float, float, float, float]
Picture = bytes | str | Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """A question and its answer. `n` counts from 0."""

    n: int
    question: str
    answer: Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualDialog:
    """A picture, and what was asked about it so far. The size is in pixels, boxes are fractions x0, y0, x1, y1."""

    id: str
    created: str
    width: int
    height: int
    boxes: tuple[Box, ...]
    strangeness: float | None
    """Above 1 the picture is unlike any the model knows."""
    caption: str
    model_version: str
    rounds: tuple[Round, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualDialogSummary:
    """A picture in a list. `touched` is when something was last asked, `total` how many questions were."""

    id: str
    created: str
    touched: str | None
    caption: str
    width: int
    height: int
    model_version: str
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualAnswer:
    """An answer for which everything was sent at once."""

    question: str
    answer: Answer
    width: int
    height: int
    boxes: tuple[Box, ...]
    strangeness: float | None
    model_version: str


def show_picture(picture: Picture, *, caption: str = "") -> Form[VisualDialog]:
    """A new dialogue about a picture."""
    return Form(path="/visual-dialogs", picture=picture, fields={"caption": caption}, read=_dialog, makes=True)


def ask(dialog_id: str, question: str) -> Call[Round]:
    """The answer to one more question, read off the picture and the rounds before."""
    body = orjson.dumps({"question": question})
    return Call(method="POST", path=f"/visual-dialogs/{dialog_id}/questions", content=body, read=_round, makes=True)


def visual_dialog(dialog_id: str) -> Call[VisualDialog]:
    """The dialogue so far."""
    return Call(method="GET", path=f"/visual-dialogs/{dialog_id}", read=_dialog)


def visual_dialogs(
    *, caption: str | None = None, since: str | None = None, before: str | None = None
) -> Pages[VisualDialogSummary]:
    """All dialogues of this key: those with a text in their caption."""
    return Pages(
        path="/visual-dialogs",
        name="visual_dialogs",
        read=lambda value: made(VisualDialogSummary, value),
        asked={"caption": caption, "since": since, "before": before},
    )


def delete_visual_dialog(dialog_id: str) -> Call[None]:
    """Deletes the picture and all that was said of it for good. ServiceError 404 where there is none any more."""
    return deletion(f"/visual-dialogs/{dialog_id}")


def answer(
    picture: Picture, question: str, *, rounds: Sequence[tuple[str, str]] = (), caption: str = ""
) -> Form[VisualAnswer]:
    """The answer to one question after `rounds` of (question, answer); the service keeps nothing."""
    said = orjson.dumps([{"question": q, "answer": a} for q, a in rounds]).decode()
    return Form(
        path="/visual-answers",
        picture=picture,
        fields={"caption": caption, "question": question, "rounds": said},
        read=lambda value: made(VisualAnswer, value, answer=answer_of(value["answer"]), boxes=_boxes(value)),
    )


def _boxes(value: Mapping[str, Any]) -> tuple[Box, ...]:
    return tuple(_box(b) for b in value["boxes"])


def _dialog(value: Mapping[str, Any]) -> VisualDialog:
    return made(VisualDialog, value, boxes=_boxes(value), rounds=tuple(_round(r) for r in value["rounds"]))


def _round(value: Mapping[str, Any]) -> Round:
    return made(Round, value, answer=answer_of(value["answer"]))


def answer_of(value: Mapping[str, Any]) -> Answer:
    """An answer about a picture."""
    return made(
        Answer,
        value,
        answers=tuple(made(Candidate, c) for c in value["answers"]),
        regions=tuple(value["regions"]),
        rounds=tuple(value["rounds"]),
        things=tuple(made(Thing, t, box=_box(t["box"])) for t in value.get("things", ())),
    )


def _box(corners: Sequence[float]) -> Box:
    return corners[0], corners[1], corners[2], corners[3]
