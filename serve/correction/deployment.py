"""The deployment that mends texts, and the port it stands behind."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from models.catalogue import CORRECTION
from serve.config import AppConfig
from serve.edge import logs
from serve.edge.calls import answer_of
from serve.edge.replicas import replicated

if TYPE_CHECKING:
    from dialog.correction.corrector import TextCorrector

_QUEUE = "correction.queued"


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """Texts to mend."""

    texts: tuple[str, ...]
    keep: frozenset[str] = frozenset()
    completions: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Mended:
    """A correction a text, as JSON objects. `missing`: there is no model, and why."""

    corrections: tuple[dict[str, Any], ...] = ()
    model_version: str = ""
    missing: str | None = None


class Mender(Protocol):
    """What the route needs. The call may raise a Refusal: 429 when full, 503 when nobody answers."""

    async def mend(self, asked: Texts) -> Mended:
        """Every text mended."""


class Corrections:
    """The model of this process, loaded when the first text comes."""

    def __init__(self, model: str = CORRECTION) -> None:
        self._model = model
        self._loaded: TextCorrector | None = None
        self._loading = threading.Lock()

    def mend(self, asked: Texts) -> Mended:
        """Every text mended; what cannot be read is left as it is."""
        try:
            corrector = self._corrector()
        except Exception as error:  # weights that are missing or broken
            logs.get().error("corrector failed to load", **logs.about(error))
            return Mended(missing="the model that mends texts cannot be loaded")
        found = []
        for text in asked.texts:
            done = corrector.correct(text, asked.keep)
            completions = corrector.complete(text, asked.completions) if asked.completions else []
            found.append(
                {
                    "text": text,
                    "corrected": done.corrected,
                    "edits": [edit._asdict() for edit in done.edits],
                    "completions": [c._asdict() for c in completions],
                }
            )
        return Mended(corrections=tuple(found), model_version=corrector.version)

    def _corrector(self) -> "TextCorrector":
        with self._loading:
            if self._loaded is None:
                from dialog.correction.corrector import TextCorrector

                self._loaded = TextCorrector.load(self._model)
            return self._loaded


class LocalMender:
    """A model in this process, in a thread of its own: one request after the other."""

    def __init__(self, corrections: Corrections | None = None) -> None:
        self._corrections = corrections or Corrections()
        self._thread = ThreadPoolExecutor(1, "mend")

    async def mend(self, asked: Texts) -> Mended:
        """Every text mended."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._corrections.mend, asked)


class RemoteMender:
    """The deployment behind a handle. Nothing there keeps state, so a call may be made twice."""

    def __init__(self, handle: Any, answer_seconds: float) -> None:
        self._handle = handle
        self._answer_seconds = answer_seconds

    async def mend(self, asked: Texts) -> Mended:
        """Every text mended."""
        return await answer_of(lambda: self._handle.mend.remote(asked), self._answer_seconds, queue=_QUEUE)


class Correction:
    """The deployment: runs the model in one thread, and nothing else."""

    def __init__(self, config: AppConfig) -> None:
        logs.configure(f"correction-{os.getpid()}", config.data_folder() / "logs", config.log_level)
        self._corrections = Corrections()
        self._thread = ThreadPoolExecutor(1, "mend")

    async def mend(self, asked: Texts) -> Mended:
        """Every text mended."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._corrections.mend, asked)


def correction_deployment(config: AppConfig) -> Any:
    """The deployment as the configuration wants it, to be bound with the configuration."""
    return replicated(Correction, "Correction", config.correction)
