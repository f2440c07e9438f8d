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
from serve.edge import logs
from serve.edge.threads import use_threads
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
        self, tagger: str, folders: Mapping[str, str] = MappingProxyType({}), *, device: str | None = None
    ) -> None:
        """tagger is `module:name` of an EngineClass; folders are those of models by name."""
        self._device = device
        self._class: EngineClass = imported(tagger)
        self._folders = dict(folders)
        self._loaded: dict[str, EmotionEngine] = {}
        self._loading = threading.Lock()
        self._stepper = Stepper()

    def get(self, model: str) -> EmotionEngine:
        """The tagger of that name."""
        if model in self._loaded:  # while another one is loaded, this one need not wait
            return self._loaded[model]
        with self._loading:
            if model not in self._loaded:
                self._loaded[model] = self._class.load(self._folders.get(model, model), device=self._device)
            return self._loaded[model]

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

    def label(self, jobs: Sequence[Job]) -> list[JobAnswer]:
        """One answer a job, in order. Jobs alike in model, mode and causes run together; what fails, fails alone."""
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
            tagged = iter(_tag(tagger, read, mode))
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


CALLS = 2
"""Batches of one caller for each replica: one that is labelled, and one that is there when that is done."""


def padded_work(jobs: list[Job]) -> int:
    """Utterances in a batch of these jobs once every conversation is as long as the longest."""
    return sum(len(job.conversations) for job in jobs) * max((job.longest for job in jobs), default=0)


class Emotion:
    """The deployment: runs jobs in a thread, and nothing else. A `Gatherer` on the other side makes batches of them."""

    def __init__(self, config: AppConfig) -> None:
        logs.configure(f"emotion-{os.getpid()}", config.data_folder() / "logs", config.log_level)
        use_threads(config.emotion.threads)
        self._taggers = Taggers(config.tagger, {config.model_name: config.model}, device=config.emotion.device)
        self._taggers.get(config.model_name)
        # One batch at a time fills every core already; a message of a chat need not wait for the whole of it.
        self._batches = ThreadPoolExecutor(1, "batches")
        self._steps = ThreadPoolExecutor(1, "steps")
        self._logs = ThreadPoolExecutor(1, "logs")
        self._long = ThreadPoolExecutor(1, "long")
        version = self._taggers.about(config.model_name).version
        logs.get().info("emotion ready", model=config.model_name, model_version=version)

    async def label(self, jobs: list[Job]) -> list[JobAnswer]:
        """An answer a job. Whoever calls has put together what came together."""
        return await asyncio.get_running_loop().run_in_executor(self._batches, self._taggers.label, jobs)

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
