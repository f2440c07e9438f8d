"""Replies as a service: the responders of one process, and the thin Ray Serve deployment around them."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from dialog.conversation import Conversation, Prediction, Utterance
from dialog.labels import SENTIMENT
from dialog.replies.port import Finish, Piece, Responder, ResponderUnavailable
from serve.config import AppConfig, imported
from serve.edge import logs
from serve.edge.replicas import replicated
from serve.edge.threads import use_threads


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """A message: who said it, and what it feels as far as that is known."""

    speaker: str
    text: str
    emotion: str | None = None
    probability: float | None = None
    """Of the emotion, where a model says so."""
    care: bool = False
    """Whether it may speak of self-harm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A reply to be given."""

    turns: tuple[Turn, ...]
    responder: str
    to_feel: str | None = None
    instead_of: tuple[str, ...] = ()
    most: int = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A piece of a reply. `error` where there is no more of it; `missing` where the responder cannot be loaded."""

    text: str = ""
    finish: Finish | None = None
    emotion: str | None = None
    sure: bool = True
    version: str = ""
    error: str | None = None
    missing: bool = False


class Responders:
    """The responders of this process, each loaded when it is first asked: who wants no replies, pays for none."""

    def __init__(self, config: AppConfig) -> None:
        self._config = config.replies
        self._loaded: dict[str, Responder] = {}
        self._loading = threading.Lock()

    def get(self, name: str) -> Responder:
        """The responder that the configuration has by that name; ValueError, or whatever else its libraries raise."""
        with self._loading:
            if name not in self._loaded:
                wanted = self._config
                use_threads(wanted.threads)
                opened = imported(wanted.opener)
                self._loaded[name] = opened(wanted.responders[name], network=wanted.network, device=wanted.device)
                logs.get().info("responder ready", responder=name)
            return self._loaded[name]

    def pieces(self, asked: Reply) -> Iterator[Said]:
        """The reply, piece by piece. To close the iterator stops it."""
        try:
            responder = self.get(asked.responder)
        except Exception as error:  # weights that are missing or broken, a library that is not there
            logs.get().error("responder failed to load", responder=asked.responder, **logs.about(error))
            yield Said(error=f"the responder {asked.responder} cannot be loaded", missing=True)
            return
        utterances = tuple(map(_utterance, asked.turns))
        said = responder.reply(
            Conversation(id="", utterances=utterances),
            to_feel=asked.to_feel,
            instead_of=asked.instead_of,
            most=asked.most,
        )
        try:
            for piece in said:
                yield _said(piece, f"{asked.responder}@{responder.version.rpartition('@')[2]}")
        except ResponderUnavailable as error:
            logs.get().error("responder silent", responder=asked.responder, **logs.about(error))
            yield Said(error=f"the responder {asked.responder} does not answer")
        finally:
            close = getattr(said, "close", None)
            if close is not None:
                close()


def _utterance(turn: Turn) -> Utterance:
    found = None
    if turn.emotion is not None and turn.probability is not None:
        sentiment = SENTIMENT.get(turn.emotion, "neutral")
        found = Prediction(
            emotion=turn.emotion,
            probability=turn.probability,
            probabilities={},
            sentiment=sentiment,
            care=turn.care,
        )
    return Utterance(speaker=turn.speaker, text=turn.text, emotion=turn.emotion, prediction=found)


def _said(piece: Piece, version: str) -> Said:
    return Said(text=piece.text, finish=piece.finish, emotion=piece.emotion, sure=piece.sure, version=version)


async def in_thread(pieces: Iterator[Said]) -> AsyncGenerator[Said, None]:
    """The pieces, each made in a thread of their own. Whoever closes this stops them."""
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(1, "reply")
    try:
        while (piece := await loop.run_in_executor(pool, next, pieces, None)) is not None:
            yield piece
    finally:
        # There too: a piece may be under way, and an iterator runs in one thread at a time.
        pool.submit(getattr(pieces, "close", lambda: None))
        pool.shutdown(wait=False)


class Replies:
    """The deployment: runs the responders in threads, and nothing else."""

    def __init__(self, config: AppConfig) -> None:
        logs.configure(f"replies-{os.getpid()}", config.data_folder() / "logs", config.log_level)
        self._responders = Responders(config)

    async def reply(self, asked: Reply) -> AsyncGenerator[Said, None]:
        """The reply, piece by piece."""
        async with aclosing(in_thread(self._responders.pieces(asked))) as pieces:
            async for said in pieces:
                yield said


def replies_deployment(config: AppConfig) -> Any:
    """The deployment as the configuration wants it, to be bound with the configuration."""
    return replicated(Replies, "Replies", config.replies, gpus=config.replies.gpus)
