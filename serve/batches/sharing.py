"""One batch, labelled by several workers: what is to be labelled together is cut into parts, and a part is whoever's
has time. A part is a file in the folder of its batch, what was made of it another one, and a row of the database says
whose it is (`serve.batches.parts`)."""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import orjson

from dialog.annotation.output import write_whole
from dialog.conversation import Caveat
from dialog.emotion.port import Mode
from serve.batches import parts
from serve.batches.parts import NotMine, Stand, StoredPart
from serve.batches.table import StoredBatch
from serve.batches.tagger import Models, UnderWay
from serve.database.keeper import Database, Keeper, Lease
from serve.database.leases import MOST_LOST
from serve.database.patience import Ended, Held
from serve.database.tables import batch_parts
from serve.edge import logs, metrics
from serve.edge.reasons import is_full, reason
from serve.emotion.deployment import Job, Labels, Turns
from serve.leased.bell import Bell

C = TypeVar("C")

FOLDER = "parts"
"""The name of the folder with these files in that of a batch."""
_LOOK_SECONDS = 0.2
"""How often it is looked what other processes have done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Conversations that are labelled by one call."""

    conversations: tuple[Turns, ...]
    model: str
    mode: Mode
    version: str

    @property
    def name(self) -> str:
        """The same for the same conversations and the same model."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:32]

    def to_bytes(self) -> bytes:
        """As it lies in its file."""
        return orjson.dumps([self.model, self.mode, self.version, self.conversations])

    @classmethod
    def from_bytes(cls, data: bytes) -> "Part":
        """As it was put there."""
        model, mode, version, conversations = orjson.loads(data)
        turns = tuple(tuple((speaker, text) for speaker, text in c) for c in conversations)
        return cls(conversations=turns, model=model, mode=mode, version=version)


class Sharing:
    """The parts of one batch, for the worker that has it."""

    def __init__(
        self, batch: StoredBatch, holder: str, storage: Database, folder: Path, together: int, bell: Bell, run: UnderWay
    ) -> None:
        self._batch = batch
        self._holder = holder
        self._storage = storage
        self._folder = folder / FOLDER
        self._together = together
        self._bell = bell
        self._run = run

    def label(self, conversations: Sequence[Turns], version: str, mode: Mode) -> list[Labels]:
        """The labels of each. Those that cannot be labelled together are tried alone."""
        try:
            return self._label(conversations, version, mode)
        except Exception as error:  # of the disk or the database, and no fault of a conversation
            logs.get().error("batch failed", model=self._batch.model, **logs.about(error))
            self._run.fault = reason(error)
            raise Ended from None

    def _label(self, conversations: Sequence[Turns], version: str, mode: Mode) -> list[Labels]:
        n = max(1, round(sum(map(len, conversations)) / self._together))
        make = partial(Part, model=self._batch.model, mode=mode, version=version)
        cut = [make(conversations=tuple(some)) for some in stretches(conversations, n, lambda turns: turns)]
        found = self._together_with_others(cut)
        alone = [
            make(conversations=(turns,))
            for part in cut
            if isinstance(found[part.name], str) and len(part.conversations) > 1
            for turns in part.conversations
        ]
        if alone:
            found |= self._together_with_others(alone)
        labels: list[Labels] = []
        for part in cut:
            for i, turns in enumerate(part.conversations):
                several = found[part.name]
                if isinstance(several, str):
                    several = found[make(conversations=(turns,)).name]
                    labels.append(Labels(error=several) if isinstance(several, str) else several[0])
                else:
                    labels.append(several[i])
        return labels

    def _together_with_others(self, cut: Sequence[Part]) -> dict[str, list[Labels] | str]:
        """What was made of each part, by its name: labels, or why there are none."""
        wanted = {part.name: part for part in cut}
        self._folder.mkdir(exist_ok=True, mode=0o700)
        for name, part in wanted.items():
            if not _asked(self._folder, name).exists():
                _write(_asked(self._folder, name), part.to_bytes())
        stands = self._ask(partial(parts.put, batch=self._batch, holder=self._holder, names=wanted))
        self._forget_all_but(wanted)
        self._bell.ring()
        found: dict[str, list[Labels] | str] = {}
        while True:
            rung = self._bell.rung
            for name in wanted.keys() - found.keys():
                result = self._result(name, stands.get(name))
                if result is not None:
                    found[name] = result
            if len(found) == len(wanted):
                return found
            self._bell.wait(rung, _LOOK_SECONDS)
            self._run.check()
            stands = self._storage.do_now(lambda db: parts.stands(db, self._batch), writes=False)

    def _result(self, name: str, stand: Stand | None) -> list[Labels] | str | None:
        """What was made of a part; None where it is not done yet."""
        if stand is None or stand.state == "open":
            return None
        if stand.state == "broken":
            self._run.fault = stand.error
            raise Ended
        if stand.state == "failed":
            return str(stand.error)
        try:
            return _labels(_made(self._folder, name).read_bytes())
        except (OSError, ValueError):  # the machine that made it went down before its disk had it
            self._ask(partial(parts.open_again, batch=self._batch, holder=self._holder, name=name))
            return None

    def _ask(self, work: Any) -> Any:
        try:
            return self._storage.do_now(work)
        except NotMine:
            raise Ended from None

    def _forget_all_but(self, wanted: Mapping[str, Part]) -> None:
        for path in self._folder.iterdir():
            if path.stem not in wanted and not path.name.startswith("."):
                path.unlink(missing_ok=True)


class Helper:
    """Labels parts, one after the other, of whatever batches there are."""

    def __init__(
        self, storage: Database, keeper: Keeper, models: Models, folder: Path, bell: Bell, stopping: threading.Event
    ) -> None:
        self._storage = storage
        self._keeper = keeper
        self._models = models
        self._folder = folder
        self._bell = bell
        self._stopping = stopping

    def label_one(self) -> bool:
        """Labels the part whose turn it is. False where there is none."""
        # Looking costs nothing; leasing one would write to the disk each time.
        if not self._storage.do_now(parts.free, writes=False):
            return False
        holder, seconds = self._keeper.holder, self._keeper.seconds
        part = self._storage.do_now(lambda db: parts.lease(db, holder, seconds))
        if part is None:
            return False
        with self._keeper.hold(batch_parts, part.number) as lease:
            state, error = self._label(part, lease)
            self._storage.do_now(lambda db: parts.finish(db, part, holder, state, error))
        self._bell.ring()
        return True

    def _label(self, part: StoredPart, lease: Lease) -> tuple[parts.State, str | None]:
        """What becomes of it, and why."""
        if part.lost > MOST_LOST:
            return "failed", "whoever labelled this ended in the middle of it, again and again"
        folder = self._folder / part.batch / FOLDER
        run = _PartRun(lease, self._stopping)
        try:
            asked = Part.from_bytes(_asked(folder, part.name).read_bytes())
            job = Job(conversations=asked.conversations, model=asked.model, mode=asked.mode, causes=True)
            answer = self._models.ask(run, lambda: self._models.labeller.label_log(job))
            _write(_made(folder, part.name), _dumped(answer.conversations))
            metrics.MESSAGES.labels(asked.model, "batches").inc(job.n_utterances)
        except Ended:
            return ("open", None) if run.fault is None else ("broken", run.fault)
        except Exception as error:
            logs.get().error("part failed", **logs.about(error))
            return ("broken" if is_full(error) else "failed"), reason(error)
        return "done", None


class _PartRun(Held):
    """A part under way."""

    def __init__(self, lease: Lease, stopping: threading.Event) -> None:
        super().__init__(lease, stopping)
        self.fault: str | None = None


def stretches(things: Sequence[C], n: int, utterances: Callable[[C], Sized]) -> list[list[C]]:
    """At most n stretches of conversations, in order, alike in utterances; none is empty."""
    sizes = [len(utterances(thing)) + 1 for thing in things]
    total, before = sum(sizes), 0
    found: list[list[C]] = []
    for thing, size in zip(things, sizes, strict=True):
        if not found or before * n >= total * len(found):
            found.append([])
        found[-1].append(thing)
        before += size
    return found


def _asked(folder: Path, name: str) -> Path:
    return folder / f"{name}.in"


def _made(folder: Path, name: str) -> Path:
    return folder / f"{name}.out"


def _write(path: Path, data: bytes) -> None:
    def write(file: BinaryIO) -> None:
        file.write(data)

    write_whole(path, write)


def _dumped(several: Sequence[Labels]) -> bytes:
    return orjson.dumps(
        [
            {
                "predictions": [orjson.Fragment(p) for p in labels.predictions],
                "warnings": [{"code": w.code, "text": w.text, "utterances": w.utterances} for w in labels.warnings],
                "error": labels.error,
            }
            for labels in several
        ]
    )


def _labels(data: bytes) -> list[Labels]:
    return [
        Labels(
            predictions=tuple(orjson.dumps(p) for p in one["predictions"]),
            warnings=tuple(Caveat.of(w) for w in one["warnings"]),
            error=one["error"],
        )
        for one in orjson.loads(data)
    ]
