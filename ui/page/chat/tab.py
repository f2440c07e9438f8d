"""The Chat tab: people type in turn, every message is labelled as it arrives, and all of it can be changed again.

What was typed is the browser's until the service has it: the box, the messages on their way and who speaks next are
kept there, so that no letter waits for an answer. The server is asked one thing at a time: `answer` is a plain
function from what a browser asks to the pieces it shows, and holds nothing between two calls.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import gradio as gr

from dialog.conversation import Conversation, Utterance
from serve.client import Client, ServiceError
from ui.page.chat import acts as chat_acts
from ui.page.chat import suggestions
from ui.page.chat.acts import Changed, Said, TooLong
from ui.page.chat.view import ChatView, look
from ui.page.drawing import render
from ui.page.drawing.people import COLOURS
from ui.page.limits import limits_of
from ui.page.scripts import script
from ui.page.templates import render as fill

LONGEST_NAME = 40
"""Signs as a reader counts them; the service may take fewer code points."""
MAX_PEOPLE = 12
_DELETED = "This chat was deleted."


def answer(asked: Any, client: Client) -> dict[str, Any]:
    """What the browser is to show after an act: pieces of HTML, and facts to keep.

    Where it fails there is a `notice`, and of the others as many as there are: `again` is in how many seconds it may be
    tried again, `gone` that the service has no such chat, `refused` why a message is not taken.
    """
    if not isinstance(asked, dict):
        return {"refused": "This is not what the page asks."}
    act = _ACTS.get(str(asked.get("act")), opened)
    try:
        return act(asked, client)
    except TooLong as fault:
        return {"notice": render.notice("info", "This chat is too long for that.", [str(fault)]), "refused": str(fault)}
    except ServiceError as error:
        return failed(error)


def failed(error: ServiceError) -> dict[str, Any]:
    """What is told where the service refuses."""
    told: dict[str, Any] = {"notice": render.problem(error, gone=_DELETED)}
    if error.overloaded or error.status == 0:
        return {**told, "again": min(error.retry_after or 2.0, 30.0)}
    return {**told, "gone": True} if error.status == 404 else {**told, "refused": error.detail}


def _too_long(what: str, has: int, most: int) -> dict[str, Any]:
    why = f"It has {has:,} characters; at most {most:,} fit into one {what}."
    return {"notice": render.notice("error", f"The {what} is too long.", [why]), "refused": why}


def opened(asked: dict[str, Any], client: Client) -> dict[str, Any]:
    """The chat as it stands. ServiceError."""
    return look(ChatView.of(asked), client)


def _say(asked: dict[str, Any], client: Client) -> dict[str, Any]:
    text, speaker = text_of(asked, "text").strip(), text_of(asked, "speaker")
    if not text or not speaker:
        return {"refused": "There is nothing in this message."}
    limits = limits_of(client)
    for what, given, most in (("message", text, limits.text), ("name", speaker, limits.name)):
        if len(given) > most:
            return _too_long(what, len(given), most)
    said = Said(speaker=speaker, text=text, time=text_of(asked, "time") or None)
    chat, message = chat_acts.say(text_of(asked, "chat") or None, said, client, again=asked.get("again") is True)
    warnings = {message.n: message.warnings} if message.warnings else {}
    return after(asked, chat, warnings, client) | {"n": message.n}


def _correct(asked: dict[str, Any], client: Client) -> dict[str, Any]:
    chat, n = _message(asked)
    client.correct(chat, n, text_of(asked, "emotion_given") or None)
    return opened(asked, client)


def _edit(asked: dict[str, Any], client: Client) -> dict[str, Any]:
    chat, n = _message(asked)
    text = text_of(asked, "text").strip()
    changed = chat_acts.edit(chat, n, text, client) if text else chat_acts.remove(chat, n, client)
    return _changed(asked, changed, f"Message {n + 1} was {'changed' if text else 'deleted'}.", client)


def _remove(asked: dict[str, Any], client: Client) -> dict[str, Any]:
    chat, n = _message(asked)
    changed = chat_acts.remove(chat, n, client)
    return _changed({**asked, "selected": None}, changed, f"Message {n + 1} was deleted.", client)


def _rename(asked: dict[str, Any], client: Client) -> dict[str, Any]:
    chat, old, new = text_of(asked, "chat"), text_of(asked, "old"), " ".join(text_of(asked, "new").split())
    longest = limits_of(client).name
    if len(new) > longest:
        return _too_long("name", len(new), longest)
    if not chat or not new:
        return opened(asked, client)
    return _changed(asked, chat_acts.rename(chat, old, new, client), f"{old} is now {new}.", client)


def _forget(asked: dict[str, Any], client: Client) -> dict[str, Any]:
    chat = text_of(asked, "chat")
    before = chat_acts.forget(chat, client) if chat else ()
    empty = look(ChatView.of({"people": asked.get("people")}), client)
    return empty | _undo(before, "The chat was deleted.")


def _bring_back(asked: dict[str, Any], client: Client) -> dict[str, Any]:
    before = _said(asked.get("before"))
    changed = chat_acts.bring_back(before, text_of(asked, "chat") or None, client)
    return after(asked, changed.chat, changed.warnings, client, first=changed.first)


def _responders(asked: dict[str, Any], client: Client) -> dict[str, Any]:
    del asked
    return {"responders": list(client.responders())}


def _export(asked: dict[str, Any], client: Client) -> dict[str, Any]:
    chat_id = text_of(asked, "chat")
    if not chat_id:
        return {"notice": render.notice("info", "Nobody has said anything yet.")}
    file, text = export(chat_id, client)
    return {"file": file, "content": text}


def export(chat_id: str, client: Client) -> tuple[str, str]:
    """A file name, and the chat as a line of jsonl: `emotion` is the person's label, `prediction` the model's."""
    chat = client.chat(chat_id)
    utterances = tuple(
        Utterance(
            speaker=m.speaker,
            text=m.text,
            time=m.time,
            emotion=m.correction,
            prediction=m.prediction,
            extra={} if m.reply is None else {"reply": asdict(m.reply)},
        )
        for m in chat.messages
    )
    line = Conversation(id=chat.id, utterances=utterances, extra={"model_version": chat.model_version, "mode": "live"})
    return f"rapport-chat-{chat.created[:10]}.jsonl", json.dumps(line.to_dict(), ensure_ascii=False) + "\n"


_ACTS: dict[str, Callable[[dict[str, Any], Client], dict[str, Any]]] = {
    "open": opened,
    "say": _say,
    "correct": _correct,
    "edit": _edit,
    "remove": _remove,
    "rename": _rename,
    "forget": _forget,
    "bring_back": _bring_back,
    "export": _export,
    "responders": _responders,
}


def _changed(asked: dict[str, Any], changed: Changed, what: str, client: Client) -> dict[str, Any]:
    told = after(asked, changed.chat, changed.warnings, client, first=changed.first)
    return told | _undo(changed.before, what)


def after(
    asked: dict[str, Any],
    chat: str | None,
    warnings: dict[int, tuple[str, ...]],
    client: Client,
    *,
    first: int | None = None,
) -> dict[str, Any]:
    """The chat after an act that gave new warnings; first: those from this message on are of messages that are no
    more."""
    told_before = asked["warnings"] if isinstance(asked.get("warnings"), dict) else {}
    kept = {n: w for n, w in told_before.items() if first is None or (str(n).isdecimal() and int(n) < first)}
    known = {**kept, **{str(n): list(told) for n, told in warnings.items()}}
    shown = look(ChatView.of({**asked, "chat": chat, "warnings": known}), client)
    return {**shown, "chat": chat, "warnings": known}


def _undo(before: tuple[Said, ...], what: str) -> dict[str, Any]:
    """What the browser sends back to have it all as it was."""
    kept = [asdict(said) for said in before]
    return {"undo": {"what": what, "before": kept}} if kept else {"undo": None}


def _said(value: Any) -> tuple[Said, ...]:
    found = []
    for entry in (value if isinstance(value, list) else [])[: chat_acts.MOST_BROUGHT_BACK]:
        if isinstance(entry, dict) and text_of(entry, "speaker") and text_of(entry, "text"):
            correction = text_of(entry, "correction") or None
            time = text_of(entry, "time") or None
            reply = entry.get("reply") if isinstance(entry.get("reply"), dict) else None
            told = {"speaker": entry["speaker"], "text": entry["text"], "time": time, "correction": correction}
            found.append(Said(**told, reply=reply))
    return tuple(found)


def _message(asked: dict[str, Any]) -> tuple[str, int]:
    n = asked.get("n")
    if not text_of(asked, "chat") or not isinstance(n, int) or n < 0:
        raise ServiceError(404, "not-found", "there is no such message")
    return text_of(asked, "chat"), n


def text_of(asked: dict[str, Any], key: str) -> str:
    """What a browser says under that key; nothing where it is no text."""
    value = asked.get(key)
    return value if isinstance(value, str) else ""


# The component


def build(client: Client) -> None:
    """The tab, inside whatever block of the page is open: one component, and the functions it calls."""

    def chat(asked: Any) -> dict[str, Any]:
        return answer(asked, client)

    def suggest(asked: Any) -> dict[str, Any]:
        return suggestions.suggest(asked, client)

    gr.HTML(
        fill("chat.html.j2", colours=COLOURS, longest_name=LONGEST_NAME, max_people=MAX_PEOPLE),
        elem_id="rp-chat-tab",
        js_on_load=script("chat.js", "assistant.js", "suggest.js", "chat_start.js"),
        server_functions=[chat, suggest],
        apply_default_css=False,
    )
