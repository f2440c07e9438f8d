"""Whole logs on every core of a Ray cluster: taggers in actors, behind the call that one tagger has."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from dialog.conversation import Conversation
from dialog.emotion.port import EmotionEngine, EngineClass, LongTagger, Mode
from serve.batches.sharing import stretches
from serve.config import AppConfig, imported
from serve.emotion.long import Heard
from serve.ray.cluster import cluster

_TOLD_SECONDS = 0.5
"""How often a worker says how far it is inside a long conversation."""


class RayTagger:
    """Labels conversations in parts, one a worker. A worker that dies is started again, and its part with it."""

    def __init__(self, workers: Sequence[Any]) -> None:
        import ray

        self._workers = tuple(workers)
        self.version: str = ray.get(self._workers[0].version.remote())

    @property
    def n_workers(self) -> int:
        """How many parts are labelled at once."""
        return len(self._workers)

    def tag(self, conversations: Sequence[Conversation], *, mode: Mode = "offline") -> list[Conversation]:
        """The conversations labelled, in the same order. Raises what a worker raised."""
        import ray
        from ray.exceptions import RayTaskError

        shared = stretches(conversations, len(self._workers), lambda c: c.utterances)
        asked = [w.tag.remote(part, mode) for w, part in zip(self._workers, shared, strict=False)]
        try:
            return [labelled for part in ray.get(asked) for labelled in part]
        except RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else RuntimeError("a worker failed") from None

    def tag_long(
        self,
        conversation: Conversation,
        *,
        mode: Mode = "offline",
        progress: Callable[[int], None] | None = None,
        keep: Path | None = None,
    ) -> Conversation:
        """One long conversation, labelled by one worker, which says how far it is and goes on where it was stopped.
        What it reads is kept on disk where the worker's machine has that folder too."""
        import ray
        from ray.exceptions import RayTaskError

        kept = None if keep is None else keep.absolute()
        streamed = self._workers[0].tag_long.options(num_returns="streaming")
        try:
            for one in streamed.remote(conversation, mode, kept):
                said = ray.get(one)
                if isinstance(said, Conversation):
                    return said
                if progress is not None:
                    progress(said)
        except RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else RuntimeError("a worker failed") from None
        raise RuntimeError("a worker ended without an answer")


class Worker:
    """One tagger on one core, and on no card, in a process of its own."""

    def __init__(self, tagger: str, model: str, causes: bool | None) -> None:
        """tagger is `module:name` of an EngineClass."""
        import torch

        torch.set_num_threads(1)
        engine: EngineClass = imported(tagger)
        self._tagger: EmotionEngine = engine.load(model, causes=causes, device="cpu")

    def version(self) -> str:
        """Of the model."""
        return self._tagger.version

    def tag(self, conversations: list[Conversation], mode: Mode) -> list[Conversation]:
        """A part, labelled."""
        return self._tagger.tag(conversations, mode=mode)

    def tag_long(self, conversation: Conversation, mode: Mode, keep: Path | None) -> Iterator[int | Conversation]:
        """How many utterances are read, now and then; and the conversation, labelled, at last."""
        if not isinstance(self._tagger, LongTagger):
            yield from self._tagger.tag([conversation], mode=mode)
            return
        place = keep if keep is not None and keep.parent.is_dir() else None
        heard, told = Heard(), 0
        with ThreadPoolExecutor(1, "long") as threads:
            running = threads.submit(self._tagger.tag_long, conversation, mode=mode, progress=heard, keep=place)
            try:
                while not wait([running], _TOLD_SECONDS).done:
                    if heard.n != told:
                        told = heard.n
                        yield told
                yield running.result()
            finally:
                heard.stop()


@contextlib.contextmanager
def ray_tagger(
    model: str, *, causes: bool | None = None, config: AppConfig | None = None, workers: int | None = None
) -> Iterator[RayTagger]:
    """A tagger with a worker on every core: of the cluster at RAY_ADDRESS, else of this machine. Ends with the block.

    The model is loaded by every worker, so a folder must be on a disk that all machines share.
    """
    import ray

    chosen = config or AppConfig.load(None)
    if chosen.ray.address is None and os.environ.get("RAY_ADDRESS"):
        chosen = chosen.model_copy(update={"ray": chosen.ray.model_copy(update={"address": os.environ["RAY_ADDRESS"]})})
    with cluster(chosen):
        resources: Any = ray.cluster_resources  # which has no types
        n = workers or max(1, int(resources().get("CPU", 1)))
        make: Any = ray.remote(num_cpus=1, max_restarts=3, max_task_retries=3)(Worker)
        started = [make.remote(chosen.tagger, model, causes) for _ in range(n)]
        try:
            yield RayTagger(started)
        except ray.exceptions.RayActorError as error:
            raise RuntimeError(f"the workers could not start or died: {_why(error)}") from None
        finally:
            for worker in started:  # what one reads for a run that was stopped nobody waits for
                ray.kill(worker)


def _why(error: Exception) -> str:
    """The last line of what Ray tells, which is the exception in the worker."""
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
