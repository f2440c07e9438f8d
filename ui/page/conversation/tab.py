"""The Conversation tab: a log pasted, dropped or uploaded, labelled as a whole, looked at, corrected and downloaded.

What happens is in `state`; `build` wires it to components.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from dialog.formats import READERS, WRITERS
from serve.client import Client, ServiceError
from ui.page.conversation import log as conversation_log
from ui.page.conversation.run import batch_of, cancel, follow, run
from ui.page.conversation.shelf import Shelf
from ui.page.conversation.state import EXAMPLE, TabState, correct, save, select, shown_conversation, taken
from ui.page.desk import Desk
from ui.page.download import download_button
from ui.page.drawing import render
from ui.page.scripts import script

CHOICES = 500
"""Conversations of one log that can be chosen to look at; the downloads have them all."""
KEPT_SECONDS = 3600
"""How long a labelled log stays in memory for its downloads, while its visitor does nothing."""
MOST_KEPT = 100
"""Labelled logs in memory at once, of all visitors; the one that was asked for least lately goes first."""
MOST_MESSAGES_KEPT = 300_000
"""In all of them together; a message with its label takes about 2 kB."""
_ADDRESS = "(key) => { if (key) window.rapport.go('conversation', key, true); }"
_ARRIVE = "(desk, state, key) => [desk, state, window.rapport.address().place]"


def build(client: Client, tab: gr.Tab) -> None:
    """The tab's components and events, inside the tab, which is open as a block."""
    state = gr.State(TabState(), time_to_live=KEPT_SECONDS)
    desk = gr.State(Desk())  # the same for all that runs for one visitor
    shelf: Shelf[TabState] = Shelf(
        most=MOST_KEPT, seconds=KEPT_SECONDS, weight=lambda s: s.n_messages, heaviest=MOST_MESSAGES_KEPT
    )
    with gr.Column(elem_classes="rp-conversation"):
        text = gr.Textbox(
            label="A conversation",
            placeholder="Ann: I finally got the job!!\nBo: No way!\n\nor paste or drop an export, a table, subtitles",
            lines=6,
            max_lines=12,
            max_length=conversation_log.LARGEST_LOG,
            elem_id="rp-paste",
        )
        with gr.Row(elem_classes="rp-conversation-tools"):
            go = gr.Button("Label it", variant="primary", elem_id="rp-go", min_width=120)
            upload = gr.UploadButton(
                "Upload a file", type="filepath", file_count="single", elem_id="rp-upload", min_width=120
            )
            example = gr.Button("Try an example", elem_id="rp-example", min_width=160)
            format = gr.Dropdown(
                [("Any format", "auto"), *((name, name) for name in READERS)],
                value="auto",
                label="Format",
                show_label=False,
                container=False,
                filterable=False,
                min_width=180,
                elem_id="rp-format",
            )
            stop = gr.Button("Cancel", visible=False, elem_id="rp-cancel", min_width=120)
    notice = gr.HTML(render.nothing_labelled(), elem_id="rp-log-notice", apply_default_css=False)
    with gr.Row(visible=False, elem_id="rp-columns", elem_classes="rp-conversation-tools") as columns:
        said_in = gr.Dropdown([], label="What was said stands in", elem_id="rp-text-column", interactive=True)
        said_by = gr.Dropdown([], label="Who said it stands in", elem_id="rp-speaker-column", interactive=True)
        written_in = gr.Dropdown(
            [], label="It is written in", elem_id="rp-encoding", interactive=True, allow_custom_value=True
        )
        with_columns = gr.Button("Read it so", variant="primary", elem_id="rp-with-columns", min_width=120)
    with gr.Column(visible=False, elem_id="rp-result") as result:
        chosen = gr.Dropdown([], label="Which conversation", visible=False, elem_id="rp-which", interactive=True)
        overview = gr.HTML("", elem_id="rp-overview", apply_default_css=False)
        plot = gr.HTML("", elem_id="rp-log-timeline", apply_default_css=False)
        with gr.Row(elem_classes="rp-conversation-tools"):
            query = gr.Textbox(
                label="Search in this log",
                show_label=False,
                placeholder="Search in this log",
                container=False,
                elem_id="rp-log-query",
                min_width=160,
            )
            hidden: Any = {"show_label": False, "container": False, "min_width": 140, "interactive": True}
            only = gr.Dropdown([], label="Show only one emotion", elem_id="rp-log-emotion", **hidden)
            person = gr.Dropdown([], label="Show only one person", elem_id="rp-log-person", **hidden)
        table = gr.HTML("", elem_id="rp-table", apply_default_css=False)
        details = gr.HTML("", elem_id="rp-log-details", apply_default_css=False)
        with gr.Row(elem_classes="rp-conversation-tools"):
            for name, what in (("jsonl", "Download jsonl"), ("csv", "Download csv"), ("html", "Download report")):
                if name in WRITERS:
                    download_button(
                        what,
                        lambda s, f=name: save(s, f),
                        state,
                        elem_id=f"rp-save-{name}",
                        notice=notice,
                        nothing="This log was dropped after an hour. Label it again to save it.",
                    )
    acts = gr.HTML("", elem_id="rp-log-acts", js_on_load=script("drop.js", "conversation.js"), apply_default_css=False)
    key = gr.Textbox(visible=False)

    shown = [state, notice, stop, columns, said_in, said_by, written_in, result, chosen]
    shown += [overview, plot, only, person, table, details, key]

    def show(s: TabState) -> list[Any]:
        conversations = s.log.conversations
        picks = [(f"{c.id} ({len(c.utterances):,})", i) for i, c in enumerate(conversations[:CHOICES])]
        messages = s.messages if s.done else ()
        # What is asked for stays a choice when the last message of its kind got another label.
        emotions = list(dict.fromkeys(e for e in (*(m.emotion for m in messages), s.only) if e))
        speakers = list(dict.fromkeys(m.speaker for m in messages))
        if s.done:
            s = replace(s, key=shelf.put(s, s.key or None))
            shelf.put(s, s.key)
        drawn = shown_conversation(s)
        return [
            s,
            s.notices or ("" if s.done or s.working else render.nothing_labelled()),
            gr.update(visible=s.working),
            gr.update(visible=bool(s.columns or s.encodings)),
            gr.update(choices=list(s.columns), value=s.columns[0] if s.columns else None, visible=bool(s.columns)),
            gr.update(choices=["(nobody)", *s.columns], value="(nobody)", visible=bool(s.columns)),
            gr.update(
                choices=list(s.encodings), value=s.encodings[0] if s.encodings else None, visible=bool(s.encodings)
            ),
            gr.update(visible=s.done),
            gr.update(choices=picks, value=s.chosen if s.done else None, visible=len(picks) > 1),
            *drawn[:2],
            gr.update(choices=[("every emotion", ""), *((e, e) for e in emotions)], value=s.only),
            gr.update(choices=[("everybody", ""), *((p, p) for p in speakers)], value=s.person),
            *drawn[2:],
            s.key,
        ]

    def shown_while(desk: Desk, states: Iterator[TabState]) -> Iterator[list[Any]]:
        """What a run has to show, until its visitor begins another or cancels it."""
        yield from map(show, desk.until_the_next(states))

    def on_text(desk: Desk, pasted: str | None, chosen_format: str) -> Iterator[list[Any]]:
        data = (pasted or "").encode("utf-8", "replace")
        yield from shown_while(desk, run(data, filename="", format=chosen_format, client=client))

    def on_upload(desk: Desk, path: str | None, chosen_format: str) -> Iterator[list[Any]]:
        data, filename = taken(path) if path else (b"", "")
        yield from shown_while(desk, run(data, filename=filename, format=chosen_format, client=client))

    def on_columns(
        desk: Desk, s: TabState, words: str | None, who: str | None, in_which: str | None
    ) -> Iterator[list[Any]]:
        named = {"text": words} if words and s.columns else {}
        if named and who and who != "(nobody)":
            named["speaker"] = who
        told: Any = {"columns": named or None, "encoding": in_which if s.encodings else s.encoding}
        yield from shown_while(desk, run(s.data, filename=s.filename, format=s.format, client=client, **told))

    def on_choice(s: TabState, i: int | None) -> list[Any]:
        return show(replace(s, chosen=i or 0, only="", person="", selected=None, leaf=0)) if s.done else show(s)

    def on_act(s: TabState, event: gr.EventData) -> list[Any]:
        n, act = getattr(event, "n", None), getattr(event, "act", None)
        leaf = getattr(event, "leaf", None)
        if s.done and isinstance(leaf, int):
            return show(replace(s, leaf=max(0, leaf)))
        if not s.done or not isinstance(n, int):
            return show(replace(s, selected=None))
        if act in ("correct", "uncorrect"):
            emotion = getattr(event, "emotion", None)
            return show(correct(s, n, emotion if act == "correct" and isinstance(emotion, str) else None))
        return show(select(s, n if n != s.selected else None))

    def on_filter(s: TabState, words: str | None, emotion: str | None, who: str | None) -> list[Any]:
        return show(replace(s, query=(words or "").strip(), only=emotion or "", person=who or "", leaf=0))

    def on_arrival(desk: Desk, s: TabState, asked: str | None) -> Iterator[list[Any]]:
        found = None if s.done or s.working or not asked else shelf.get(asked)
        if found is None and asked and batch_of(asked) and not s.done and not s.working:
            yield from shown_while(desk, follow(asked, client))
            return
        yield show(found or s)

    def on_cancel(desk: Desk, asked: str | None) -> list[Any]:
        desk.begin()
        try:
            cancel(asked or "", client)
        except ServiceError as error:
            return show(TabState(notices=render.problem(error)))
        return show(TabState(notices=render.notice("info", "Cancelled. Nothing was kept.")))

    quiet: Any = {"show_progress": "hidden", "api_visibility": "private"}
    working: Any = {**quiet, "concurrency_limit": 16}  # most of them wait for a batch
    runs = [
        go.click(on_text, [desk, text, format], shown, **working),
        upload.upload(on_upload, [desk, upload, format], shown, **working),
        example.click(lambda: EXAMPLE, None, text, **quiet).then(on_text, [desk, text, format], shown, **working),
        with_columns.click(on_columns, [desk, state, said_in, said_by, written_in], shown, **working),
        tab.select(on_arrival, [desk, state, key], shown, js=_ARRIVE, **working),
    ]
    stop.click(on_cancel, [desk, key], shown, cancels=runs, **quiet)
    chosen.input(on_choice, [state, chosen], shown, **quiet)
    filters = [state, query, only, person]
    query.submit(on_filter, filters, shown, **quiet)
    query.blur(on_filter, filters, shown, **quiet)
    only.input(on_filter, filters, shown, **quiet)
    person.input(on_filter, filters, shown, **quiet)
    # A click that follows closely is not dropped, and sets out from what the one before it has done.
    acts.select(on_act, state, shown, trigger_mode="multiple", concurrency_limit=1, **quiet)
    key.change(None, key, None, js=_ADDRESS, **quiet)
