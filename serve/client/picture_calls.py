"""The calls about pictures. A picture is a file's bytes or its path; which engine looks at it is the service's
business."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson

from .answers import Answer, Candidate, Thing
from .calls import Call, Pages
from .things import Box, Round, VisualAnswer, VisualDialog, VisualDialogSummary, made

Picture = bytes | str | Path


def show(picture: Picture, caption: str) -> Call[VisualDialog]:
    """Begins a dialogue about a picture."""
    content, kind = _form(picture, {"caption": caption})
    return Call(method="POST", path="/visual-dialogs", content=content, kind=kind, read=_dialog, makes=True)


def ask(dialog_id: str, question: str) -> Call[Round]:
    """Asks one more question."""
    body = orjson.dumps({"question": question})
    return Call(method="POST", path=f"/visual-dialogs/{dialog_id}/questions", content=body, read=_round, makes=True)


def look(dialog_id: str) -> Call[VisualDialog]:
    """Reads a dialogue."""
    return Call(method="GET", path=f"/visual-dialogs/{dialog_id}", read=_dialog)


def listed(*, caption: str | None, since: str | None, before: str | None) -> Pages[VisualDialogSummary]:
    """Lists dialogues."""
    return Pages(
        path="/visual-dialogs",
        name="visual_dialogs",
        read=lambda value: made(VisualDialogSummary, value),
        asked={"caption": caption, "since": since, "before": before},
    )


def answer(picture: Picture, question: str, rounds: Sequence[tuple[str, str]], caption: str) -> Call[VisualAnswer]:
    """Asks with everything that came before."""
    said = [{"question": q, "answer": a} for q, a in rounds]
    content, kind = _form(picture, {"caption": caption, "question": question, "rounds": orjson.dumps(said).decode()})
    return Call(
        method="POST",
        path="/visual-answers",
        content=content,
        kind=kind,
        read=lambda value: made(VisualAnswer, value, answer=answer_of(value["answer"]), boxes=_boxes(value)),
    )


def _form(picture: Picture, fields: dict[str, str]) -> tuple[bytes, str]:
    """The bytes of a form and their type: made once, so that a second try sends the same."""
    data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    files = {"picture": ("picture", data, "application/octet-stream")}
    request = httpx.Request("POST", "http://form", files=files, data=fields)
    return request.read(), request.headers["content-type"]


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
