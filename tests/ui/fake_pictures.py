"""The part of the client from memory about pictures: answers by the number of the round; `unknown` is not known,
`never` is what no picture shows, and `things` are found."""

import io
import uuid
from dataclasses import replace

from dialog.pictures.answers import Answer, Candidate, Thing
from dialog.reading.pictures import PictureRefused, PictureTooLarge, UnknownPictureFormat, open_picture
from serve.client import Round, ServiceError, VisualDialog

BOXES = tuple((x / 3, y / 3, (x + 1) / 3, (y + 1) / 3) for y in range(3) for x in range(3))
LOOKED = (0.02, 0.05, 0.03, 0.1, 0.42, 0.2, 0.08, 0.07, 0.03)

THINGS = (Thing("dog", 0.83, (0.1, 0.3, 0.4, 0.9)), Thing("surfboard", 0.64, (0.8, 0.5, 0.99, 0.7)))


def answer(question: str, n: int) -> Answer:
    """Mostly a dog."""
    why = "no answer is likely enough" if "unknown" in question else ""
    why = "that is nothing a picture shows" if "never" in question else why
    known = not why
    found = (Candidate("a dog", 0.71), Candidate("a cat", 0.15), Candidate("running", 0.06))
    return Answer(
        text="a dog" if known else "I do not know",
        answers=found,
        known=known,
        why=why,
        regions=LOOKED,
        rounds=tuple((i + 1) / (n * (n + 1) / 2) for i in range(n)),
        things=THINGS if "things" in question else (),
    )


class PicturesInMemory:
    """Dialogues in a dict; what is no picture is refused as the service refuses it."""

    def __post_init__(self) -> None:
        self.dialogs: dict[str, VisualDialog] = {}
        self.pictures: dict[str, bytes] = {}

    def _check(self) -> None:
        raise NotImplementedError

    def _dialog(self, dialog_id: str) -> VisualDialog:
        self._check()
        if dialog_id not in self.dialogs:
            raise ServiceError(404, "not-found", "there is no such dialogue", request_id="r1")
        return self.dialogs[dialog_id]

    def show_picture(self, picture: bytes, *, caption: str = "") -> VisualDialog:
        self._check()
        try:
            opened = open_picture(picture)
        except PictureRefused as error:
            status = {PictureTooLarge: 413, UnknownPictureFormat: 415}.get(type(error), 422)
            faults = (("/picture", str(error)),) if status == 422 else ()
            raise ServiceError(status, "invalid", str(error), faults=faults) from None
        width, height = opened.size
        file = io.BytesIO()
        opened.save(file, "JPEG")
        dialog = VisualDialog(
            id=uuid.uuid4().hex,
            created="2026-11-23T12:00:00Z",
            width=width,
            height=height,
            boxes=BOXES,
            strangeness=0.4,
            caption=caption,
            model_version="visual/seqdialn@1",
            rounds=(),
        )
        self.dialogs[dialog.id] = dialog
        self.pictures[dialog.id] = file.getvalue()
        return dialog

    def ask(self, dialog_id: str, question: str) -> Round:
        dialog = self._dialog(dialog_id)
        n = len(dialog.rounds)
        added = Round(n=n, question=question, answer=answer(question, n))
        self.dialogs[dialog_id] = replace(dialog, rounds=(*dialog.rounds, added))
        return added

    def visual_dialog(self, dialog_id: str) -> VisualDialog:
        return self._dialog(dialog_id)

    def picture(self, dialog_id: str) -> bytes:
        self._dialog(dialog_id)
        return self.pictures[dialog_id]

    def delete_visual_dialog(self, dialog_id: str) -> None:
        self._dialog(dialog_id)
        del self.dialogs[dialog_id], self.pictures[dialog_id]
