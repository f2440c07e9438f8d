"""Questions about pictures as a service: the engine of one process, and the thin Ray Serve deployment around it."""

import asyncio
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialog.pictures.answers import VisualEngine
from dialog.reading.pictures import PictureLimits, PictureRefused, PictureTooLarge, UnknownPictureFormat, open_picture
from serve.config import AppConfig
from serve.edge import logs
from serve.edge.replicas import replicated
from serve.edge.threads import use_threads

LONGEST_SIDE = 1024
"""Of a picture as it is kept, in pixels."""
_QUESTIONS_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Begin:
    """A dialogue to begin: a picture as a file, what is known of it, and what was said already."""

    picture: bytes
    caption: str = ""
    rounds: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Why bytes are not taken as a picture, as an HTTP status and a kind of problem."""

    status: int
    kind: str
    detail: str
    limit: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """The dialogue before its next question. `refused` where the picture is at fault, `missing` where the engine is."""

    state: bytes = b""
    model_version: str = ""
    picture: bytes = b""
    """The picture as a JPEG, upright, small, without metadata."""
    look: dict[str, Any] = field(default_factory=dict)
    """width, height, boxes, strangeness."""
    refused: Refused | None = None
    missing: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A question. `version` is that of the model the state comes from."""

    state: bytes
    version: str
    question: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The answer as its JSON object, and the state after it.

    `stale`: nothing was done, since the state comes from another version of the model. `missing`: there is no engine.
    `silent`: the engine is a service elsewhere, and did not answer.
    """

    answer: dict[str, Any] = field(default_factory=dict)
    state: bytes = b""
    model_version: str = ""
    stale: bool = False
    silent: bool = False
    missing: str | None = None


class Pictures:
    """The engine of this process, loaded when the first picture comes: who shows none, pays for none."""

    def __init__(self, config: AppConfig) -> None:
        self._config = config.visual
        self._limits = PictureLimits(bytes=config.limits.picture_bytes, pixels=config.limits.picture_pixels)
        self._engine: VisualEngine | None = None
        self._loading = threading.Lock()

    def engine(self) -> VisualEngine:
        """The engine; ValueError or whatever else its libraries raise where it cannot be loaded."""
        with self._loading:
            if self._engine is None:
                from dialog.pictures.engines import open_engine

                use_threads(self._config.threads)
                key = self._config.key
                secret = None if key is None else key.get_secret_value()
                self._engine = open_engine(
                    self._config.engine, url=self._config.url, key=secret, device=self._config.device
                )
                logs.get().info("visual ready", model=self._shown(), model_version=self._version(self._engine))
            return self._engine

    def begin(self, asked: Begin) -> Begun:
        """Looks at the picture, once for all questions."""
        try:
            picture = open_picture(asked.picture, limits=self._limits, longest=LONGEST_SIDE)
        except PictureRefused as error:
            return Begun(refused=_refused(error))
        try:
            engine = self.engine()
        except Exception as error:  # weights that are missing or broken, a library that is not there
            return Begun(missing=self._missing(error))
        look = engine.look(picture)
        state = engine.start(look, asked.rounds, caption=asked.caption)
        told = {
            "width": picture.width,
            "height": picture.height,
            "boxes": [list(box) for box in look.boxes],
            "strangeness": look.strangeness,
        }
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        return Begun(state=state.to_bytes(), model_version=self._version(engine), picture=file.getvalue(), look=told)

    def ask(self, asked: Ask) -> Asked:
        """One round: one fusion and one step, however many there were."""
        from dialog.pictures.engines import EngineUnavailable

        try:
            engine = self.engine()
        except Exception as error:
            return Asked(missing=self._missing(error))
        version = self._version(engine)
        if asked.version != version:
            return Asked(model_version=version, stale=True)
        try:
            before = engine.restore(asked.state)
        except ValueError:  # written by an earlier release of the service: it is made anew from the picture
            return Asked(model_version=version, stale=True)
        try:
            answer, state = engine.ask(before, asked.question)
        except EngineUnavailable as error:
            logs.get().error("engine silent", model=self._shown(), **logs.about(error))
            return Asked(model_version=version, silent=True)
        return Asked(answer=answer.to_dict(), state=state.to_bytes(), model_version=version)

    def _version(self, engine: VisualEngine) -> str:
        """The engine's version; an engine elsewhere may have a folder of this machine in it, which is left out."""
        return engine.version.replace(self._config.engine, self._shown())

    def _shown(self) -> str:
        """The engine's name for others: the path of a folder is nobody's business."""
        kind, colon, rest = self._config.engine.rpartition(":")
        return kind + colon + (Path(rest).name if Path(rest).is_dir() or rest.startswith(("/", ".", "~")) else rest)

    def _missing(self, error: Exception) -> str:
        logs.get().error("engine failed to load", model=self._shown(), **logs.about(error))
        why = f": {error}" if isinstance(error, ValueError) and self._shown() == self._config.engine else ""
        return f"the model {self._shown()}, which answers about pictures, cannot be loaded{why}"


def _refused(error: PictureRefused) -> Refused:
    if isinstance(error, PictureTooLarge):
        return Refused(status=413, kind="too-large", detail=str(error), limit=error.limit)
    if isinstance(error, UnknownPictureFormat):
        return Refused(status=415, kind="unsupported-media-type", detail=str(error))
    return Refused(status=422, kind="invalid", detail=str(error))


class Visual:
    """The deployment: runs the engine in threads, and nothing else."""

    def __init__(self, config: AppConfig) -> None:
        logs.configure(f"visual-{os.getpid()}", config.data_folder() / "logs", config.log_level)
        self._pictures = Pictures(config)
        # A large picture takes much memory while it is decoded: one at a time.
        self._looks = ThreadPoolExecutor(1, "looks")
        self._questions = ThreadPoolExecutor(_QUESTIONS_AT_ONCE, "questions")

    async def begin(self, asked: Begin) -> Begun:
        """Looks at the picture."""
        return await asyncio.get_running_loop().run_in_executor(self._looks, self._pictures.begin, asked)

    async def ask(self, asked: Ask) -> Asked:
        """One round."""
        return await asyncio.get_running_loop().run_in_executor(self._questions, self._pictures.ask, asked)


def visual_deployment(config: AppConfig) -> Any:
    """The deployment as the configuration wants it, to be bound with the configuration."""
    return replicated(Visual, "Visual", config.visual, gpus=config.visual.gpus)
