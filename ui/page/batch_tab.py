"""The Batch tab: logs too large to wait for, labelled in the background, fetched when they are done.

What happens is in plain functions from a `BatchesState` and a client to the next state; `build` wires them up.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import gradio as gr

from dialog.formats import READERS, WRITERS
from serve.client import Batch, Client, ServiceError
from ui.page.desk import OnDesk, acted, looked
from ui.page.drawing import render
from ui.page.limits import LARGEST_UPLOAD, limits_of

_LISTED = 200
"""Batches that are shown, the newest."""
REMEMBERED = 50
"""Batches a browser remembers, for a service that does not list them."""
_LOOK_SECONDS = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchesState(OnDesk):
    """What the tab shows. `own` are the ids this browser began, the newest first."""

    own: tuple[str, ...] = ()
    batches: tuple[Batch, ...] = ()
    asked: str | None = None
    """The batch of which the visitor is asked whether it shall really be deleted."""
    notice: str = ""
    known: bool = False
    """Whether the service has been asked yet."""

    @property
    def waiting(self) -> bool:
        """Whether anything may still change by itself."""
        return any(not batch.ended for batch in self.batches)


def begin(
    state: BatchesState,
    path: str,
    *,
    input_format: str,
    to: str,
    anonymise: bool,
    client: Client,
    columns: Mapping[str, str] | None = None,
) -> BatchesState:
    """The state with one more batch, of the uploaded file; or why there is none. The upload is deleted.

    `columns` are the names a table has for `text` and `speaker`; those that are blank are looked for by themselves.
    """
    named = {field: name.strip() for field, name in (columns or {}).items() if name.strip()}
    file = Path(path)
    try:
        size = file.stat().st_size
        most = limits_of(client).log
        if size > most:
            told = f"It has {render.size(size)}; this page takes {render.size(most)}."
            lines = [told, "The API may take more, and the command line takes any size:"]
            return replace(state, notice=render.notice("error", "This log is too large for the page.", lines, _COMMAND))
        if not size:
            return replace(state, notice=render.notice("error", "This file is empty."))
        batch = client.start_batch(
            file,
            filename=file.name,
            input_format=input_format,
            to=to,
            anonymise=anonymise,
            columns=named or None,
        )
    except ServiceError as error:
        return replace(state, notice=_problem(error))
    finally:
        with suppress(OSError):
            file.unlink()
    return look(replace(state, own=(batch.id, *state.own)[:REMEMBERED], notice=""), client)


def look(state: BatchesState, client: Client) -> BatchesState:
    """The state as the service knows it now."""
    try:
        return replace(state, batches=_batches(state, client), known=True)
    except ServiceError as error:
        return replace(state, notice=render.problem(error))


def delete(state: BatchesState, batch_id: str, client: Client) -> BatchesState:
    """The state without that batch, which is stopped if it runs."""
    try:
        client.delete_batch(batch_id)
    except ServiceError as error:
        if error.status != 404:
            return replace(state, asked=None, notice=render.problem(error))
    own = tuple(known for known in state.own if known != batch_id)
    return look(replace(state, own=own, asked=None, notice=""), client)


def restore(kept: Any, client: Client) -> BatchesState:
    """What this browser began, and what else there is."""
    own = tuple(i for i in kept if isinstance(i, str))[:REMEMBERED] if isinstance(kept, list) else ()
    return look(BatchesState(own=own), client)


def introduction(client: Client) -> str:
    """What the tab is for, and how large a log it takes here."""
    try:
        return render.batch_intro(limits_of(client).log)
    except ServiceError:
        return render.batch_intro(LARGEST_UPLOAD)


def _batches(state: BatchesState, client: Client) -> tuple[Batch, ...]:
    try:
        return tuple(islice(client.batches(), _LISTED))
    except ServiceError as error:
        if error.status != 403:
            raise
    return tuple(_own(state.own, client))


def _own(ids: Sequence[str], client: Client) -> list[Batch]:
    found = []
    for batch_id in ids:
        try:
            found.append(client.batch(batch_id))
        except ServiceError as error:
            if error.status not in (404, 422):
                raise
    return found


def _problem(error: ServiceError) -> str:
    if error.kind == "overloaded" and error.limit == "batches_waiting":
        return render.notice(
            "busy", "Many batches are waiting already.", ["Begin this one when some of them are done."]
        )
    if error.status == 507:
        return render.notice("error", "The disk of the service is full.", ["Delete batches you no longer need."])
    return render.problem(error)


_COMMAND = "curl -X POST -T chat.txt http://127.0.0.1:8000/v1/batches\nrapport annotate chat.txt -o labelled.jsonl"


# The components


_ON_LOAD = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-batch]');
  if (button) trigger('select', {batch: button.dataset.batch, act: button.dataset.act});
});
"""


def memory() -> gr.BrowserState:
    """What the browser keeps. It stands outside the tabs: one that is not open is not there yet when a page loads."""
    return gr.BrowserState(None, storage_key="rapport-batches", secret="rapport")


def build(page: gr.Blocks, client: Client, kept: gr.BrowserState) -> None:
    """The tab's components and events, inside whatever block of the page is open."""
    state = gr.State(BatchesState())
    intro = gr.HTML(render.batch_intro(LARGEST_UPLOAD), apply_default_css=False)
    with gr.Row(elem_classes="rp-conversation-tools rp-batch-tools"):
        input_format = gr.Dropdown(
            [("Any format", "auto"), *((name, name) for name in READERS)],
            value="auto",
            label="The log is in",
            filterable=False,
            min_width=150,
            elem_id="rp-batch-from",
        )
        to = gr.Dropdown(
            [(f"{writer.title} (.{writer.ending})", name) for name, writer in WRITERS.items()],
            value="html",
            label="Make it a",
            filterable=False,
            min_width=150,
            elem_id="rp-batch-to",
        )
    with (
        gr.Accordion("A table whose columns have names of their own", open=False, elem_id="rp-batch-columns"),
        gr.Row(elem_classes="rp-conversation-tools rp-batch-tools"),
    ):
        said_in = gr.Textbox(label="What was said stands in", placeholder="text", elem_id="rp-batch-text-column")
        said_by = gr.Textbox(label="Who said it stands in", placeholder="speaker", elem_id="rp-batch-speaker-column")
    with gr.Row(elem_classes="rp-conversation-tools rp-batch-tools"):
        anonymise = gr.Checkbox(
            False, label="Leave out names and numbers", container=False, min_width=230, elem_id="rp-batch-anonymise"
        )
        upload = gr.UploadButton(
            "Upload a log",
            type="filepath",
            file_count="single",
            variant="primary",
            min_width=150,
            scale=0,
            elem_id="rp-batch-upload",
        )
    notice = gr.HTML("", elem_id="rp-batch-notice", apply_default_css=False)
    listed = gr.HTML(
        render.batches((), known=False), elem_id="rp-batches", js_on_load=_ON_LOAD, apply_default_css=False
    )
    clock = gr.Timer(_LOOK_SECONDS, active=False)

    shown = [state, notice, listed, clock, kept]

    def show(s: BatchesState) -> list[Any]:
        return [
            s,
            s.notice,
            render.batches(s.batches, known=s.known, asked=s.asked),
            gr.Timer(_LOOK_SECONDS, active=s.waiting),
            list(s.own),
        ]

    def on_upload(
        s: BatchesState, path: str | None, chosen: str, made: str, hide: bool, words: str | None, who: str | None
    ) -> list[Any]:
        if not path:
            return show(s)
        columns = {"text": words or "", "speaker": who or ""}  # None is what a box nobody has touched holds
        told: Any = {"input_format": chosen, "to": made, "anonymise": hide, "columns": columns}
        return show(acted(s, lambda s: begin(s, path, **told, client=client)))

    def on_select(s: BatchesState, event: gr.EventData) -> list[Any]:
        batch, act = getattr(event, "batch", None), getattr(event, "act", None)
        if not isinstance(batch, str):
            return show(s)
        if act == "delete":
            return show(acted(s, lambda s: delete(s, batch, client)))
        return show(acted(s, lambda s: replace(s, asked=batch if act == "ask" else None)))

    def on_tick(s: BatchesState) -> list[Any]:
        after = looked(s, lambda s: look(replace(s, notice=""), client))
        return [gr.skip()] * len(shown) if after is None else show(after)

    quiet: Any = {"show_progress": "hidden", "api_visibility": "private"}
    given = [state, upload, input_format, to, anonymise, said_in, said_by]
    # One that is chosen while another is being taken waits for it; by itself it would be dropped.
    upload.upload(on_upload, given, shown, concurrency_limit=4, trigger_mode="always_last", **quiet)
    listed.select(on_select, state, shown, trigger_mode="multiple", **quiet)
    clock.tick(on_tick, state, shown, **quiet)
    page.load(lambda s, k: show(acted(s, lambda _: restore(k, client))), [state, kept], shown, **quiet)
    page.load(lambda: introduction(client), None, intro, **quiet)
