"""An assistant in a live chat: it answers the last message, and what it says is a message of the chat.

All it knows of the chat is what is kept of it, so it goes on after a restart as before it: with the same memory, and
with no answer twice. Whoever hangs up in the middle stops it, and what has come by then stays.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from dialog.replies.pairs import same_text
from serve.chats import answers
from serve.chats.sessions import Sessions
from serve.edge.limits import Limits
from serve.edge.problems import Refusal, not_found, unavailable
from serve.emotion.choice import Choice
from serve.replies.answerer import Answerer
from serve.replies.deployment import Reply, Said, Turn
from serve.replies.schemas import ChatAnswerRequest
from serve.storage import StoredMessage, now

ASSISTANT = "Assistant"
"""Who speaks where it answers."""
_ROLES = ("assistant", "system", "developer")
_REMEMBERED = 40
"""Messages that a responder is told of."""
_TRIES = 4
"""How often another answer may turn out to be one that would not do."""


class Conversing:
    """Answers in chats, out of the services beside it."""

    def __init__(self, answerer: Answerer, sessions: Sessions, choice: Choice, limits: Limits) -> None:
        self._answerer = answerer
        self._sessions = sessions
        self._choice = choice
        self._limits = limits
        self._keeping: set[asyncio.Task[None]] = set()

    async def answer(self, chat_id: str, asked: ChatAnswerRequest, owner: str) -> "Answer":
        """An answer to the chat's last message, or another one in its place, begun: its first piece is there.

        Refusal 404 for a chat or a responder there is not, 409 where nothing is to be answered or the chat is not as
        long as it is thought to be, 429 and 503 as those asked say.
        """
        responder = asked.responder or next(iter(self._choice.responders), "")
        if responder not in self._choice.responders:
            raise not_found("responder")
        chat = await self._sessions.get(chat_id, owner)
        if asked.total is not None and asked.total != chat.total:
            detail = f"the chat was changed meanwhile: it has {chat.total:,} messages, not {asked.total:,}"
            raise Refusal(409, "chat-changed", detail)
        recent = await self._sessions.messages(chat_id, max(0, chat.total - _REMEMBERED - 1), _REMEMBERED + 1)
        refused: list[str] = []
        if asked.another:
            if not recent or recent[-1].reply is None:
                raise Refusal(409, "nothing-answered", "the chat's last message is no answer: there is no other one")
            refused = [*recent[-1].reply.get("refused", ()), recent.pop().text]
        else:
            self._sessions.expect_room(chat)
        if not recent or recent[-1].reply is not None:
            raise Refusal(409, "nothing-to-answer", "nobody has said anything since the last answer")
        felt = recent[-1].correction or (recent[-1].prediction or {}).get("emotion")
        allowed = self._limits.tokens_per_reply
        wanted = Reply(
            turns=tuple(_turn(m) for m in recent[-_REMEMBERED:]),
            responder=responder,
            to_feel=asked.to_feel,
            instead_of=tuple(await self._sessions.heard(chat_id)),
            most=min(asked.max_tokens or allowed, allowed),
        )
        answer = Answer(chat=chat_id, total=chat.total, owner=owner, wanted=wanted, felt=felt, refused=refused, by=self)
        await answer.begin(self._answerer)
        return answer

    async def keep(self, answer: "Answer", finish: str) -> tuple[StoredMessage, Sequence[dict[str, Any]]]:
        """What was said, as a message of the chat, with its warnings."""
        told = answers.notes(answer.wanted.responder, answer.version, finish, answer.sure, answer.felt, answer.refused)
        said: Any = {"speaker": ASSISTANT, "text": answer.text.strip(), "time": now(), "owner": answer.owner}
        if answer.refused:
            return await self._sessions.answer_anew(answer.chat, **said, reply=told, total=answer.total)
        message, stepped = await self._sessions.add(answer.chat, **said, reply=told, total=answer.total)
        return message, stepped.warnings

    def keep_in_the_end(self, answer: "Answer") -> None:
        """The same once whoever asked has hung up."""

        async def work() -> None:
            with suppress(Refusal):  # it is kept already, or the chat went on or away
                await self.keep(answer, "stopped")

        task = asyncio.create_task(work())
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)


@dataclass(kw_only=True, slots=True)
class Answer:
    """An answer that has begun. Once its pieces have come, the message it became is here."""

    chat: str
    total: int
    """How many messages the chat has, the answer that gives way among them."""
    owner: str
    wanted: Reply
    felt: str | None
    refused: list[str]
    by: Conversing
    text: str = ""
    sure: bool = True
    version: str = ""
    message: StoredMessage | None = None
    warnings: Sequence[dict[str, Any]] = ()
    error: str | None = None
    """Why it broke off."""
    _pieces: AsyncGenerator[Said, None] | None = None
    _first: Said | None = None

    async def begin(self, answerer: Answerer) -> None:
        """Asks for it. Refusal 503 where nothing comes, 409 where no answer comes but those that would not do."""
        self._pieces = _others(answerer, self.wanted, self.refused)
        self._first = await anext(self._pieces, None)
        if self._first is None:
            raise Refusal(409, "no-other-answer", "there is no other answer to this")
        if self._first.error is not None:
            await self._pieces.aclose()
            raise unavailable(self._first.error, retry_after=600 if self._first.missing else 10)

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The words, as they come; at the end they are a message of the chat. Whoever stops asking stops the responder,
        and what has come is kept."""
        assert self._pieces is not None
        said, kept = self._first, False
        try:
            async with aclosing(self._pieces):
                finish = "broken"
                while said is not None and said.error is None:
                    self.version, self.text = said.version or self.version, self.text + said.text
                    if said.text:
                        yield said.text
                    if said.finish is not None:
                        finish, self.sure = said.finish, said.sure
                        break
                    said = await anext(self._pieces, None)
            self.error = None if said is None else said.error
            if self.text.strip():
                self.message, self.warnings = await self.by.keep(self, finish)
            kept = True
        finally:
            if not kept and self.text.strip():
                self.by.keep_in_the_end(self)


async def _others(answerer: Answerer, wanted: Reply, refused: Sequence[str]) -> AsyncGenerator[Said, None]:
    """The pieces of a reply that is none of the refused ones: nothing is shown while it might still become one. Without
    any piece where only those come."""
    known = {same_text(text) for text in refused}
    for tries in range(_TRIES):
        # A responder that draws words draws others the longer this is.
        asked = Reply(
            turns=wanted.turns,
            responder=wanted.responder,
            to_feel=wanted.to_feel,
            instead_of=(*wanted.instead_of, *([refused[-1]] * tries if refused else ())),
            most=wanted.most,
        )
        held: list[Said] = []
        text, free = "", not known
        async with aclosing(answerer.pieces(asked)) as pieces:
            async for said in pieces:
                held.append(said)
                text += said.text
                ended = said.finish is not None
                so_far = same_text(text)
                free = free or said.error is not None
                free = free or (so_far not in known if ended else not any(k.startswith(so_far) for k in known))
                if free:
                    for one in held:
                        yield one
                    held.clear()
        if free:
            return


def _turn(message: StoredMessage) -> Turn:
    found = message.prediction or {}
    felt = message.correction or found.get("emotion")
    sure = None if message.correction else found.get("probability")
    if message.reply is not None:
        return Turn(speaker="assistant", text=message.text, emotion=felt)
    # Somebody may be called so, and is no assistant for it.
    speaker = "user" if message.speaker in _ROLES else message.speaker
    return Turn(speaker=speaker, text=message.text, emotion=felt, probability=sure, care=bool(found.get("care")))
