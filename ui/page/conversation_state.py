"""What the Conversation tab shows, and what is done to it: plain functions of a state, of bytes and a client."""

import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.formats import READERS, WRITERS, write
from serve.client import Client, ServiceError
from ui.messages import ShownMessage, counted_from_one, messages_of
from ui.page import conversation_log, render
from ui.page.conversation_log import Log, TooLarge, header_of, label, read_log
from ui.page.people import people_of
from ui.page.timeline import timeline
from ui.page.turning import turning_points

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
    selected: int | None = None
    """The message whose details are shown."""
    corrections: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """The labels a person gave, by conversation and message."""
    notices: str = ""
    model_version: str = ""
    columns: tuple[str, ...] = ()
    """Of a table that could not be read without knowing which column is which: their names. `data` is that table."""
    data: bytes = b""
    filename: str = ""
    key: str = ""
    """What stands in the address."""

    @property
    def conversation(self) -> Conversation:
        """The one that is looked at."""
        return self.log.conversations[self.chosen]

    @property
    def messages(self) -> tuple[ShownMessage, ...]:
        """Its messages with the labels a person gave them. Of a long conversation only the last were labelled."""
        found = messages_of(self.conversation)
        first = next((i for i, m in enumerate(found) if m.prediction), 0)
        return tuple(
            replace(m, correction=self.corrections.get((self.chosen, m.n)))
            for m in found[first:][-render.TABLE_SHOWN :]
        )

    def shows(self, message: ShownMessage) -> bool:
        """Whether no filter hides this message."""
        return (
            (not self.only or message.emotion == self.only)
            and (not self.person or message.speaker == self.person)
            and (not self.query or self.query.casefold() in message.text.casefold())
        )


def run(
    data: bytes, *, filename: str, format: str, client: Client, columns: Mapping[str, str] | None = None
) -> Iterator[TabState]:
    """From bytes to what the tab shows, step by step; every fault ends in a state with a notice."""
    if not data.strip():
        yield TabState(notices=render.notice("info", "Paste a conversation or upload a file first."))
        return
    try:
        log = read_log(data, filename=filename, format=format, columns=columns)
    except TooLarge as fault:
        yield TabState(notices=_too_large(str(fault), filename))
        return
    n = sum(len(c.utterances) for c in log.conversations)
    if not n:
        table = header_of(data) if any("column" in u.reason for u in log.unreadable) else ()
        found = TabState(notices=_nothing(log, bool(table)))
        yield replace(found, columns=table, data=data, filename=filename) if table else found
        return
    yield TabState(notices=_working(0.0, n), working=True)
    finished, version = log, ""
    try:
        for share, log_so_far, model in label(log, client):
            finished, version = log_so_far, model
            if share < 1:
                yield TabState(notices=_working(share, n), working=True)
    except ServiceError as error:
        yield TabState(notices=render.problem(error))
        return
    first = next(i for i, c in enumerate(finished.conversations) if c.utterances)
    yield TabState(log=finished, done=True, chosen=first, notices=notices(finished, filename), model_version=version)


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
            render.notice("warning", "Good to know", [*warnings[:20], *more], _command(filename) if cut else None)
        )
    return Markup("").join(parts)


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
        render.table(found, messages, people, state.selected),
        render.log_details(message, messages, labels) if message else Markup(""),
    )


def _working(share: float, n: int) -> Markup:
    return render.progress(f"Labelling {n:,} message{'s' * (n != 1)}", share)


def _too_large(reason: str, filename: str) -> Markup:
    title, lines = "This log is too large for the page.", [reason, "The Batch tab and the command line take more:"]
    return render.notice("error", title, lines, _command(filename))


def _command(filename: str) -> str:
    return f"rapport annotate {_quoted(filename or 'chat.txt')} -o labelled.jsonl"


def _quoted(name: str) -> str:
    return (
        name
        if name.replace(".", "").replace("-", "").replace("_", "").isalnum()
        else "'" + name.replace("'", "'\\''") + "'"
    )


def _nothing(log: Log, table: bool) -> Markup:
    expected = f"Expected one of: {', '.join(READERS)}. Plain text looks like `Name: text`."
    box = render.notice(
        "error", "No message could be read.", ["Say below which column is which." if table else expected]
    )
    return box + (render.unreadable([(u.line, u.reason, u.text) for u in log.unreadable]) if log.unreadable else "")


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
