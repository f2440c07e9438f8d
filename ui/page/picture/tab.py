"""The Picture tab: a picture is shown, questions are asked in rounds, and what each answer rests on is laid open.

What happens is in plain functions from a `PictureState` and a client to the next state; `build` wires them up.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from serve.client import Client, Round, ServiceError, VisualDialog
from ui.page.drawing import render
from ui.page.limits import limits_of
from ui.page.picture import rendering as picture_render
from ui.page.scripts import script


@dataclass(slots=True)
class Desk:
    """What the events of one visitor share while they run side by side."""

    newest: int = 0
    """The number of the picture shown or taken away last: what is answered about an earlier one comes too late."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureState:
    """One visitor's picture and questions. `address` holds the picture itself."""

    desk: Desk = field(default_factory=Desk)
    arriving: bool = False
    """Whether another picture is being looked at, about which the next question will be."""
    arrived: int = 0
    """The number of the picture that came last, or failed to."""
    dialog: VisualDialog | None = None
    address: str = ""
    selected: int | None = None
    asking: str | None = None
    notice: str = ""
    unsent: str | None = None
    """What is put into the question box; None leaves what stands there."""

    @property
    def chosen(self) -> Round | None:
        """The round whose answer is laid open: the selected one, else the last."""
        if self.dialog is None or not self.dialog.rounds:
            return None
        return self.dialog.rounds[-1 if self.selected is None else min(self.selected, len(self.dialog.rounds) - 1)]


def open_file(state: PictureState, path: str, client: Client) -> Iterator[PictureState]:
    """The state while the picture is looked at, then with it. The upload is deleted; the picture before it too. One
    that comes meanwhile is shown in its place."""
    state.desk.newest += 1
    own = state.desk.newest
    before = replace(state, arriving=False, arrived=own, asking=None)
    try:
        size, most = os.path.getsize(path), limits_of(client).picture
        if size > most:
            told = f"It has {render.size(size)}; at most {render.size(most)} are taken."
            yield replace(before, notice=render.notice("error", "This picture is too large.", [told]))
            return
        data = Path(path).read_bytes()
    except ServiceError as error:
        yield replace(before, notice=picture_render.problem(error))
        return
    finally:
        Path(path).unlink(missing_ok=True)
    yield replace(state, arriving=True, notice="", unsent=None)
    try:
        dialog = client.show_picture(data)
        address = picture_render.as_address(client.picture(dialog.id))
    except ServiceError as error:
        if state.desk.newest == own:
            yield replace(before, notice=picture_render.problem(error), unsent=None)
        return
    if state.desk.newest != own:
        with contextlib.suppress(ServiceError):
            client.delete_visual_dialog(dialog.id)
        return
    if state.dialog is not None:
        with contextlib.suppress(ServiceError):  # what was asked for is the new one
            client.delete_visual_dialog(state.dialog.id)
    yield PictureState(desk=state.desk, arrived=own, dialog=dialog, address=address)


def ask(state: PictureState, question: str, client: Client) -> Iterator[PictureState]:
    """The state with the question, then with its answer. A question that fails goes back into the box, and so does one
    that comes while another picture is on its way; an answer that comes after another picture is left out."""
    own = state.desk.newest
    before = replace(state, notice="", unsent=None)
    question = " ".join(question.split())
    if not question:
        yield before
        return
    if state.arriving:
        lines = ["It has not been asked; ask it once the picture is here."]
        yield replace(
            before, notice=render.notice("info", "Your new picture is still on its way.", lines), unsent=question
        )
        return
    if state.dialog is None:
        yield replace(before, notice=render.notice("info", "Show a picture first."), unsent=question)
        return
    try:
        most = limits_of(client).question
    except ServiceError as error:
        yield replace(before, notice=picture_render.problem(error), unsent=question)
        return
    if len(question) > most:
        told = f"It has {len(question):,} characters; at most {most:,} are read."
        yield replace(before, notice=render.notice("error", "The question is too long.", [told]), unsent=question)
        return
    yield replace(before, asking=question, unsent="")
    try:
        added = client.ask(state.dialog.id, question)
        rounds = (*state.dialog.rounds, added)
        if added.n != len(state.dialog.rounds):  # the same picture is open in another window too
            rounds = client.visual_dialog(state.dialog.id).rounds
    except ServiceError as error:
        if state.desk.newest != own:
            return
        notice = picture_render.problem(error)
        kept = PictureState(desk=state.desk, arrived=state.arrived) if error.status == 404 else before
        yield replace(kept, notice=notice, unsent=question)
        return
    if state.desk.newest == own:
        yield replace(before, dialog=replace(state.dialog, rounds=rounds), selected=None)


def restore(kept: Any, client: Client) -> PictureState:
    """The picture this browser remembers, if the service still has it."""
    dialog_id = kept.get("dialog") if isinstance(kept, dict) else None
    if not isinstance(dialog_id, str) or not dialog_id:
        return PictureState()
    try:
        dialog = client.visual_dialog(dialog_id)
        return PictureState(dialog=dialog, address=picture_render.as_address(client.picture(dialog.id)))
    except ServiceError as error:
        return PictureState() if error.status in (404, 422) else PictureState(notice=picture_render.problem(error))


def forget(state: PictureState, client: Client) -> PictureState:
    """No picture; it is deleted in the service as well."""
    state.desk.newest += 1
    if state.dialog is not None:
        try:
            client.delete_visual_dialog(state.dialog.id)
        except ServiceError as error:
            if error.status != 404:
                return replace(state, notice=picture_render.problem(error))
    return PictureState(desk=state.desk, arrived=state.arrived, unsent="")


def largest(client: Client) -> str:
    """What the script knows of how large a picture may be; nothing where the service does not say."""
    try:
        return picture_render.largest(limits_of(client).picture)
    except ServiceError:
        return ""


# The components

_ITS_OWN = """async kept => {
  const own = window.rapport.read('rapport-picture-shown', null, sessionStorage);
  if (own) return {dialog: own};
  const held = kept?.dialog && navigator.locks ? (await navigator.locks.query()).held : [];
  return held.some(lock => lock.name === `rapport-picture-shown-${kept.dialog}`) ? null : kept;
}"""
"""In the browser: a window begins with its own picture, else with the one shown last that no other window has."""


def memory() -> gr.BrowserState:
    """What the browser keeps. It stands outside the tabs: one that is not open is not there yet when a page loads."""
    return gr.BrowserState(None, storage_key="rapport-picture", secret="rapport")


def build(page: gr.Blocks, client: Client, kept: gr.BrowserState) -> None:
    """The tab's components and events, inside whatever block of the page is open."""
    state = gr.State(PictureState())
    with gr.Row(elem_classes="rp-picture-columns"):
        with gr.Column(scale=3, min_width=320):
            shown_picture = gr.HTML(
                picture_render.picture(None, "", None), elem_id="rp-picture", apply_default_css=False
            )
            with gr.Row(elem_classes="rp-chat-tools"):
                upload = gr.UploadButton(
                    "Upload a picture",
                    type="filepath",
                    file_count="single",
                    variant="primary",
                    size="md",
                    min_width=150,
                    elem_id="rp-picture-upload",
                )
                new = gr.Button(
                    "Delete the picture", size="md", min_width=120, visible=False, elem_id="rp-picture-forget"
                )
            gr.Checkbox(label="Show where it looked", value=False, container=False, elem_id="rp-where")
            with gr.Accordion("Take one with the camera", open=False, elem_id="rp-camera") as taking:
                camera = gr.Image(
                    sources=["webcam"],
                    type="filepath",
                    image_mode=None,
                    show_label=False,
                    buttons=[],
                    height=260,
                    elem_id="rp-camera-image",
                )
        with gr.Column(scale=2, min_width=320):
            log = gr.HTML(
                picture_render.rounds(None),
                elem_id="rp-rounds",
                js_on_load=script("drop.js", "picture.js", "picture_sending.js", "picture_camera.js"),
                apply_default_css=False,
            )
            notice = gr.HTML("", elem_id="rp-picture-notice", apply_default_css=False)
            question = gr.Textbox(
                label="Question",
                show_label=False,
                placeholder="Ask about the picture",
                lines=1,
                max_lines=4,
                submit_btn="Ask",
                html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=True),
                elem_id="rp-question",
            )
            details = gr.HTML("", elem_id="rp-answer", apply_default_css=False)
    most = gr.HTML("", elem_id="rp-picture-most", apply_default_css=False)

    shown = [state, shown_picture, log, notice, details, kept, new, question]

    def show(s: PictureState, before: PictureState | None = None) -> list[Any]:
        chosen = s.chosen
        earlier = () if s.dialog is None or chosen is None else s.dialog.rounds[: chosen.n]
        same = before is not None and before.dialog is not None and s.dialog and before.dialog.id == s.dialog.id
        return [
            s,
            picture_render.picture(s.dialog, "" if same else s.address, None if chosen is None else chosen.answer),
            picture_render.rounds(s.dialog, s.asking, None if chosen is None else chosen.n),
            picture_render.notices(s.notice, s.arrived),
            picture_render.answer(chosen, earlier),
            {"dialog": None if s.dialog is None else s.dialog.id},
            gr.update(visible=s.dialog is not None),
            gr.skip() if s.unsent is None else s.unsent,
        ]

    def on_file(s: PictureState, path: str | None) -> Iterator[list[Any]]:
        if path:
            for after in open_file(s, path, client):
                yield show(after, s)

    def on_camera(s: PictureState, path: str | None) -> Iterator[list[Any]]:
        for drawn in on_file(s, path):
            yield [*drawn, None, gr.update(open=False)]

    def on_ask(s: PictureState, words: str) -> Iterator[list[Any]]:
        for after in ask(s, words, client):
            yield show(after, s)

    def on_select(s: PictureState, event: gr.EventData) -> list[Any]:
        n = getattr(event, "n", None)
        return show(replace(s, selected=n if isinstance(n, int) and n >= 0 else None, unsent=None), s)

    quiet: Any = {"show_progress": "hidden", "api_visibility": "private"}
    # One that is chosen while another is being looked at takes its place; by itself it would be dropped.
    upload.upload(on_file, [state, upload], shown, concurrency_limit=4, trigger_mode="multiple", **quiet)
    camera.input(on_camera, [state, camera], [*shown, camera, taking], concurrency_limit=4, **quiet)
    question.submit(on_ask, [state, question], shown, concurrency_limit=16, trigger_mode="always_last", **quiet)
    log.select(on_select, state, shown, trigger_mode="multiple", **quiet)
    new.click(lambda s: show(forget(s, client)), state, shown, **quiet)
    page.load(lambda k: show(restore(k, client)), kept, shown, js=_ITS_OWN, **quiet)
    page.load(lambda: largest(client), None, most, **quiet)
