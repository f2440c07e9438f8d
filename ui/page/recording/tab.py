"""The Recording tab: a call or a voice message in, who spoke when, in which words and with which emotion; each voice to
play alone; words and speakers corrected and labelled anew. What happens is in `state`; here it is wired up.
"""

from dataclasses import replace
from typing import Any

import gradio as gr
from markupsafe import Markup

from serve.client import Client
from ui.page.desk import acted, looked
from ui.page.download import download_button
from ui.page.drawing import render
from ui.page.drawing.people import people_of
from ui.page.drawing.timeline import timeline
from ui.page.recording import rendering as recording_render
from ui.page.recording.state import (
    SPOKEN,
    RecordingState,
    begin,
    correct,
    delete,
    kept,
    look,
    restore,
    save,
    show,
)
from ui.page.scripts import script

_LOOK_SECONDS = 1.0
_SPEAKERS = 8
_ENDINGS = [".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".m4a", ".mp4", ".webm"]
_INTRO = Markup(
    "<p>Upload or drop a call or a voice message: wav, flac, ogg or mp3 of up to 100 MB; m4a where the service can "
    "convert it. It stays on the machine of the service until you delete it here. Words may be heard wrong; correct "
    "them below.</p>"
)


def memory() -> gr.BrowserState:
    """What the browser keeps. It stands outside the tabs: one that is not open is not there yet when a page loads."""
    return gr.BrowserState(None, storage_key="rapport-recordings", secret="rapport")


def build(page: gr.Blocks, client: Client, remembered: gr.BrowserState) -> None:
    """The tab's components and events, inside whatever block of the page is open."""
    state = gr.State(RecordingState())
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
    with gr.Accordion("Record with the microphone", open=False, elem_id="rp-rec-microphone"):
        spoken = gr.Audio(
            sources=["microphone"],
            type="filepath",
            format="wav",
            label="Microphone",
            buttons=["download"],  # not the one that shares with a foreign host
            elem_id="rp-rec-spoken",
        )
        send = gr.Button("Send what you recorded", variant="primary", visible=False, elem_id="rp-rec-send")
    notice = gr.HTML("", elem_id="rp-rec-notice", apply_default_css=False)
    listed = gr.HTML(
        recording_render.listed((), known=False),
        elem_id="rp-recs",
        js_on_load=script("drop.js", "recording.js"),
        apply_default_css=False,
    )
    with gr.Column(visible=False, elem_id="rp-rec-result") as result:
        wave = gr.HTML("", elem_id="rp-rec-wave", apply_default_css=False)
        plot = gr.HTML("", elem_id="rp-rec-timeline", apply_default_css=False)
        with gr.Row(visible=False, elem_classes="rp-conversation-tools", elem_id="rp-rec-edit") as editing:
            words = gr.Textbox(label="What was said", lines=2, max_length=4000, elem_id="rp-rec-words", scale=3)
            with gr.Column(scale=1, min_width=220):
                who = gr.Dropdown(
                    [], label="Who said it", allow_custom_value=True, interactive=True, elem_id="rp-rec-who"
                )
                everywhere = gr.Checkbox(
                    False, label="and all else they say", container=False, elem_id="rp-rec-everywhere"
                )
            apply = gr.Button("Label it anew", variant="primary", min_width=140, scale=0, elem_id="rp-rec-apply")
        table = gr.HTML("", elem_id="rp-rec-table", apply_default_css=False)
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
    shown = [state, notice, listed, result, wave, plot, table, editing, words, who, everywhere, clock, remembered]

    def drawn(s: RecordingState) -> list[Any]:
        """The state in the components that show it."""
        parts = [Markup(""), Markup(""), Markup("")]
        chosen, names = None, []
        if s.done and s.recording is not None and s.envelope is not None:
            messages = recording_render.messages_of(s.recording)
            people = people_of((), messages)
            names = [speaker.name for speaker in s.recording.speakers]
            chosen = None if s.selected is None else s.recording.utterances[s.selected]
            parts = [
                recording_render.shown(s.recording, s.envelope, people),
                timeline(messages) if messages else Markup(""),
                render.table(messages, messages, people, s.selected, s.leaf) if messages else Markup(""),
            ]
        opened = s.recording.id if s.recording else None
        return [
            s,
            s.notice,
            recording_render.listed(s.recordings, known=s.known, shown=opened if s.done else None, asked=s.asked),
            gr.update(visible=s.done),
            *parts,
            gr.update(visible=chosen is not None),
            chosen.text if chosen else "",
            gr.update(choices=names, value=chosen.speaker if chosen else None),
            False,
            gr.Timer(_LOOK_SECONDS, active=s.waiting),
            kept(s),
        ]

    def on_file(s: RecordingState, path: str | None, n: int | None) -> list[Any]:
        return drawn(acted(s, lambda s: begin(s, path, n, client) if path else s))

    def on_send(s: RecordingState, path: str | None, n: int | None) -> list[Any]:
        return [*drawn(acted(s, lambda s: begin(s, path, n, client, filename=SPOKEN) if path else s)), None]

    def selected(s: RecordingState, event: gr.EventData) -> RecordingState:
        one, act = getattr(event, "recording", None), getattr(event, "act", None)
        if isinstance(one, str):
            if act == "delete":
                return delete(s, one, client)
            if act == "show":
                return show(replace(s, asked=None), one, client)
            return replace(s, asked=one if act == "ask" else None)
        n, leaf = getattr(event, "n", None), getattr(event, "leaf", None)
        last = len(s.recording.utterances) - 1 if s.recording else -1
        if isinstance(leaf, int):
            return replace(s, selected=None, leaf=max(0, min(leaf, last // render.TABLE_SHOWN)))
        known = isinstance(n, int) and 0 <= n <= last
        return replace(s, selected=n if known and n != s.selected else None)

    def on_select(s: RecordingState, event: gr.EventData) -> list[Any]:
        return drawn(acted(s, lambda s: selected(s, event)))

    def on_apply(s: RecordingState, text: str | None, speaker: str | None, all_of_them: bool | None) -> list[Any]:
        told = (text or "", speaker or "")
        return drawn(acted(s, lambda s: correct(s, *told, client, everywhere=bool(all_of_them))))

    def on_tick(s: RecordingState) -> list[Any]:
        after = looked(s, lambda s: look(s, client))
        # What is being written into the boxes meanwhile stays in them.
        return [
            gr.skip() if after is None or box in (words, who, everywhere) else part
            for box, part in zip(shown, drawn(after or s), strict=True)
        ]

    quiet: Any = {"show_progress": "hidden", "api_visibility": "private"}
    # One that is chosen while another is being taken waits for it; by itself it would be dropped.
    upload.upload(on_file, [state, upload, speakers], shown, concurrency_limit=4, trigger_mode="always_last", **quiet)
    spoken.change(lambda path: gr.update(visible=bool(path)), spoken, send, **quiet)
    send.click(on_send, [state, spoken, speakers], [*shown, spoken], concurrency_limit=4, **quiet)
    listed.select(on_select, state, shown, trigger_mode="multiple", **quiet)
    apply.click(on_apply, [state, words, who, everywhere], shown, **quiet)
    clock.tick(on_tick, state, shown, **quiet)
    page.load(lambda s, k: drawn(acted(s, lambda _: restore(k, client))), [state, remembered], shown, **quiet)
