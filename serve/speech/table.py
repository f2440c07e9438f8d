"""Recordings in the database: functions of a connection, to be handed to `Storage.do`."""

import uuid
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, case, func, insert, select, update
from sqlalchemy import delete as deleting
from sqlalchemy.sql.elements import ColumnElement

from dialog.conversation import Caveat
from dialog.speech.names import Channels
from serve.database import leases
from serve.database.engine import alone
from serve.database.tables import recording_parts as parts
from serve.database.tables import recordings
from serve.edge.paging import Paged, page_of
from serve.leased import rows
from serve.leased.rows import State
from serve.storage import now


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRecording:
    """A recording that is to be listened to, is being, or has been. Its files lie in a folder called after its id."""

    id: str
    created: str
    touched: str
    """When it was sent, done or last changed."""
    filename: str
    bytes: int
    n_speakers: int | None
    """How many people were said to speak in it."""
    channels: Channels
    recogniser: str
    language: str | None
    model: str
    model_version: str | None = None
    state: State = "queued"
    started: str | None = None
    finished: str | None = None
    fraction: float = 0.0
    seconds: float | None = None
    """How long it is; None before it was listened to."""
    names: tuple[str, ...] = ()
    """Of its speakers, who are counted from 0."""
    warnings: tuple[Caveat, ...] = ()
    label_warnings: tuple[Caveat, ...] = ()
    error: str | None = None
    revision: int = 0
    """How often it was changed."""
    owner: str = ""
    """The name of the key that sent it, which alone may see it."""
    number: int = 0
    """Of its row."""
    holder: str | None = None
    """The worker that has it, which alone may write while it does."""
    lost: int = 0
    """How often whoever had it did not come back, since it last went on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPart:
    """A stretch of one speaker, in seconds; `prediction` is its JSON object, None where there are no words, and `voice`
    that of how the voice sounds, None where that was not heard."""

    n: int
    starts: float
    ends: float
    channel: int
    speaker: int
    text: str
    confidence: float | None = None
    edited: bool = False
    """Whether a person has changed its words or its speaker."""
    prediction: str | None = None
    voice: str | None = None


_NEW = (
    *("id", "created", "touched", "filename", "bytes", "n_speakers", "channels", "recogniser", "language", "model"),
    *("state", "owner"),
)
"""What is known of a recording when it comes, and kept as it is."""
_COLUMNS = tuple(c for c in recordings.c if c.name not in ("envelope", "held_until"))


class TooManyRecordings(Exception):
    """So many wait already."""


def new(
    filename: str,
    n_bytes: int,
    *,
    model: str,
    recogniser: str,
    n_speakers: int | None = None,
    channels: Channels = "found",
    language: str | None = None,
    owner: str = "",
) -> StoredRecording:
    """A recording that is in no database yet."""
    moment = now()
    return StoredRecording(
        id=uuid.uuid4().hex,
        created=moment,
        touched=moment,
        filename=filename,
        bytes=n_bytes,
        n_speakers=n_speakers,
        channels=channels,
        recogniser=recogniser,
        language=language,
        model=model,
        owner=owner,
    )


def add(db: Connection, recording: StoredRecording, most_waiting: int) -> None:
    """Queues it; TooManyRecordings where `most_waiting` are not done."""
    alone(db, "recordings")
    if waiting(db) >= most_waiting:
        raise TooManyRecordings
    db.execute(insert(recordings), {name: getattr(recording, name) for name in _NEW})


def waiting(db: Connection) -> int:
    """How many are not done."""
    return rows.waiting(db, recordings)


def by_state(db: Connection) -> dict[str, int]:
    """How many there are in each state."""
    return rows.by_state(db, recordings)


def get(db: Connection, recording_id: str) -> StoredRecording | None:
    """The recording of that id."""
    row = db.execute(select(*_COLUMNS).where(recordings.c.id == recording_id)).mappings().first()
    return None if row is None else _recording(row)


def exists(db: Connection, recording_id: str) -> bool:
    """Whether it has not been deleted."""
    return rows.exists(db, recordings, recording_id)


def envelope(db: Connection, recording_id: str) -> bytes:
    """How loud it is at its loudest in each of so many stretches of equal length, 0 to 255."""
    found = db.execute(select(recordings.c.envelope).where(recordings.c.id == recording_id)).scalar_one_or_none()
    return found or b""


def listed(
    db: Connection, owner: str, asked: Paged, *, state: State | None = None, filename: str | None = None
) -> tuple[list[StoredRecording], str | None]:
    """A page of an owner's recordings, the newest first, and where the next one begins; `filename` is a part of it."""
    where = rows.those(recordings, state, filename)
    page = page_of(db, recordings, owner, asked, columns=_COLUMNS, tie="number", where=where)
    return [_recording(row) for row in page.rows], page.next


def queued(db: Connection) -> list[str]:
    """The ids of those that wait, in the order in which they will be begun: owners in turn, whoever waited longest
    since his last one first, and each one's own as they came."""
    c = recordings.c
    lines: dict[str, deque[str]] = defaultdict(deque)
    for owner, recording_id in db.execute(select(c.owner, c.id).where(c.state == "queued").order_by(c.number)):
        lines[owner].append(recording_id)
    last = select(c.owner, func.max(c.started)).where(c.owner.in_([*lines])).group_by(c.owner)
    turns = {owner: started or "" for owner, started in db.execute(last)}
    order = deque(sorted(lines, key=lambda owner: turns.get(owner, "")))  # stable: else whoever came first
    found = []
    while order:
        owner = order.popleft()
        found.append(lines[owner].popleft())
        if lines[owner]:
            order.append(owner)
    return found


def claimable(db: Connection, moment: float, most: int) -> list[str]:
    """The ids of those that may be begun, or gone on with, now, the next one first."""
    return rows.claimable(db, recordings, queued, moment, most)


def claim(db: Connection, holder: str, seconds: float, most: int) -> StoredRecording | None:
    """The recording whose turn it is, from now on running and for so long the holder's. Where several ask at once, each
    gets another, and never more than `most` run."""
    alone(db, "recordings")
    moment = leases.clock(db)
    for recording_id in claimable(db, moment, most)[:1]:
        number = db.execute(select(recordings.c.number).where(recordings.c.id == recording_id)).scalar_one()
        # Its owner's turn is counted from now, even where it was begun before and its worker was killed.
        if leases.take(db, recordings, number, holder, moment, seconds, state="running", started=now()) is not None:
            return get(db, recording_id)
    return None


def queue_again(db: Connection, recording: StoredRecording) -> bool:
    """It is not to go on now, and waits again. False where it is another's, or has been deleted."""
    return _write(db, recording, {"state": "queued", **leases.FREED})


def advance(db: Connection, recording: StoredRecording, fraction: float) -> bool:
    """Keeps how far it is, which never goes back. False where it is another's, or has been deleted."""
    farther = recordings.c.fraction < fraction
    told = {
        "fraction": case((farther, fraction), else_=recordings.c.fraction),
        "lost": case((farther, 0), else_=recordings.c.lost),
    }
    return _write(db, recording, told)


def heard(
    db: Connection,
    recording: StoredRecording,
    found: Sequence[StoredPart],
    *,
    seconds: float,
    envelope: bytes,
    names: Sequence[str],
    warnings: Sequence[Caveat],
) -> bool:
    """Keeps what was heard in it. False where it is another's, or has been deleted."""
    told = {"seconds": seconds, "envelope": envelope, "names": _json(names), "warnings": _caveats_out(warnings)}
    if not _write(db, recording, told):
        return False
    db.execute(deleting(parts).where(parts.c.recording == recording.id))
    if found:
        db.execute(insert(parts), [{**_row(part), "recording": recording.id} for part in found])
    return True


def labelled(
    db: Connection,
    recording: StoredRecording,
    predictions: Mapping[int, str],
    warnings: Sequence[Caveat],
    model_version: str | None,
) -> bool:
    """Keeps the labels of its parts, of those that have one, and that it is done. False where it is another's, or was
    changed or deleted meanwhile."""
    moment = now()
    told = {
        "state": "done",
        "fraction": 1,
        "touched": moment,
        "finished": func.coalesce(recordings.c.finished, moment),
        "label_warnings": _caveats_out(warnings),
        "model_version": model_version,
        **leases.FREED,
        "lost": 0,
    }
    if not _write(db, recording, told, recordings.c.revision == recording.revision):
        return False
    db.execute(update(parts).where(parts.c.recording == recording.id).values(prediction=None))
    if predictions:
        here = (parts.c.recording == recording.id, parts.c.n == bindparam("at"))
        said = [{"at": n, "said": prediction} for n, prediction in predictions.items()]
        db.execute(update(parts).where(*here).values(prediction=bindparam("said")), said)
    return True


def edit(
    db: Connection, recording: StoredRecording, after: Sequence[StoredPart], names: Sequence[str], *, queue: bool
) -> StoredRecording | None:
    """Puts these parts in the place of those with their numbers, under these names of speakers; `queue`: it waits to be
    labelled. None where the recording is no longer as it says."""
    same = (recordings.c.revision == recording.revision, recordings.c.state == "done")
    told: dict[str, Any] = {"names": _json(names), "revision": recording.revision + 1, "touched": now()}
    told |= {"state": "queued", "fraction": 0} if queue else {}
    if not _write(db, recording, told, *same):
        return None
    for part in after:
        db.execute(update(parts).where(parts.c.recording == recording.id, parts.c.n == part.n).values(_row(part)))
    return get(db, recording.id)


def failed(db: Connection, recording: StoredRecording, error: str) -> bool:
    """It has failed, and why. False where it is another's, or has been deleted."""
    moment = now()
    told = {"state": "failed", "error": error, "finished": moment, "touched": moment, **leases.FREED}
    return _write(db, recording, told)


def parts_of(db: Connection, recording_id: str, after: int = 0, limit: int | None = None) -> list[StoredPart]:
    """Its parts with n >= after, in order; all of them or `limit`."""
    wanted = select(*(c for c in parts.c if c.name != "recording")).where(parts.c.recording == recording_id)
    rows = db.execute(wanted.where(parts.c.n >= after).order_by(parts.c.n).limit(limit)).mappings()
    return [StoredPart(**{**row, "edited": bool(row["edited"])}) for row in rows]


@dataclass(frozen=True, slots=True)
class Share:
    """What one speaker has of a recording."""

    speaker: int
    seconds: float
    parts: int
    words: int
    """Parts with words in them."""


def shares_of(db: Connection, recording_id: str) -> list[Share]:
    """Each speaker's, in the order of their numbers."""
    wordy = func.sum(case((parts.c.text != "", 1), else_=0))
    wanted = select(parts.c.speaker, func.sum(parts.c.ends - parts.c.starts), func.count(), wordy)
    wanted = wanted.where(parts.c.recording == recording_id).group_by(parts.c.speaker).order_by(parts.c.speaker)
    return [Share(speaker, round(seconds, 3), n, int(words)) for speaker, seconds, n, words in db.execute(wanted)]


def ended_before(db: Connection, moment: str) -> list[str]:
    """The ids of those to which nothing has happened since."""
    ended = (recordings.c.state.in_(("done", "failed")), recordings.c.touched < moment)
    return [*db.execute(select(recordings.c.id).where(*ended)).scalars()]


def delete(db: Connection, recording_id: str) -> bool:
    """Forgets it. False where there was none."""
    return db.execute(deleting(recordings).where(recordings.c.id == recording_id)).rowcount > 0


def _write(db: Connection, recording: StoredRecording, told: Mapping[str, Any], *where: ColumnElement[bool]) -> bool:
    """Keeps something of it where it is its holder's still, or nobody's as it was, and all else is so."""
    mine = (recordings.c.id == recording.id, recordings.c.holder == recording.holder)
    return db.execute(update(recordings).where(*mine, *where).values(told)).rowcount > 0


def _row(part: StoredPart) -> dict[str, Any]:
    return {**asdict(part), "edited": int(part.edited)}


def _json(values: Sequence[str]) -> str:
    return orjson.dumps(list(values)).decode()


def _caveats_out(caveats: Sequence[Caveat]) -> str:
    return orjson.dumps([caveat.to_dict() for caveat in caveats]).decode()


def _caveats(written: str) -> tuple[Caveat, ...]:
    return tuple(Caveat.of(value) for value in orjson.loads(written))


def _recording(row: Mapping[Any, Any]) -> StoredRecording:
    read = {
        "names": tuple(orjson.loads(row["names"])),
        "warnings": _caveats(row["warnings"]),
        "label_warnings": _caveats(row["label_warnings"]),
    }
    return StoredRecording(**{**{str(k): value for k, value in row.items()}, **read})
