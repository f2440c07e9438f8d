"""Live chats: each new message is labelled from what came before it, at a cost that does not grow with the chat."""

import asyncio
import uuid
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import func

from serve.chats import answers, edits
from serve.chats.edits import Anew, Change, Rewritten, Said
from serve.chats.reading import in_chat, kept
from serve.database.tables import chats
from serve.edge import metrics
from serve.edge.limits import Limits
from serve.edge.paging import Page, Paged, page_of
from serve.edge.problems import Fault, Refusal, not_found, overloaded, unavailable
from serve.emotion.choice import Choice
from serve.emotion.labeller import Labeller
from serve.emotion.steps import Step, Stepped
from serve.storage import Storage, StoredChat, StoredMessage, appended, now

_TRIES = 8
"""How often a message that another one overtook, in another process, is read again."""
_REPLAYED = 200
"""Messages a model of a new version reads first to know a chat that an older version has followed so far."""


class Sessions:
    """The chats of one database. Nothing is kept here but locks: every process sees the same chats."""

    def __init__(self, storage: Storage, labeller: Labeller, choice: Choice, limits: Limits) -> None:
        self._storage = storage
        self._labeller = labeller
        self._choice = choice
        self._limits = limits
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def start(self, model: str | None, label_set: str | None, owner: str) -> StoredChat:
        """A new, empty chat."""
        name = self._choice.model(model, label_set, "")
        about = await self._labeller.about(name)
        if about.error is not None:
            raise unavailable(about.error, retry_after=30)
        chat = StoredChat(
            id=uuid.uuid4().hex,
            created=now(),
            model=name,
            labels=about.labels,
            total=0,
            model_version=about.version,
            owner=owner,
        )
        await self._storage.add_chat(chat)
        return chat

    async def get(self, chat_id: str, owner: str) -> StoredChat:
        """The owner's chat; Refusal 404."""
        chat = await self._storage.chat(chat_id, owner)
        if chat is None:
            raise not_found("chat")
        return chat

    async def listed(self, owner: str, asked: Paged) -> Page:
        """A page of the owner's chats, the newest first: all but their labels and states."""
        kept = chats.c
        touched = func.nullif(kept.touched, "").label("touched")
        columns = (kept.id, kept.created, touched, kept.model, kept.model_version, kept.total)
        return await self._storage.do(lambda db: page_of(db, chats, owner, asked, columns=columns), writes=False)

    async def messages(self, chat_id: str, after: int, limit: int) -> list[StoredMessage]:
        """At most `limit` messages with n >= after."""
        return await self._storage.messages(chat_id, after, min(limit, self._limits.messages_per_page))

    async def add(
        self,
        chat_id: str,
        speaker: str,
        text: str,
        time: str | None,
        owner: str,
        *,
        reply: dict[str, Any] | None = None,
        total: int | None = None,
    ) -> tuple[StoredMessage, Stepped]:
        """The message, labelled and kept. Refusal 404, 409 for a full chat, 429 and 503 as the labeller says.

        reply: what is known of an assistant's answer (`answers.notes`); total: how many messages the chat must have, or
        409.
        """
        # In one process the messages of a chat queue up here; between processes the database decides.
        lock = self._locks.setdefault(chat_id, asyncio.Lock())
        async with lock:
            for _ in range(_TRIES):
                chat = await self.get(chat_id, owner)
                edits.expect_total(chat, total)
                self.expect_room(chat)
                stepped, replayed = await self._step(chat, speaker, text)
                message = _labelled(chat.total, speaker, text, time, stepped, reply)
                rows = kept(stepped, [*replayed, chat.total])
                write = partial(
                    appended if reply is None else answers.append,
                    chat=chat,
                    message=message,
                    state=stepped.head,
                    model_version=stepped.model_version,
                    rows=rows,
                    anew=bool(replayed),
                )
                if await self._storage.do(write):
                    metrics.MESSAGES.labels(chat.model, "chats").inc()
                    return message, stepped
        raise overloaded("too many messages arrive in this chat at once")

    async def answer_anew(
        self, chat_id: str, speaker: str, text: str, time: str | None, owner: str, *, reply: dict[str, Any], total: int
    ) -> tuple[StoredMessage, Sequence[dict[str, Any]]]:
        """Another answer in place of the last message, labelled and kept, and the warnings of it. Refusal as `add`."""
        lock = self._locks.setdefault(chat_id, asyncio.Lock())
        async with lock:
            chat = await self.get(chat_id, owner)
            edits.expect_total(chat, total)
            before = await self._storage.do(lambda db: answers.before_last(db, chat), writes=False)
            if before is not None:
                state, version = before
                earlier = replace(chat, state=state, model_version=version, total=total - 1)
                stepped, replayed = await self._step(earlier, speaker, text, rows_of=chat)
                message = _labelled(total - 1, speaker, text, time, stepped, reply)
                rows = kept(stepped, [*replayed, total - 1])
                put = partial(
                    answers.replace_last,
                    chat=chat,
                    message=message,
                    state=stepped.head,
                    model_version=stepped.model_version,
                    rows=rows,
                    anew=bool(replayed),
                )
                if await self._storage.do(put, erases=True):
                    return message, stepped.warnings
                raise overloaded("the chat is changed by somebody else at this moment")
        said = Said(speaker=speaker, text=text, time=time, reply=reply)
        new = await self.change(chat_id, lambda all_of_it: [*all_of_it[:-1], said], owner, total=total)
        return new.messages[-1], new.warnings[-1]

    async def heard(self, chat_id: str) -> list[str]:
        """What an assistant has said in the chat, and what would not do."""
        return await self._storage.do(lambda db: answers.heard(db, chat_id), writes=False)

    def expect_room(self, chat: StoredChat) -> None:
        """Refusal 409 for a full chat."""
        if chat.total >= self._limits.messages_per_chat:
            detail = f"the chat is full: it has {chat.total:,} messages"
            raise Refusal(409, "chat-full", detail, limit="messages_per_chat")

    async def correct(self, chat_id: str, n: int, label: str | None, owner: str) -> tuple[StoredChat, StoredMessage]:
        """Message n with the label a person gave it, or without any (None). Refusal 404, and 422 for no label."""
        chat = await self.get(chat_id, owner)
        if label is not None and label not in chat.labels:
            detail = f"not a label of this chat; those are {', '.join(chat.labels)}"
            raise Refusal(422, "invalid", "1 fault in the request", faults=[Fault(pointer="/emotion", detail=detail)])
        message = await self._storage.correct(chat_id, n, label)
        if message is None:
            raise not_found("message")
        return chat, message

    async def change(
        self, chat_id: str, change: Change, owner: str, *, total: int | None = None, after: int = 0
    ) -> Rewritten:
        """The chat in which something else was said. It stays as it was until all of it is read again.

        total: how many messages whoever changes it thinks it has; after: how many it will have at least. Refusal 404,
        409 where the chat is another or too long, 422 for a correction that is no label, 429 and 503 as the labeller
        says.
        """
        lock = self._locks.setdefault(chat_id, asyncio.Lock())
        async with lock:
            for _ in range(_TRIES):
                chat = await self.get(chat_id, owner)
                edits.expect(chat, total, self._limits.messages_reread, after)
                before = await self._storage.messages(chat_id, 0, chat.total)
                said = change([Said.of(message) for message in before])
                edits.expect_labels(chat, said)
                try:
                    new = await edits.rewritten(chat, before, said, self._labeller)
                except Anew:
                    continue
                if await self._storage.do(partial(edits.keep, old=chat, new=new), erases=True):
                    metrics.MODEL_SECONDS.observe(new.model_seconds)
                    return new
        raise overloaded("too much is changed in this chat at once")

    async def delete(self, chat_id: str, owner: str) -> None:
        """Forgets the chat; Refusal 404."""
        if not await self._storage.delete_chat(chat_id, owner):
            raise not_found("chat")

    async def _step(
        self, chat: StoredChat, speaker: str, text: str, rows_of: StoredChat | None = None
    ) -> tuple[Stepped, list[int]]:
        """What becomes of the message, and the messages that were read again for it. rows_of: the chat as it is, where
        `chat` is what it was before its last message."""
        step = Step(model=chat.model, head=chat.state, speaker=speaker, text=text, version=chat.model_version)
        replayed: list[int] = []
        stepped = await self._labeller.step(step)
        if stepped.forgotten:  # by a process that has not read the message before this one
            if rows_of is None:
                rows = await self._storage.rows(chat.id)
            else:
                rows = await self._storage.do(partial(answers.rows_before_last, chat=rows_of), writes=False)
            stepped = await self._labeller.step(replace(step, rows=tuple(rows)))
        if stepped.stale:  # a new version was put in place since the last message
            recent = await self._storage.messages(chat.id, max(0, chat.total - _REPLAYED), _REPLAYED)
            recent = [m for m in recent if m.error is None and m.n < chat.total]
            replayed = [m.n for m in recent]
            replay = tuple((m.speaker, m.text) for m in recent)
            stepped = await self._labeller.step(replace(step, head=None, version=None, replay=replay))
        if stepped.prediction is None or not stepped.prediction["causes"]:
            return stepped, replayed
        failed = [n for n in await self._storage.failed(chat.id) if n < chat.total]
        return replace(stepped, prediction=in_chat(stepped.prediction, chat.total, stepped.n_read, failed)), replayed


def _labelled(
    n: int, speaker: str, text: str, time: str | None, stepped: Stepped, reply: dict[str, Any] | None
) -> StoredMessage:
    return StoredMessage(
        n=n,
        speaker=speaker,
        text=text,
        time=time,
        prediction=stepped.prediction,
        error=stepped.error,
        reply=reply,
    )
