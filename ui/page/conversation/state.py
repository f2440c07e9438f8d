"""What the Conversation tab shows, and what is done to it: plain functions of a state, of bytes and a client."""

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.formats import WRITERS, write
from ui.messages import ShownMessage, counted_from_one, messages_of
from ui.page.conversation import log as conversation_log
from ui.page.conversation.log import Log
from ui.page.drawing import render
from ui.page.drawing.people import people_of
from ui.page.drawing.timeline import timeline
from ui.page.drawing.turning import turning_points

EXAMPLE = """Ann: I finally got the job!!
Bo: No way, that is wonderful news!
Ann: I know, I was so scared they would say no.
Bo: When do you start?
Ann: In March. But I will miss you all so much...
Bo: Oh no. That makes me really sad.
Ann: Please don't cry, I feel terrible already.
Bo: I hate that you never told me, I'm so angry!
Ann: What?! I told you last week!
Bo: You did? Wow, I had no idea.
Ann: We will find a way. I promise!
Bo: You are the best, thank you!
"""


_NOTHING = Log()


@dataclass(frozen=True, kw_only=True, slots=True)
class TabState:
    """What the tab shows."""

    log: Log = _NOTHING
    done: bool = False
    working: bool = False
    chosen: int = 0
    only: str = ""
    """The one emotion that is shown; empty: every one. `person` and `query` hide in the same way."""
    person: str = ""
    query: str = ""
    leaf: int = 0
    """The part of the table that is shown, of what is found."""
    selected: int | None = None
    """The message whose details are shown."""
    corrections: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """The labels a person gave, by conversation and message."""
    notices: str = ""
    model_version: str = ""
    columns: tuple[str, ...] = ()
    """Of a table that could not be read without knowing which column is which: their names."""
    encodings: tuple[str, ...] = ()
    """What a log may be in of which that is not plain: the likeliest first."""
    format: str = "auto"
    encoding: str | None = None
    """What a person has said that it is written in."""
    data: bytes = b""
    """The log, where it is asked about."""
    filename: str = ""
    key: str = ""
    """What stands in the address."""

    @property
    def conversation(self) -> Conversation:
        """The one that is looked at."""
        return self.log.conversations[self.chosen]

    @property
    def n_messages(self) -> int:
        """In all its conversations together."""
        return sum(len(c.utterances) for c in self.log.conversations)

    @property
    def messages(self) -> tuple[ShownMessage, ...]:
        """Its messages with the labels a person gave them. Of a long conversation only the last were labelled."""
        found = messages_of(self.conversation)
        first = next((i for i, m in enumerate(found) if m.prediction), 0)
        return tuple(replace(m, correction=self.corrections.get((self.chosen, m.n))) for m in found[first:])

    def shows(self, message: ShownMessage) -> bool:
        """Whether no filter hides this message."""
        return (
            (not self.only or message.emotion == self.only)
            and (not self.person or message.speaker == self.person)
            and (not self.query or self.query.casefold() in message.text.casefold())
        )


def notices(log: Log, filename: str = "") -> Markup:
    """What to know of a labelled log: pieces not read, conversations not labelled, warnings, what was left out."""
    parts = []
    if log.unreadable:
        parts.append(render.unreadable([(u.line, u.reason, u.text) for u in log.unreadable]))
    failed = [f"{c.id}: {c.error}" for c in log.conversations if c.error]
    if failed:
        parts.append(render.notice("error", f"{len(failed)} could not be labelled", failed[:20]))
    several = len(log.conversations) > 1
    told = [(c.id, counted_from_one(w)) for c in log.conversations for w in c.warnings]
    warnings = [f"{name}: {warning}" if several else warning for name, warning in told]
    if warnings:
        cut = any(Caveat.of(w).code == "not-whole" for c in log.conversations for w in c.warnings)
        more = [f"and {len(warnings) - 20} more"] if len(warnings) > 20 else []
        parts.append(
            render.notice("warning", "Good to know", [*warnings[:20], *more], command_for(filename) if cut else None)
        )
    return Markup("").join(parts)


def select(state: TabState, n: int | None) -> TabState:
    """With the details of message n, on the leaf where it stands."""
    found = [m.n for m in state.messages if state.shows(m)] if n is not None else []
    leaf = found.index(n) // render.TABLE_SHOWN if n in found else state.leaf
    return replace(state, selected=n, leaf=leaf)


def correct(state: TabState, n: int, emotion: str | None) -> TabState:
    """The label a person gives to message n of the conversation that is looked at; None takes it back."""
    others = {place: given for place, given in state.corrections.items() if place != (state.chosen, n)}
    return replace(state, corrections=others if emotion is None else {**others, (state.chosen, n): emotion})


def save(state: TabState, format: str) -> tuple[str, str]:
    """A file name and the labelled log in a format of WRITERS. A label that a person gave is its `emotion`; the one the
    log came with stands beside it as `given_emotion`."""
    if not state.done:  # nothing labelled yet, or so long ago that it was dropped
        return "", ""
    out = io.BytesIO()
    write(_corrected(state), out, format)
    return f"{state.log.name}-emotions.{WRITERS[format].ending}", out.getvalue().decode(
        "utf-8-sig" if format == "csv" else "utf-8"
    )


def _corrected(state: TabState) -> list[Any]:
    items, place = [], -1
    for item in state.log.items:
        if isinstance(item, Conversation):
            place += 1
            given = {n: emotion for (i, n), emotion in state.corrections.items() if i == place}
            if given:
                said = tuple(_given(u, given.get(n)) for n, u in enumerate(item.utterances))
                item = replace(item, utterances=said)
        items.append(item)
    return items


def _given(utterance: Utterance, emotion: str | None) -> Utterance:
    if emotion is None:
        return utterance
    came_with = {} if utterance.emotion is None else {"given_emotion": utterance.emotion}
    return replace(utterance, emotion=emotion, extra={**utterance.extra, **came_with})


def _leaf(state: TabState, n_found: int) -> int:
    return max(0, min(state.leaf, (n_found - 1) // render.TABLE_SHOWN))


def shown_conversation(state: TabState) -> tuple[Markup, Markup, Markup, Markup]:
    """Overview, timeline, table and the details of the chosen message."""
    if not state.done:
        return Markup(""), Markup(""), Markup(""), Markup("")
    messages = state.messages
    people = people_of((), messages)
    found = [m for m in messages if state.shows(m)]
    message = next((m for m in messages if m.n == state.selected), None)
    labels = sorted(message.prediction.probabilities) if message and message.prediction else ()
    return (
        render.overview(messages, people, turning_points(messages)),
        timeline(messages),
        render.table(found, messages, people, state.selected, _leaf(state, len(found))),
        render.log_details(message, messages, labels) if message else Markup(""),
    )


def command_for(filename: str) -> str:
    """What the command line is told for this file."""
    return f"rapport annotate {_quoted(filename or 'chat.txt')} -o labelled.jsonl"


def _quoted(name: str) -> str:
    return (
        name
        if name.replace(".", "").replace("-", "").replace("_", "").isalnum()
        else "'" + name.replace("'", "'\\''") + "'"
    )


def taken(path: str) -> tuple[bytes, str]:
    """The content and name of an upload, which is deleted from the server at once. An upload over the limit is cut
    one byte after it, so that it is refused without being read whole."""
    file = Path(path)
    try:
        with file.open("rb") as stream:
            return stream.read(conversation_log.LARGEST_LOG + 1), file.name
    finally:
        with suppress(OSError):
            file.unlink()
