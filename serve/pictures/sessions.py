"""Dialogues about pictures: a picture is looked at once, each question is answered from what was said before it."""

import asyncio
import uuid
import weakref

from sqlalchemy import Connection, func

from serve.database.tables import visual_dialogs
from serve.edge import metrics
from serve.edge.limits import Limits
from serve.edge.paging import Page, Paged, page_of
from serve.edge.problems import Fault, Refusal, not_found, overloaded, unavailable
from serve.pictures import table as visual_table
from serve.pictures.deployment import Ask, Asked, Begin, Begun
from serve.pictures.table import StoredDialog, StoredRound
from serve.pictures.viewer import Viewer
from serve.storage import Storage, now

_TRIES = 8
"""How often a question that another one overtook, in another process, is asked again."""
MISSING = "model-missing"
"""The kind of the problem where there is no model for pictures: trying again does not help."""


class VisualSessions:
    """The dialogues of one database. Nothing is kept here but locks: every process sees the same ones."""

    def __init__(self, storage: Storage, viewer: Viewer, limits: Limits) -> None:
        self._storage = storage
        self._viewer = viewer
        self._limits = limits
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def start(self, picture: bytes, caption: str, owner: str) -> StoredDialog:
        """A new dialogue. Refusal 413, 415 or 422 for the picture, 503 without a model."""
        begun = await self._begin(Begin(picture=picture, caption=caption))
        dialog = StoredDialog(
            id=uuid.uuid4().hex,
            created=now(),
            picture=begun.picture,
            caption=caption,
            look=begun.look,
            total=0,
            model_version=begun.model_version,
            state=begun.state,
            owner=owner,
        )
        await self._storage.do(lambda db: visual_table.add(db, dialog))
        return dialog

    async def get(self, dialog_id: str, owner: str) -> StoredDialog:
        """The dialogue; Refusal 404."""
        dialog = await self._storage.do(lambda db: visual_table.get(db, dialog_id, owner), writes=False)
        if dialog is None:
            raise not_found("dialogue")
        return dialog

    async def listed(self, owner: str, asked: Paged, caption: str | None) -> Page:
        """A page of the owner's dialogues, the newest first: all but the pictures. `caption` is a part of it."""
        kept = visual_dialogs.c
        touched = func.nullif(kept.touched, "").label("touched")
        columns = (kept.id, kept.created, touched, kept.caption, kept.look, kept.model_version, kept.total)
        where = [] if caption is None else [kept.caption.icontains(caption, autoescape=True)]
        return await self._storage.do(
            lambda db: page_of(db, visual_dialogs, owner, asked, columns=columns, where=where), writes=False
        )

    async def rounds(self, dialog_id: str) -> list[StoredRound]:
        """What was asked and answered so far."""
        return await self._storage.do(lambda db: visual_table.rounds(db, dialog_id), writes=False)

    async def ask(self, dialog_id: str, question: str, owner: str) -> tuple[StoredRound, str]:
        """The answer, kept, and the version of the model. Refusal 404, 409 for a full dialogue, 429 and 503."""
        # In one process the questions about a picture queue up here; between processes the database decides.
        lock = self._locks.setdefault(dialog_id, asyncio.Lock())
        async with lock:
            for _ in range(_TRIES):
                dialog = await self.get(dialog_id, owner)
                if dialog.total >= self._limits.rounds_per_dialog:
                    detail = f"the dialogue is full: it has {dialog.total:,} rounds"
                    raise Refusal(409, "dialog-full", detail, limit="rounds_per_dialog")
                asked = await self._ask(dialog, question)
                if await self._append(dialog, question, asked):
                    metrics.QUESTIONS.inc()
                    return StoredRound(n=dialog.total, question=question, answer=asked.answer), asked.model_version
        raise overloaded("too many questions arrive about this picture at once")

    async def answer(self, begin: Begin, question: str) -> tuple[Begun, Asked]:
        """The answer to a question with all that came before it; nothing is kept."""
        begun = await self._begin(begin)
        asked = await self._asked(Ask(state=begun.state, version=begun.model_version, question=question))
        if asked.stale:  # replaced between the two calls
            raise unavailable("the model is being replaced")
        return begun, asked

    async def delete(self, dialog_id: str, owner: str) -> None:
        """Forgets the picture and what was said of it; Refusal 404."""
        if not await self._storage.do(lambda db: visual_table.delete(db, dialog_id, owner), erases=True):
            raise not_found("dialogue")

    async def _ask(self, dialog: StoredDialog, question: str) -> Asked:
        asked = await self._asked(Ask(state=dialog.state, version=dialog.model_version, question=question))
        if asked.stale:  # a new version was put in place since the last round: it looks at the picture itself
            said = tuple((r.question, str(r.answer["text"])) for r in await self.rounds(dialog.id))
            begin = Begin(picture=dialog.picture, caption=dialog.caption, rounds=said)
            _, asked = await self.answer(begin, question)
        return asked

    async def _append(self, dialog: StoredDialog, question: str, asked: Asked) -> bool:
        def work(db: Connection) -> bool:
            return visual_table.append(db, dialog, question, asked.answer, asked.state, asked.model_version)

        return await self._storage.do(work)

    async def _begin(self, begin: Begin) -> Begun:
        begun = await self._viewer.begin(begin)
        if begun.missing is not None:
            raise missing(begun.missing)
        if begun.refused is not None:
            why = begun.refused
            faults = [Fault(pointer="/picture", detail=why.detail)] if why.status == 422 else []
            raise Refusal(why.status, why.kind, why.detail, limit=why.limit, faults=faults)
        return begun

    async def _asked(self, ask: Ask) -> Asked:
        asked = await self._viewer.ask(ask)
        if asked.missing is not None:
            raise missing(asked.missing)
        if asked.silent:
            raise unavailable("the service behind this one did not answer", retry_after=10)
        return asked


def missing(detail: str) -> Refusal:
    """503: there is no model for pictures, and waiting will not bring one."""
    return Refusal(503, MISSING, detail, retry_after=600)
