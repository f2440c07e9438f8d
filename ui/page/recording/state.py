"""What the Recording tab shows, and what becomes of it: from a `RecordingState` and a client to the next state."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from markupsafe import Markup

from dialog.formats import WRITERS
from serve.client import Client, Envelope, Recording, ServiceError
from ui.page.desk import OnDesk
from ui.page.drawing import render
from ui.page.limits import LARGEST_UPLOAD

LISTED = 100
"""Recordings that are shown, the newest."""
REMEMBERED = 50
"""Recordings a browser remembers, for a service that does not list them."""
SPOKEN = "Voice message.wav"
"""What a recording of the microphone is called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingState(OnDesk):
    """What the tab shows. `own` are the ids this browser sent, the newest first; `recording` is the one that is open,
    and `selected` the number of the utterance in it that is being corrected."""

    own: tuple[str, ...] = ()
    recordings: tuple[Recording, ...] = ()
    known: bool = False
    """Whether the service has been asked yet which there are."""
    asked: str | None = None
    """The recording of which the visitor is asked whether it shall really be deleted."""
    recording: Recording | None = None
    envelope: Envelope | None = None
    selected: int | None = None
    leaf: int = 0
    notice: str = ""

    @property
    def waiting(self) -> bool:
        """Whether anything may still change by itself."""
        return any(not one.ended for one in (*self.recordings, *((self.recording,) if self.recording else ())))

    @property
    def done(self) -> bool:
        """Whether there is something to see."""
        return self.recording is not None and self.recording.state == "done" and self.envelope is not None


def begin(
    state: RecordingState, path: str, speakers: int | None, client: Client, *, filename: str | None = None
) -> RecordingState:
    """The state with an uploaded recording under way, and open; or why there is none. The upload is deleted."""
    file = Path(path)
    try:
        size = file.stat().st_size
        most = min(LARGEST_UPLOAD, int(client.limits()["recording_bytes"]))
        if size > most:
            told = f"It has {render.size(size)}; at most {render.size(most)} are taken."
            return replace(state, notice=render.notice("error", "This recording is too large.", [told]))
        begun = client.start_recording(file, filename=filename or file.name, speakers=speakers or None)
    except ServiceError as error:
        return replace(state, notice=_problem(error))
    finally:
        with suppress(OSError):
            file.unlink()
    return look(RecordingState(own=(begun.id, *state.own)[:REMEMBERED], recording=begun), client)


def look(state: RecordingState, client: Client) -> RecordingState:
    """The state as the service knows it now."""
    try:
        state = replace(state, recordings=_recordings(state, client), known=True)
        if state.recording is None or state.done or state.recording.state == "failed":
            return state
        return _with(state, client.recording(state.recording.id), client)
    except ServiceError as error:
        if error.status == 404:
            return replace(_closed(state), notice=render.problem(error, gone="This recording was deleted."))
        return replace(state, notice=render.problem(error))


def show(state: RecordingState, recording_id: str, client: Client) -> RecordingState:
    """The state with that recording open."""
    try:
        return _with(_closed(state), client.recording(recording_id), client)
    except ServiceError as error:
        told = render.problem(error, gone="This recording was deleted.")
        return look(replace(_closed(state), notice=told), client)


def correct(
    state: RecordingState, text: str, speaker: str, client: Client, *, everywhere: bool = False
) -> RecordingState:
    """The state with other words or another speaker in the selected utterance, labelled anew; `everywhere` gives all
    that this speaker says the other name."""
    if state.recording is None or state.selected is None:
        return state
    here = state.recording.id
    before = state.recording.utterances[state.selected]
    said = text.strip() if text.strip() != before.text else None
    who = speaker.strip() if speaker.strip() not in ("", before.speaker) else None
    try:
        if who is not None and everywhere:
            client.name_speaker(here, _number_of(state.recording, before.speaker), who)
            who = None
            changed = True
        else:
            changed = said is not None or who is not None
        if said is not None or who is not None:
            client.edit_utterance(here, state.selected, text=said, speaker=who)
        state = replace(state, selected=None)
        return _with(state, client.recording(here), client) if changed else state
    except ServiceError as error:
        return replace(state, notice=render.problem(error))


def delete(state: RecordingState, recording_id: str, client: Client) -> RecordingState:
    """The state without that recording, of which nothing is kept."""
    try:
        client.delete_recording(recording_id)
    except ServiceError as error:
        if error.status != 404:
            return replace(state, asked=None, notice=render.problem(error))
    if state.recording is not None and state.recording.id == recording_id:
        state = _closed(state)
    own = tuple(known for known in state.own if known != recording_id)
    told = render.notice("info", "Deleted. Nothing was kept.")
    return look(replace(state, own=own, asked=None, notice=told), client)


def restore(kept: Any, client: Client) -> RecordingState:
    """What this browser sent, the one that was open, and what else there is."""
    own, last = kept if isinstance(kept, list) and len(kept) == 2 else ([], None)
    ids = tuple(i for i in own if isinstance(i, str))[:REMEMBERED] if isinstance(own, list) else ()
    state = look(RecordingState(own=ids), client)
    if isinstance(last, str) and any(one.id == last for one in state.recordings):
        return show(state, last, client)
    return state


def kept(state: RecordingState) -> list[Any]:
    """What the browser keeps for `restore`."""
    return [list(state.own), state.recording.id if state.recording else None]


def save(state: RecordingState, to: str, client: Client) -> tuple[str, str]:
    """The name and the text of the labelled conversation; empty where there is none."""
    if state.recording is None or not state.done:
        return "", ""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        client.save_recording(state.recording.id, path, to=to)
        return f"{Path(state.recording.filename).stem}-emotions.{WRITERS[to].ending}", path.read_text("utf-8")


def _closed(state: RecordingState) -> RecordingState:
    return replace(state, recording=None, envelope=None, selected=None, leaf=0, asked=None, notice="")


def _with(state: RecordingState, recording: Recording, client: Client) -> RecordingState:
    if recording.state == "failed":
        told = render.notice("error", "This recording could not be heard.", [recording.error or ""])
        return replace(_closed(state), recording=recording, notice=told)
    if recording.state != "done":
        return replace(state, recording=recording)
    envelope = state.envelope or client.envelope(recording.id)
    lines = [warning.said_of("stretch", 1) for warning in recording.warnings]
    told = render.notice("info", "About this recording", lines) if lines else Markup("")
    return replace(state, recording=recording, envelope=envelope, notice=told)


def _number_of(recording: Recording, speaker: str) -> int:
    return next(one.n for one in recording.speakers if one.name == speaker)


def _recordings(state: RecordingState, client: Client) -> tuple[Recording, ...]:
    try:
        return tuple(islice(client.recordings(), LISTED))
    except ServiceError as error:
        if error.status != 403:
            raise
    return tuple(_own(state.own, client))


def _own(ids: Sequence[str], client: Client) -> list[Recording]:
    found = []
    for recording_id in ids:
        try:
            found.append(client.recording(recording_id))
        except ServiceError as error:
            if error.status not in (404, 422):
                raise
    return found


def _problem(error: ServiceError) -> str:
    if error.status == 415:
        return render.notice("error", "This file cannot be heard.", [error.detail])
    if error.status == 422 and error.faults:
        return render.notice("error", "This file cannot be heard.", [said for _, said in error.faults])
    if error.kind == "overloaded" and error.limit == "recordings_waiting":
        told = ["Send this one when some of them are done."]
        return render.notice("busy", "Many recordings are waiting already.", told)
    if error.status == 507:
        return render.notice("error", "The disk of the service is full.", ["Delete recordings you no longer need."])
    return render.problem(error)
