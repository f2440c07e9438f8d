"""Questions about pictures, as the client of the service asks them."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from dialog.pictures.answers import Answer, Candidate, Thing

Box = tuple[float, float, float, float]


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


class VisualCalls:
    """The part of the client about pictures. Every method raises ServiceError.

    A picture is a file's bytes or its path; which engine looks at it is the service's business.
    """

    @abstractmethod
    def _call(self, method: str, path: str, body: Any = None, *, params: Any = None, makes: bool = False) -> Any: ...

    @abstractmethod
    def _pages(self, path: str, name: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]: ...

    @abstractmethod
    def _send_form(self, path: str, picture: bytes, fields: dict[str, str]) -> Any: ...

    @abstractmethod
    def _stream(self, path: str) -> AbstractContextManager[httpx.Response]: ...

    def show_picture(self, picture: bytes | str | Path, *, caption: str = "") -> VisualDialog:
        """A new dialogue about a picture."""
        return _dialog(self._send_form("/visual-dialogs", _bytes(picture), {"caption": caption}))

    def ask(self, dialog_id: str, question: str) -> Round:
        """The answer to one more question, read off the picture and the rounds before."""
        path = f"/visual-dialogs/{dialog_id}/questions"
        return _round(self._call("POST", path, {"question": question}, makes=True))

    def visual_dialog(self, dialog_id: str) -> VisualDialog:
        """The dialogue so far."""
        return _dialog(self._call("GET", f"/visual-dialogs/{dialog_id}"))

    def visual_dialogs(
        self, *, caption: str | None = None, since: str | None = None, before: str | None = None
    ) -> Iterator[VisualDialogSummary]:
        """All dialogues of this key, the newest first: those with a text in their caption, made between two times. They
        are asked for page by page. ServiceError 403 where the service keeps them secret."""
        asked = {"caption": caption, "since": since, "before": before}
        return (VisualDialogSummary(**d) for d in self._pages("/visual-dialogs", "visual_dialogs", asked))

    def picture(self, dialog_id: str) -> bytes:
        """The picture as the service keeps it: a JPEG, upright and small."""
        with self._stream(f"/visual-dialogs/{dialog_id}/picture") as response:
            return response.read()

    def delete_visual_dialog(self, dialog_id: str) -> None:
        """Deletes the picture and all that was said of it for good. ServiceError 404 where there is none any more."""
        self._call("DELETE", f"/visual-dialogs/{dialog_id}")

    def answer(
        self,
        picture: bytes | str | Path,
        question: str,
        *,
        rounds: Sequence[tuple[str, str]] = (),
        caption: str = "",
    ) -> VisualAnswer:
        """The answer to one question after `rounds` of (question, answer); the service keeps nothing."""
        said = [{"question": q, "answer": a} for q, a in rounds]
        fields = {"caption": caption, "question": question, "rounds": orjson.dumps(said).decode()}
        value = self._send_form("/visual-answers", _bytes(picture), fields)
        return VisualAnswer(
            **_look(value),
            question=value["question"],
            answer=_answer(value["answer"]),
            model_version=value["model_version"],
        )


def _bytes(picture: bytes | str | Path) -> bytes:
    return picture if isinstance(picture, bytes) else Path(picture).read_bytes()


def _look(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "width": value["width"],
        "height": value["height"],
        "boxes": tuple((b[0], b[1], b[2], b[3]) for b in value["boxes"]),
        "strangeness": value["strangeness"],
    }


def _dialog(value: Mapping[str, Any]) -> VisualDialog:
    kept = {name: value[name] for name in ("id", "created", "caption", "model_version")}
    return VisualDialog(**kept, **_look(value), rounds=tuple(_round(r) for r in value["rounds"]))


def _round(value: Mapping[str, Any]) -> Round:
    return Round(n=value["n"], question=value["question"], answer=_answer(value["answer"]))


def _answer(value: Mapping[str, Any]) -> Answer:
    return Answer(
        text=value["text"],
        answers=tuple(Candidate(c["text"], c["probability"]) for c in value["answers"]),
        known=value["known"],
        why=value["why"],
        written=value["written"],
        regions=tuple(value["regions"]),
        rounds=tuple(value["rounds"]),
        things=tuple(Thing(t["name"], t["probability"], _box(t["box"])) for t in value.get("things", ())),
        retrieved=bool(value.get("retrieved", False)),
    )


def _box(corners: Sequence[float]) -> tuple[float, float, float, float]:
    return corners[0], corners[1], corners[2], corners[3]
