"""The Recording tab: a call or a voice message in, who spoke when, in which words and with which emotion; each voice to
play alone; words and speakers corrected and labelled anew.

What happens is in plain functions from a `RecordingState` and a client to the next state; `build` wires them up.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from markupsafe import Markup

from dialog.formats import WRITERS
from serve.client import Client, Envelope, Recording, ServiceError
from ui.messages import number
from ui.page import recording_render, render
from ui.page.download import download_button
from ui.page.limits import LARGEST_UPLOAD
from ui.page.people import people_of
from ui.page.timeline import timeline

_LOOK_SECONDS = 1.0
_SPEAKERS = 8
_ENDINGS = [".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".m4a", ".mp4", ".webm"]
_INTRO = Markup(
    "<p>Upload a call or a voice message: wav, flac, ogg or mp3 of up to 100 MB; m4a where the service has ffmpeg. It "
    "stays on the machine of the service until you delete it here. Words are heard roughly; correct them below.</p>"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingState:
    """What the tab shows. `selected` is the number of the utterance that is being corrected."""

    recording: Recording | None = None
    envelope: Envelope | None = None
    selected: int | None = None
    notice: str = ""

    @property
    def waiting(self) -> bool:
        """Whether it may still change by itself."""
        return self.recording is not None and not self.recording.ended

    @property
    def done(self) -> bool:
        """Whether there is something to see."""
        return self.recording is not None and self.recording.state == "done" and self.envelope is not None


def begin(state: RecordingState, path: str, speakers: int | None, client: Client) -> RecordingState:
    """The state with an uploaded recording under way; or why there is none. The upload is deleted."""
    file = Path(path)
    try:
        size = file.stat().st_size
        most = min(LARGEST_UPLOAD, int(client.limits()["recording_bytes"]))
        if size > most:
            told = f"It has {render.size(size)}; at most {render.size(most)} are taken."
            return replace(state, notice=render.notice("error", "This recording is too large.", [told]))
        begun = client.start_recording(file, filename=file.name, speakers=speakers or None)
    except ServiceError as error:
        return replace(state, notice=_problem(error))
    finally:
        with suppress(OSError):
            file.unlink()
    return RecordingState(recording=begun, notice=_far(begun))


def look(state: RecordingState, client: Client) -> RecordingState:
    """The state as the service knows it now."""
    if state.recording is None:
        return state
    try:
        return _with(state, client.recording(state.recording.id), client)
    except ServiceError as error:
        if error.status == 404:
            return RecordingState(notice=render.problem(error, gone="This recording was deleted."))
        return replace(state, notice=render.problem(error))


def correct(state: RecordingState, text: str, speaker: str, client: Client) -> RecordingState:
    """The state with other words or another speaker in the selected utterance, labelled anew."""
    if state.recording is None or state.selected is None:
        return state
    before = state.recording.utterances[state.selected]
    said = text.strip() if text.strip() != before.text else None
    who = speaker.strip() if speaker.strip() not in ("", before.speaker) else None
    if said is None and who is None:
        return replace(state, selected=None)
    try:
        after = client.edit_utterance(state.recording.id, state.selected, text=said, speaker=who)
        return _with(replace(state, selected=None), client.recording(after.id), client)
    except ServiceError as error:
        return replace(state, notice=render.problem(error))


def delete(state: RecordingState, client: Client) -> RecordingState:
    """Nothing to see, and nothing kept."""
    try:
        if state.recording is not None:
            client.delete_recording(state.recording.id)
    except ServiceError as error:
        if error.status != 404:
            return replace(state, notice=render.problem(error))
    return RecordingState(notice=render.notice("info", "Deleted. Nothing was kept."))


def save(state: RecordingState, to: str, client: Client) -> tuple[str, str]:
    """The name and the text of the labelled conversation; empty where there is none."""
    if state.recording is None or not state.done:
        return "", ""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        client.save_recording(state.recording.id, path, to=to)
        return f"{Path(state.recording.filename).stem}-emotions.{WRITERS[to].ending}", path.read_text("utf-8")


def _with(state: RecordingState, recording: Recording, client: Client) -> RecordingState:
    if recording.state == "failed":
        told = render.notice("error", "This recording could not be heard.", [recording.error or ""])
        return RecordingState(recording=recording, notice=told)
    if recording.state != "done":
        return replace(state, recording=recording, notice=_far(recording))
    envelope = state.envelope or client.envelope(recording.id)
    lines = [warning.said_of("stretch", 1) for warning in recording.warnings]
    told = render.notice("info", "About this recording", lines) if lines else Markup("")
    return replace(state, recording=recording, envelope=envelope, notice=told)


def _far(recording: Recording) -> str:
    if recording.state == "queued":
        before = f", {number(recording.ahead, 'recording')} before it" if recording.ahead else ""
        return render.progress(f"Waiting for its turn{before}", recording.fraction)
    return render.progress("Listening", recording.fraction)


def _problem(error: ServiceError) -> str:
    if error.status == 415:
        return render.notice("error", "This file cannot be heard.", [error.detail])
    if error.status == 422 and error.faults:
        return render.notice("error", "This file cannot be heard.", [said for _, said in error.faults])
    return render.problem(error)


# The components


_ON_LOAD = """
element.addEventListener('click', event => {
  const row = event.target.closest('tr[data-n]');
  if (row) trigger('select', {n: Number(row.dataset.n)});
});
"""


def build(page: gr.Blocks, client: Client) -> None:
    """The tab's components and events, inside whatever block of the page is open."""
    state = gr.State(RecordingState())
    kept = gr.BrowserState(None, storage_key="rapport-recording", secret="rapport")
    gr.HTML(_INTRO, elem_id="rp-rec-intro", apply_default_css=False)
    with gr.Row(elem_classes="rp-conversation-tools rp-batch-tools"):
        speakers = gr.Dropdown(
            [("find out", 0), *((str(n), n) for n in range(1, _SPEAKERS + 1))],
            value=0,
            label="How many people speak",
            filterable=False,
            min_width=180,
            elem_id="rp-rec-speakers",
        )
        upload = gr.UploadButton(
            "Upload a recording",
            type="filepath",
            file_count="single",
            file_types=_ENDINGS,
            variant="primary",
            min_width=210,
            scale=0,
            elem_id="rp-rec-upload",
        )
        forget = gr.Button("Delete it", visible=False, min_width=120, scale=0, elem_id="rp-rec-delete")
    with gr.Accordion("Record with the microphone", open=False, elem_id="rp-rec-microphone"):
        spoken = gr.Audio(
            sources=["microphone"], type="filepath", format="wav", label="Microphone", elem_id="rp-rec-spoken"
        )
    notice = gr.HTML("", elem_id="rp-rec-notice", apply_default_css=False)
    with gr.Column(visible=False, elem_id="rp-rec-result") as result:
        wave = gr.HTML("", elem_id="rp-rec-wave", apply_default_css=False)
        plot = gr.HTML("", elem_id="rp-rec-timeline", apply_default_css=False)
        table = gr.HTML("", elem_id="rp-rec-table", js_on_load=_ON_LOAD, apply_default_css=False)
        with gr.Row(visible=False, elem_classes="rp-conversation-tools", elem_id="rp-rec-edit") as editing:
            words = gr.Textbox(label="What was said", lines=2, max_length=4000, elem_id="rp-rec-words", scale=3)
            who = gr.Dropdown(
                [], label="Who said it", allow_custom_value=True, interactive=True, elem_id="rp-rec-who", scale=1
            )
            apply = gr.Button("Label it anew", variant="primary", min_width=140, scale=0, elem_id="rp-rec-apply")
        with gr.Row(elem_classes="rp-conversation-tools"):
            for name, what in (("jsonl", "Download jsonl"), ("csv", "Download csv"), ("html", "Download report")):
                download_button(
                    what,
                    lambda s, f=name: save(s, f, client),
                    state,
                    elem_id=f"rp-rec-save-{name}",
                    notice=notice,
                    nothing="There is nothing to save yet.",
                )
    clock = gr.Timer(_LOOK_SECONDS, active=False)
    shown = [state, notice, forget, result, wave, plot, table, editing, words, who, clock, kept]

    def show(s: RecordingState) -> list[Any]:
        drawn = [Markup(""), Markup(""), Markup("")]
        chosen, names = None, []
        if s.done and s.recording is not None and s.envelope is not None:
            messages = recording_render.messages_of(s.recording)
            people = people_of((), messages)
            names = [speaker.name for speaker in s.recording.speakers]
            chosen = None if s.selected is None else s.recording.utterances[s.selected]
            drawn = [
                recording_render.shown(s.recording, s.envelope, people),
                timeline(messages) if messages else Markup(""),
                render.table(messages, messages, people, s.selected) if messages else Markup(""),
            ]
        return [
            s,
            s.notice,
            gr.update(visible=s.recording is not None),
            gr.update(visible=s.done),
            *drawn,
            gr.update(visible=chosen is not None),
            chosen.text if chosen else "",
            gr.update(choices=names, value=chosen.speaker if chosen else None),
            gr.Timer(_LOOK_SECONDS, active=s.waiting),
            s.recording.id if s.recording else None,
        ]

    def on_file(s: RecordingState, path: str | None, n: int | None) -> list[Any]:
        return show(begin(s, path, n, client)) if path else show(s)

    def on_select(s: RecordingState, event: gr.EventData) -> list[Any]:
        n = getattr(event, "n", None)
        known = s.recording is not None and isinstance(n, int) and 0 <= n < len(s.recording.utterances)
        return show(replace(s, selected=n if known and n != s.selected else None))

    def on_load(known: Any) -> list[Any]:
        if not isinstance(known, str):
            return show(RecordingState())
        try:
            return show(_with(RecordingState(), client.recording(known), client))
        except ServiceError:  # deleted, or nobody is there yet
            return show(RecordingState())

    quiet: Any = {"show_progress": "hidden", "api_visibility": "private"}
    upload.upload(on_file, [state, upload, speakers], shown, concurrency_limit=4, **quiet)
    spoken.stop_recording(on_file, [state, spoken, speakers], shown, concurrency_limit=4, **quiet)
    table.select(on_select, state, shown, **quiet)
    apply.click(lambda s, t, w: show(correct(s, t or "", w or "", client)), [state, words, who], shown, **quiet)
    forget.click(lambda s: show(delete(s, client)), state, shown, **quiet)
    clock.tick(lambda s: show(look(s, client)), state, shown, **quiet)
    page.load(on_load, kept, shown, **quiet)
