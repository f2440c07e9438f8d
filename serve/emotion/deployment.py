"""Emotions as a service: the taggers of one process, and the thin Ray Serve deployment around them."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import orjson
from ray import serve as ray_serve

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.emotion.port import EmotionEngine, EngineClass, LongTagger, Mode, Tagger, label_each
from serve.config import AppConfig, imported
from serve.edge import logs, metrics
from serve.edge.settled import settle
from serve.edge.threads import use_threads
from serve.emotion.floor import Floor
from serve.emotion.long import Heard, LongJob, Stopped, check_turn, followed
from serve.emotion.steps import Step, Stepped, Stepper

Turns = tuple[tuple[str, str], ...]
"""What a model reads of a conversation: (speaker, text) in order. Nothing else of a request makes the journey."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One request: what is to be labelled, and how."""

    conversations: tuple[Turns, ...]
    model: str
    mode: Mode
    causes: bool
    owner: str = ""
    """Who asks: owners have the model in turn."""
    longest: int = field(init=False)
    """Utterances in the longest of them; a batch is padded to it."""
    n_utterances: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest", max(map(len, self.conversations), default=0))
        object.__setattr__(self, "n_utterances", sum(map(len, self.conversations)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """Those of one conversation: a prediction's JSON object for each utterance; or why there are none."""

    predictions: tuple[bytes, ...] = ()
    warnings: tuple[Caveat, ...] = ()
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobAnswer:
    """The labels of a job's conversations, in order. `error` where there is no answer at all."""

    conversations: tuple[Labels, ...] = ()
    model_version: str = ""
    error: str | None = None
    queue_seconds: float = 0.0
    """How long the job waited for the call it was labelled in."""
    model_seconds: float = 0.0
    """How long that call took the model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a loaded model says of itself. `error` where it cannot be loaded."""

    labels: tuple[str, ...] = ()
    version: str = ""
    error: str | None = None


class Taggers:
    """The taggers of this process, each loaded when it is first asked for and then kept."""

    def __init__(
        self,
        tagger: str,
        folders: Mapping[str, str] = MappingProxyType({}),
        *,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        """tagger is `module:name` of an EngineClass, which is imported with the first model; folders are those of
        models by name; threads are set for the whole process then, where they are given."""
        self._device = device
        self._tagger = tagger
        self._threads = threads
        self._folders = dict(folders)
        self._loaded: dict[str, EmotionEngine] = {}
        self._loading = threading.Lock()
        self._stepper = Stepper()

    def get(self, model: str) -> EmotionEngine:
        """The tagger of that name."""
        if model in self._loaded:  # while another one is loaded, this one need not wait
            return self._loaded[model]
        with self._loading:
            if not self._loaded and self._threads is not None:
                use_threads(self._threads)
            if model not in self._loaded:
                engine: EngineClass = imported(self._tagger)
                self._loaded[model] = engine.load(self._folders.get(model, model), device=self._device)
            return self._loaded[model]

    def cached(self) -> dict[str, tuple[int, int]]:
        """Of what is kept in memory here: how often something was found, and how often not."""
        # A tagger that keeps nothing of what it reads has no such encoder.
        readers = {id(e): e for t in self._loaded.values() if (e := getattr(t, "encoder", None)) is not None}
        texts = [(getattr(e, "hits", 0), getattr(e, "misses", 0)) for e in readers.values()]
        return {
            "texts": (sum(hits for hits, _ in texts), sum(misses for _, misses in texts)),
            "chats": (self._stepper.hits, self._stepper.misses),
        }

    def is_loaded(self, model: str) -> bool:
        """Whether it need not be loaded first."""
        return model in self._loaded

    def about(self, model: str) -> About:
        """Labels and version of a model; loads it if need be."""
        try:
            tagger = self.get(model)
        except Exception as error:  # its weights are missing or broken: the other models are not
            logs.get().error("model failed to load", model=model, **logs.about(error))
            return About(error=f"the model {model} cannot be loaded")
        return About(labels=tagger.labels, version=tagger.version)

    def label(self, jobs: Sequence[Job], between: Callable[[int], None] | None = None) -> list[JobAnswer]:
        """One answer a job, in order. Jobs alike in model, mode and causes run together; what fails, fails alone.

        `between` is called between two pieces of the work, and may end all of it by a BaseException.
        """
        began = time.perf_counter()
        answers: dict[int, JobAnswer] = {}
        groups: dict[tuple[str, Mode, bool], list[int]] = {}
        for i, job in enumerate(jobs):
            groups.setdefault((job.model, job.mode, job.causes), []).append(i)
        for (model, mode, causes), members in groups.items():
            about = self.about(model)
            if about.error is not None:
                answers |= {i: JobAnswer(error=about.error) for i in members}
                continue
            tagger = self.get(model)
            if not causes:
                tagger = tagger.without_causes()
            read = [_conversation(turns) for i in members for turns in jobs[i].conversations]
            tagged = iter(_tag(_Watched(tagger, between), read, mode))
            for i in members:
                mine = tuple(_labels(next(tagged)) for _ in jobs[i].conversations)
                answers[i] = JobAnswer(conversations=mine, model_version=tagger.version)
        seconds = time.perf_counter() - began
        return [replace(answers[i], model_seconds=seconds) for i in range(len(jobs))]

    def label_long(self, job: LongJob, heard: Callable[[int], None]) -> JobAnswer:
        """The answer to a job of one long conversation. `heard` is told how many utterances are read, by a model that
        says so; what it keeps on the way it finds again. Raises Stopped, and what `heard` raises."""
        about = self.about(job.model)
        if about.error is not None:
            return JobAnswer(error=about.error)
        tagger = self.get(job.model)
        if not isinstance(tagger, LongTagger):
            return self.label([Job(conversations=(job.turns,), model=job.model, mode=job.mode, causes=job.causes)])[0]
        engine: Any = tagger if job.causes else tagger.without_causes()

        keep = job.kept

        def told(n: int) -> None:
            if keep is not None:
                check_turn(keep, job.turn)
            heard(n)

        began = time.perf_counter()
        conversation = _conversation(job.turns)
        try:
            told(0)
            conversation = engine.tag_long(conversation, mode=job.mode, progress=told, keep=keep)
        except Stopped:
            raise
        except Exception as error:
            logs.get().error("batch failed", mode=job.mode, conversations=1, **logs.about(error))
            conversation = conversation.with_error(_reason(error))
        seconds = time.perf_counter() - began
        return JobAnswer(conversations=(_labels(conversation),), model_version=engine.version, model_seconds=seconds)

    def step(self, steps: Sequence[Step]) -> list[Stepped]:
        """What becomes of each message of a chat, in order; those of one model run together, what fails, fails
        alone."""
        answers: dict[int, Stepped] = {}
        groups: dict[str, list[int]] = {}
        for i, step in enumerate(steps):
            groups.setdefault(step.model, []).append(i)
        for model, members in groups.items():
            about = self.about(model)
            if about.error is not None:
                lost = {i: Stepped(prediction=None, head=steps[i].head, model_version="") for i in members}
                answers |= {i: replace(one, error=about.error) for i, one in lost.items()}
                continue
            taken = self._stepper.take(self.get(model), [steps[i] for i in members], _reason)
            answers |= dict(zip(members, taken, strict=True))
        return [answers[i] for i in range(len(steps))]


def _conversation(turns: Turns) -> Conversation:
    return Conversation(id="", utterances=tuple(Utterance(speaker=speaker, text=text) for speaker, text in turns))


class _Watched:
    """An engine that tells how far it is in its work."""

    def __init__(self, engine: EmotionEngine, told: Callable[[int], None] | None) -> None:
        self.version = engine.version
        self._engine = engine
        self._told = told

    def tag(self, conversations: Sequence[Conversation], *, mode: Mode = "offline") -> list[Conversation]:
        return self._engine.tag(conversations, mode=mode, progress=self._told)


def _tag(tagger: Tagger, conversations: list[Conversation], mode: Mode) -> list[Conversation]:
    """The conversations labelled, or with an error."""

    def failed(error: Exception, n: int) -> None:
        logs.get().error("batch failed", mode=mode, conversations=n, **logs.about(error))

    return label_each(tagger, conversations, mode=mode, reason=_reason, failed=failed)


def _labels(conversation: Conversation) -> Labels:
    warnings = tuple(Caveat.of(w) for w in conversation.warnings)
    if conversation.error is not None:
        return Labels(warnings=warnings, error=conversation.error)
    found = [u.prediction for u in conversation.utterances]
    return Labels(predictions=tuple(orjson.dumps(None if p is None else p.to_dict()) for p in found), warnings=warnings)


def _reason(error: Exception) -> str:
    """What its sender may know: our own ValueErrors say what came and what was expected, others are our fault."""
    return str(error) if isinstance(error, ValueError) else "this could not be labelled: a fault of the service"


_THREADS = 64
"""Calls that are begun at once; all but one of them wait for their turn."""
CALLS = 2
"""Batches of one caller for each replica: one that is labelled, and one that is there when that is done."""


def padded_work(jobs: list[Job]) -> int:
    """Utterances in a batch of these jobs once every conversation is as long as the longest."""
    return sum(len(job.conversations) for job in jobs) * max((job.longest for job in jobs), default=0)


class Models:
    """The taggers of this process behind the calls of a deployment: each runs in a thread. A `Gatherer` on the other
    side makes batches of what is asked."""

    def __init__(self, taggers: Taggers) -> None:
        self._taggers = taggers
        # One batch at a time fills every core already; a message of a chat need not wait for the whole of it.
        self._floor = Floor()
        self._batches = ThreadPoolExecutor(_THREADS, "batches")
        self._steps = ThreadPoolExecutor(1, "steps")
        self._logs = ThreadPoolExecutor(1, "logs")
        self._long = ThreadPoolExecutor(1, "long")

    async def label(self, jobs: list[Job]) -> list[JobAnswer]:
        """An answer a job. Whoever calls has put together what came together. Cancelled, it ends at the next piece."""
        owners = {job.owner for job in jobs}
        turn = self._floor.turn(owners.pop() if len(owners) == 1 else "")

        def work() -> list[JobAnswer]:
            with turn:
                return self._taggers.label(jobs, turn.pass_on)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._batches, work)
        except asyncio.CancelledError:
            turn.drop()
            raise

    async def label_log(self, job: Job) -> JobAnswer:
        """A part of a log. Nobody waits for it: it runs beside the batches of requests and holds none of them up."""
        answers = await asyncio.get_running_loop().run_in_executor(self._logs, self._taggers.label, [job])
        return answers[0]

    async def label_long(self, job: LongJob) -> AsyncIterator[int | JobAnswer]:
        """How many utterances of one long conversation are read, now and then; and its answer at last."""

        def work(heard: Heard) -> JobAnswer:
            return self._taggers.label_long(job, heard)

        async for said in followed(self._long, work):
            yield said

    async def step(self, steps: list[Step]) -> list[Stepped]:
        """What becomes of each message of a live chat."""
        return await asyncio.get_running_loop().run_in_executor(self._steps, self._taggers.step, steps)

    async def about(self, model: str) -> About:
        """Labels and version of a model; loads it if need be. What is loaded answers at once, however much waits."""
        if self._taggers.is_loaded(model):
            return self._taggers.about(model)
        return await asyncio.get_running_loop().run_in_executor(self._steps, self._taggers.about, model)


class Emotion(Models):
    """The deployment: the models of the configuration, the default one loaded."""

    def __init__(self, config: AppConfig) -> None:
        logs.configure(f"emotion-{os.getpid()}", config.data_folder() / "logs", config.log_level)
        metrics.Written.begin(config.data_folder() / metrics.FOLDER)
        super().__init__(loaded(config))
        settle()


def taggers_of(config: AppConfig) -> Taggers:
    """The taggers the configuration wants; nothing is loaded yet. What they find in memory is counted."""
    threads = config.emotion.threads or os.cpu_count() or 1
    folders = {config.model_name: config.model}
    taggers = Taggers(config.tagger, folders, device=config.emotion.device, threads=threads)
    metrics.REGISTRY.register(metrics.Caches(taggers.cached))
    return taggers


def loaded(config: AppConfig) -> Taggers:
    """The same with the default model loaded. Raises what that raises."""
    taggers = taggers_of(config)
    version = taggers.get(config.model_name).version
    logs.get().info("emotion ready", model=config.model_name, model_version=version)
    return taggers


def emotion_deployment(config: AppConfig) -> Any:
    """The deployment as the configuration wants it, to be bound with the configuration."""
    wanted = config.emotion
    scaling: dict[str, Any] = {"num_replicas": wanted.replicas}
    if wanted.max_replicas is not None:
        scaling = {
            "autoscaling_config": {
                "min_replicas": wanted.replicas,
                "max_replicas": max(wanted.replicas, wanted.max_replicas),
                # A caller has at most CALLS a replica under way.
                "target_ongoing_requests": CALLS / 2,
            }
        }
    return ray_serve.deployment(
        Emotion,
        name="Emotion",
        max_ongoing_requests=wanted.ongoing,
        max_queued_requests=wanted.queued,
        ray_actor_options={"num_cpus": wanted.cpus, "num_gpus": wanted.gpus},
        graceful_shutdown_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=3,
        health_check_period_s=5,
        **scaling,
    )
