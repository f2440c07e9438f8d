"""A chat that is changed where it stands.

A label is read off what was said before it, so all after a change is read anew. It is read from the chat's beginning,
message by message, as it was when it was said: live equals read again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from serve.chats.reading import in_chat, kept
from serve.database.tables import answers, chat_rows, chats, messages, repeats
from serve.edge.problems import Fault, Refusal, not_found
from serve.emotion.labeller import Labeller
from serve.emotion.steps import Step, Stepped
from serve.storage import KeptRow, StoredChat, StoredMessage, now, row_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What somebody said. `was`: the number of the message whose correction it keeps; None: `correction` is its own.
    `reply`: what is known of an assistant's answer."""

    speaker: str
    text: str
    time: str | None
    correction: str | None = None
    was: int | None = None
    reply: dict[str, Any] | None = None

    @classmethod
    def of(cls, message: StoredMessage) -> "Said":
        """What stands there."""
        return cls(
            speaker=message.speaker,
            text=message.text,
            time=message.time,
            correction=message.correction,
            was=message.n,
            reply=message.reply,
        )


Change = Callable[[list[Said]], list[Said]]
"""From all that was said to all that is to have been said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewritten:
    """A chat after a change: its messages from the first changed one on, and the warnings of each."""

    chat: StoredChat
    first: int
    messages: tuple[StoredMessage, ...]
    warnings: tuple[Sequence[dict[str, Any]], ...]
    rows: tuple[KeptRow, ...] | None
    """What is kept for the next message; None where nothing was read."""
    carried: tuple[int | None, ...]
    """For each message, the number of the one whose correction it keeps."""
    model_seconds: float = 0.0


class Anew(Exception):
    """Another version of the model was put in place in the middle: all is to be read again."""


def edited(n: int, fields: dict[str, Any]) -> Change:
    """Message n with other fields. A label that was given to other words goes with them. Refusal 404."""

    def change(said: list[Said]) -> list[Said]:
        if n >= len(said):
            raise not_found("message")
        new = replace(said[n], **fields)
        if new.text != said[n].text:
            new = replace(new, correction=None, was=None, reply=None)
        return [*said[:n], new, *said[n + 1 :]]

    return change


def removed(n: int) -> Change:
    """All but message n. Refusal 404."""

    def change(said: list[Said]) -> list[Said]:
        if n >= len(said):
            raise not_found("message")
        return said[:n] + said[n + 1 :]

    return change


def expect(chat: StoredChat, total: int | None, most: int, after: int = 0) -> None:
    """Refusal 409 where the chat is not as long as whoever changes it thinks, or too long to be read again."""
    expect_total(chat, total)
    if (n := max(chat.total, after)) > most:
        detail = f"the chat has {n:,} messages; one of up to {most:,} can be read again from its beginning"
        raise Refusal(409, "chat-too-long", detail, limit="messages_reread")


def expect_total(chat: StoredChat, total: int | None) -> None:
    """Refusal 409 where the chat is not as long as somebody thinks."""
    if total is not None and chat.total != total:
        raise Refusal(
            409, "chat-changed", f"the chat was changed meanwhile: it has {chat.total:,} messages, not {total:,}"
        )


def expect_labels(chat: StoredChat, said: Sequence[Said]) -> None:
    """Refusal 422 where a correction is no label of the chat."""
    wrong = [i for i, s in enumerate(said) if s.correction is not None and s.correction not in chat.labels]
    if wrong:
        detail = f"not a label of this chat; those are {', '.join(chat.labels)}"
        faults = [Fault(pointer=f"/messages/{i}/correction", detail=detail) for i in wrong[:20]]
        raise Refusal(422, "invalid", f"{len(wrong)} faults in the request", faults=faults)


async def rewritten(
    chat: StoredChat, before: Sequence[StoredMessage], after: Sequence[Said], labeller: Labeller
) -> Rewritten:
    """The chat as it is once this was said instead. Raises Anew, and what the labeller raises."""
    after = [_refusing(said, before[i] if i < len(before) else None) for i, said in enumerate(after)]
    stood = [Said.of(m) for m in before]
    first = _first([_all(s) for s in stood], [_all(s) for s in after])
    read_from = _first([_words(s) for s in stood], [_words(s) for s in after])
    moved = replace(chat, total=len(after))
    if read_from == len(after) == len(before):
        messages = [_with(before[i], after[i]) for i in range(first, len(after))]
        return _rewritten(moved, first, messages, [()] * len(messages), after, None)
    reading = _Reading(chat, labeller)
    told: list[tuple[StoredMessage, Sequence[dict[str, Any]]]] = []
    for n, said in enumerate(after):
        if n < read_from and before[n].error is not None:  # it has not been read then either
            reading.failed.insert(0, n)
            told.append((_with(before[n], said), ()))
            continue
        stepped = await reading.read(n, said, after)
        if n < read_from:  # its label is what it was
            told.append((_with(before[n], said), ()))
            continue
        message = StoredMessage(
            n=n,
            speaker=said.speaker,
            text=said.text,
            time=said.time,
            prediction=stepped.prediction,
            error=stepped.error,
            correction=said.correction,
            reply=said.reply,
        )
        told.append((message, stepped.warnings))
    moved = replace(moved, state=reading.head, model_version=reading.version or chat.model_version)
    messages, warnings = [m for m, _ in told[first:]], [w for _, w in told[first:]]
    found = _rewritten(moved, first, messages, warnings, after, tuple(reading.rows.values()))
    return replace(found, model_seconds=reading.seconds)


def keep(db: Connection, old: StoredChat, new: Rewritten) -> bool:
    """Puts the changed chat in place of the old one; False where that is no longer as `old` says.

    Corrections of messages that stay are those that stand there now. What the answers to repeated requests tell of the
    chat goes too: it is what was said before.
    """
    chat = new.chat
    same = (chats.c.id == old.id, chats.c.total == old.total, chats.c.state.is_not_distinct_from(old.state))
    told = {"total": chat.total, "state": chat.state, "model_version": chat.model_version, "touched": now()}
    if not db.execute(update(chats).where(*same).values(told)).rowcount:
        return False
    wanted = select(messages.c.n, messages.c.correction, messages.c.corrected).where(messages.c.chat == old.id)
    given = {n: (correction, corrected) for n, correction, corrected in db.execute(wanted)}
    db.execute(delete(messages).where(messages.c.chat == old.id, messages.c.n >= new.first))
    said: list[dict[str, Any]] = []
    for message, was in zip(new.messages, new.carried, strict=True):
        own = (message.correction, None if message.correction is None else now())
        correction, corrected = own if was is None else given.get(was, own)
        said.append({**row_of(old.id, message), "correction": correction, "corrected": corrected})
    if said:
        db.execute(insert(messages), said)
    if new.rows is not None:
        db.execute(delete(chat_rows).where(chat_rows.c.chat == old.id))
        if new.rows:
            db.execute(insert(chat_rows), [{"chat": old.id, **row._asdict()} for row in new.rows])
    db.execute(delete(answers).where(answers.c.chat == old.id))  # what was before one is another now
    db.execute(delete(repeats).where(repeats.c.thing == old.id))
    return True


class _Reading:
    """A chat that is read from its beginning."""

    def __init__(self, chat: StoredChat, labeller: Labeller) -> None:
        self._chat = chat
        self._labeller = labeller
        self._read: list[int] = []
        self.failed: list[int] = []
        """Messages that could not be read, the last first."""
        self.head: bytes | None = None
        self.rows: dict[int, KeptRow] = {}
        self.version: str | None = None
        self.seconds = 0.0

    async def read(self, n: int, said: Said, all_of_it: Sequence[Said]) -> Stepped:
        """What becomes of message n."""
        step = Step(model=self._chat.model, head=self.head, speaker=said.speaker, text=said.text, version=self.version)
        stepped = await self._labeller.step(step)
        if stepped.forgotten:
            rows = sorted(self.rows.values(), key=lambda row: row.n)
            known = tuple((row.data, all_of_it[row.n].text) for row in rows)
            stepped = await self._labeller.step(replace(step, rows=known))
        if stepped.stale:
            raise Anew
        self.seconds += stepped.model_seconds
        if stepped.prediction is None:
            self.failed.insert(0, n)
            return stepped
        self._read.append(n)
        self.head, self.version = stepped.head, stepped.model_version
        self.rows |= {row.place: row for row in kept(stepped, self._read)}
        return replace(stepped, prediction=in_chat(stepped.prediction, n, stepped.n_read, self.failed))


def _rewritten(
    chat: StoredChat,
    first: int,
    messages: Sequence[StoredMessage],
    warnings: Sequence[Sequence[dict[str, Any]]],
    after: Sequence[Said],
    rows: tuple[KeptRow, ...] | None,
) -> Rewritten:
    carried = tuple(s.was for s in after[first:])
    return Rewritten(
        chat=chat, first=first, messages=tuple(messages), warnings=tuple(warnings), rows=rows, carried=carried
    )


def _with(message: StoredMessage, said: Said) -> StoredMessage:
    """The message with its label, where nothing but its time or its correction is another."""
    return replace(message, time=said.time, correction=said.correction)


def _refusing(said: Said, stood: StoredMessage | None) -> Said:
    """What was said, with the answers that would not do where it is still the answer that stood there."""
    if said.reply is None or stood is None or stood.reply is None or stood.text != said.text:
        return said
    return replace(said, reply={**stood.reply, **said.reply})


def _all(said: Said) -> tuple[str | None, ...]:
    return said.speaker, said.text, said.time, said.correction


def _words(said: Said) -> tuple[str, str]:
    return said.speaker, said.text


def _first(one: Sequence[Any], other: Sequence[Any]) -> int:
    """The first place at which they differ."""
    n = min(len(one), len(other))
    return next((i for i in range(n) if one[i] != other[i]), n)
