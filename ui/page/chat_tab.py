"""The Chat tab: people type in turn, every message is labelled as it arrives, labels can be corrected.

What happens is in plain functions from a `ChatState` and a client to the next state; `build` wires them to components.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from dialog.conversation import Conversation, Utterance
from serve.client import Client, ServiceError
from ui.messages import ShownMessage, named
from ui.page import render
from ui.page.download import download_button
from ui.page.limits import limits_of
from ui.page.timeline import timeline

FIRST_SPEAKERS = ("Ann", "Bo")
MAX_SPEAKERS = 12
LONGEST_NAME = 40
"""On this page; the service may take less."""
TIMELINE_WINDOW = 30
"""The timeline follows this many of the last messages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatState:
    """One visitor's chat. `chat` is the service's id of it, None before the first message."""

    chat: str | None = None
    labels: tuple[str, ...] = ()
    messages: tuple[ShownMessage, ...] = ()
    speakers: tuple[str, ...] = FIRST_SPEAKERS
    speaking: str = FIRST_SPEAKERS[0]
    selected: int | None = None
    notice: str = ""
    unsent: str | None = None
    """What is put into the message box: nothing once a message is taken, the message when it fails. None leaves what
    stands there, which may be the next message already."""

    def message(self, n: int | None) -> ShownMessage | None:
        """Message n, if there is one."""
        return self.messages[n] if n is not None and 0 <= n < len(self.messages) else None


def say(state: ChatState, text: str, *, take_turns: bool, client: Client) -> Iterator[ChatState]:
    """The state with the message being read, then with its label. A message that fails goes back into the box."""
    before = replace(state, notice="", unsent=None)
    if not text.strip():
        yield before
        return
    text = text.strip()
    try:
        limits = limits_of(client)
    except ServiceError as error:
        yield replace(before, notice=render.problem(error), unsent=text)
        return
    if len(text) > limits.text:
        problem = f"This message has {len(text):,} characters; at most {limits.text:,} fit into one."
        yield replace(before, notice=render.notice("error", "The message is too long.", [problem]), unsent=text)
        return
    if len(state.speaking) > limits.name:
        problem = f"The name {state.speaking} has {len(state.speaking):,} characters; at most {limits.name:,} fit."
        yield replace(before, notice=render.notice("error", "The name is too long.", [problem]), unsent=text)
        return
    waiting = ShownMessage(n=len(state.messages), speaker=state.speaking, text=text)
    yield replace(before, messages=(*state.messages, waiting), unsent="")
    try:
        if state.chat is None:
            chat = client.start_chat()
            before = replace(before, chat=chat.id, labels=chat.labels)
        message = ShownMessage.of(client.add_message(str(before.chat), state.speaking, text))
        messages = (*state.messages, message)
        if message.n != len(state.messages):  # the same chat is open in another window too
            messages = _all(client, str(before.chat))
    except ServiceError as error:
        notice = render.problem(error, gone="This chat was deleted. Send again to begin a new one.")
        if error.status == 404:
            before = replace(before, chat=None, messages=(), selected=None)
        yield replace(before, notice=notice, unsent=text)
        return
    speaking = _next_speaker(state) if take_turns else state.speaking
    yield replace(before, messages=messages, speaking=speaking)
    # An assistant's reply is one more message here: another `replace` and another `yield`.


def add_speaker(state: ChatState, name: str) -> ChatState:
    """The state with one more name, who speaks next. A name that is known just speaks next."""
    name = " ".join(name.split())[:LONGEST_NAME]
    if not name:
        return state
    if name in state.speakers:
        return replace(state, speaking=name, notice="")
    if len(state.speakers) >= MAX_SPEAKERS:
        return replace(state, notice=render.notice("info", f"A chat on this page has at most {MAX_SPEAKERS} people."))
    return replace(state, speakers=(*state.speakers, name), speaking=name, notice="")


def correct(state: ChatState, emotion: str | None, client: Client) -> ChatState:
    """The selected message with the label a person gave it; None takes that back."""
    message = state.message(state.selected)
    if message is None or message.pending or state.chat is None:
        return state
    try:
        corrected = ShownMessage.of(client.correct(state.chat, message.n, emotion))
    except ServiceError as error:
        return replace(state, notice=render.problem(error))
    messages = (*state.messages[: message.n], corrected, *state.messages[message.n + 1 :])
    return replace(state, messages=messages, notice="")


def restore(kept: Any, client: Client) -> ChatState:
    """The chat this browser remembers, if the service still has it; else a new one."""
    chat_id = kept.get("chat") if isinstance(kept, dict) else None
    if not isinstance(chat_id, str) or not chat_id:
        return ChatState()
    try:
        chat = client.chat(chat_id)
    except ServiceError as error:
        return ChatState() if error.status in (404, 422) else ChatState(notice=render.problem(error))
    messages = tuple(ShownMessage.of(m) for m in chat.messages)
    names = (*dict.fromkeys(m.speaker for m in messages), *_names(kept.get("speakers")), *FIRST_SPEAKERS)
    speakers = tuple(dict.fromkeys(names))[: max(2, len({m.speaker for m in messages}))]
    state = ChatState(chat=chat.id, labels=chat.labels, messages=messages, speakers=speakers, speaking=speakers[0])
    return replace(state, speaking=messages[-1].speaker) if messages else state


def remembered(state: ChatState) -> dict[str, Any]:
    """What the browser keeps, so that a reload brings the chat back: no text."""
    return {"chat": state.chat, "speakers": list(state.speakers)}


def forget(state: ChatState, client: Client) -> ChatState:
    """A new chat; the old one is deleted in the service as well."""
    if state.chat is not None:
        try:
            client.delete_chat(state.chat)
        except ServiceError as error:
            return replace(state, notice=render.problem(error))
    return ChatState(speakers=state.speakers, speaking=state.speakers[0])


def export(state: ChatState, client: Client) -> tuple[str, str]:
    """A file name, and the chat as a line of jsonl: `emotion` is the person's label, `prediction` the model's."""
    if state.chat is None:
        return "", ""
    chat = client.chat(state.chat)
    utterances = tuple(
        Utterance(speaker=m.speaker, text=m.text, time=m.time, emotion=m.correction, prediction=m.prediction)
        for m in chat.messages
    )
    line = Conversation(id=chat.id, utterances=utterances, extra={"model_version": chat.model_version, "mode": "live"})
    return f"rapport-chat-{chat.created[:10]}.jsonl", json.dumps(line.to_dict(), ensure_ascii=False) + "\n"


def _next_speaker(state: ChatState) -> str:
    place = state.speakers.index(state.speaking) if state.speaking in state.speakers else -1
    return state.speakers[(place + 1) % len(state.speakers)]


def _all(client: Client, chat_id: str) -> tuple[ShownMessage, ...]:
    return tuple(ShownMessage.of(m) for m in client.chat(chat_id).messages)


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


# The components


_ON_LOAD = """
element.addEventListener('click', event => {
  const message = event.target.closest('[data-n]');
  if (message) trigger('select', {n: Number(message.dataset.n)});
});
const frame = element.closest('#rp-chat-log') || element;
const bottom = () => { frame.scrollTop = frame.scrollHeight; };
let length = 0;
new MutationObserver(() => {
  const now = element.querySelectorAll('[data-n]').length;
  if (now > length) requestAnimationFrame(bottom);
  length = now;
}).observe(element, {childList: true, subtree: true});
"""


def build(page: gr.Blocks, client: Client) -> None:
    """The tab's components and events, inside whatever block of the page is open."""
    state = gr.State(ChatState())
    # The id is kept in this browser only; encrypting it with a key that changes at every start would lose it.
    kept = gr.BrowserState(None, storage_key="rapport-chat", secret="rapport")
    plot = gr.HTML(timeline([]), elem_id="rp-chat-timeline", apply_default_css=False)
    with gr.Row(elem_classes="rp-chat-columns"):
        with gr.Column(scale=3, min_width=320, elem_classes="rp-chat-main"):
            log = gr.HTML(render.transcript([]), elem_id="rp-chat-log", js_on_load=_ON_LOAD, apply_default_css=False)
            notice = gr.HTML("", elem_id="rp-chat-notice", apply_default_css=False)
            with gr.Group(elem_classes="rp-composer"):
                speaker = gr.Radio(
                    list(FIRST_SPEAKERS),
                    value=FIRST_SPEAKERS[0],
                    label="Who speaks",
                    elem_id="rp-speaker",
                    elem_classes="rp-pills",
                    interactive=True,
                )
                text = gr.Textbox(
                    label="Message",
                    show_label=False,
                    placeholder="Type a message",
                    lines=1,
                    max_lines=6,
                    submit_btn="Send",
                    html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=True),
                    elem_id="rp-message",
                )
            with gr.Row(elem_classes="rp-chat-tools"):
                turns = gr.Checkbox(
                    True, label="Take turns", info="", elem_id="rp-turns", container=False, min_width=110
                )
                name = gr.Textbox(
                    label="Another person",
                    show_label=False,
                    placeholder="Somebody else",
                    max_length=LONGEST_NAME,
                    submit_btn="Add",
                    container=False,
                    min_width=160,
                    scale=2,
                    elem_id="rp-new-name",
                )
        with gr.Column(scale=2, min_width=280, elem_classes="rp-chat-side"):
            details = gr.HTML(render.details(None), elem_id="rp-details", apply_default_css=False)
            label = gr.Radio(
                [],
                label="What is it really?",
                elem_id="rp-correction",
                elem_classes="rp-pills",
                visible=False,
                interactive=True,
            )
            uncorrect = gr.Button("Take the correction back", size="sm", visible=False, elem_id="rp-uncorrect")
            with gr.Row(elem_classes="rp-chat-tools"):
                download_button(
                    "Export with corrections",
                    lambda s: export(s, client),
                    state,
                    elem_id="rp-export",
                    notice=notice,
                    nothing="Nobody has said anything yet.",
                )
                new = gr.Button("Delete, begin anew", size="sm", min_width=120, elem_id="rp-new-chat")

    # The message box comes last: where a state leaves it alone, its value is skipped.
    shown = [state, plot, log, notice, speaker, details, label, uncorrect, kept, text]

    def show(s: ChatState) -> list[Any]:
        message = s.message(s.selected)
        answered = message is not None and not message.pending
        return [
            s,
            timeline(s.messages, window=TIMELINE_WINDOW),
            render.transcript(s.messages, s.selected),
            s.notice,
            gr.update(choices=list(s.speakers), value=s.speaking),
            render.details(message, s.messages),
            gr.update(
                visible=answered,
                choices=[(named(e), e) for e in s.labels],
                value=message.emotion if message else None,
            ),
            gr.update(visible=bool(message and message.correction)),
            remembered(s),
            gr.skip() if s.unsent is None else s.unsent,
        ]

    def on_say(s: ChatState, who: str | None, words: str, take: bool) -> Iterator[list[Any]]:
        for after in say(replace(s, speaking=who or s.speaking), words, take_turns=take, client=client):
            yield show(after)

    def on_select(s: ChatState, event: gr.EventData) -> list[Any]:
        n = getattr(event, "n", None)
        return show(replace(s, selected=n if isinstance(n, int) and n != s.selected else None))

    def on_speaker(s: ChatState, who: str | None) -> ChatState:
        return replace(s, speaking=who) if who in s.speakers else s

    quiet: Any = {"show_progress": "hidden", "api_visibility": "private"}
    # Enter while a message is being read sends the next one as soon as that is done.
    text.submit(on_say, [state, speaker, text, turns], shown, concurrency_limit=16, trigger_mode="always_last", **quiet)
    log.select(on_select, state, shown, **quiet)
    speaker.input(on_speaker, [state, speaker], state, **quiet)
    name.submit(lambda s, n: [*show(add_speaker(s, n)), ""], [state, name], [*shown, name], **quiet)
    label.input(lambda s, e: show(correct(s, e, client)), [state, label], shown, **quiet)
    uncorrect.click(lambda s: show(correct(s, None, client)), state, shown, **quiet)
    new.click(lambda s: show(forget(s, client)), state, shown, **quiet)
    page.load(lambda k: show(restore(k, client)), kept, shown, **quiet)
