"""Replies of the service to what the page shows: pure functions from values to escaped HTML."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from dialog.conversation import Cause, Prediction
from dialog.formats import WRITERS
from dialog.labels import UNSURE_BELOW
from serve.client import Batch, ServiceError
from ui.messages import ShownMessage, colour, number, percent, sounding
from ui.page.drawing.glyphs import glyph
from ui.page.drawing.graphemes import initial, shortened
from ui.page.drawing.people import Person, people_of
from ui.page.drawing.turning import Turn
from ui.page.templates import render

CHAT_SHOWN = 200
"""The page shows this many of a chat's messages; the file that is exported has all of them."""
TABLE_SHOWN = 500
"""Messages of a log on one leaf of its table."""
ENDED = {"length": "as long as it may be", "stopped": "stopped", "broken": "broke off"}
"""What is said of an answer that ended before it was said."""
QUOTED = 160
"""A message that caused another is quoted up to this many signs."""


def chip(label: str, probability: float | None = None, *, corrected: bool = False) -> Markup:
    """A label: symbol, word, and how probable. Colour is an ornament of it."""
    return render(
        "chip.html.j2",
        label=label,
        glyph=glyph(label),
        colour=colour(label),
        percent=None if probability is None else percent(probability),
        unsure=probability is not None and probability < UNSURE_BELOW,
        corrected=corrected,
    )


def message_chip(message: ShownMessage) -> Markup:
    """The label of a message: the person's if there is one, else the model's; or that there is none yet."""
    if message.correction:
        return chip(message.correction, corrected=True)
    if message.prediction and message.prediction.emotion is not None:
        return chip(message.prediction.emotion, message.prediction.probability)
    unread = message.error or (message.prediction.reason if message.prediction else None)
    return render("no_chip.html.j2", error="no label" if unread in message.warnings else unread)


def transcript(
    messages: Sequence[ShownMessage],
    selected: int | None = None,
    *,
    people: Mapping[str, Person] | None = None,
    hidden: int = 0,
    hides: bool = False,
    all_of_them: Sequence[ShownMessage] | None = None,
) -> Markup:
    """Messages of a chat; the selected one is marked, and in words and colour what caused its emotion.

    hidden: how many more the chat has. hides: a filter is on. all_of_them: also those that are hidden.
    """
    known = people_of((), messages) if people is None else people
    chosen = next((m for m in (all_of_them or messages) if m.n == selected), None)
    causes = _causes_by_place(chosen)
    # The message a person comes to with the keyboard first: the one chosen, else the last.
    first = selected if any(m.n == selected for m in messages) else messages[-1].n if messages else None
    rows = [
        {
            "m": m,
            "chip": message_chip(m),
            "person": known[m.speaker],
            "initial": initial(m.speaker),
            "same": m.speaker == before,
            "pieces": _pieces(m.text, causes.get(m.n)),
            "because": _because(causes.get(m.n), selected),
            "care": bool(m.prediction and m.prediction.care),
            "ended": m.reply and ENDED.get(m.reply.finish),
            "felt": glyph(m.reply.felt) if m.reply and m.reply.felt else "",
        }
        for m, before in zip(messages, _before(messages), strict=True)
    ]
    return render("transcript.html.j2", rows=rows, hidden=hidden, hides=hides, selected=selected, first=first)


def details(
    message: ShownMessage | None, messages: Sequence[ShownMessage] = (), *, labels: Sequence[str] = ()
) -> Markup:
    """Everything known of one message: each label's probability, most probable first, the causes, what else is said of
    it; and, where the model's labels are given, what a person can do to it."""
    bars, causes, tags, feeling = [], [], [], ""
    if message and message.prediction:
        ranked = sorted(message.prediction.probabilities.items(), key=lambda pair: -pair[1])
        bars = [(glyph(label), label, colour(label), round(100 * p, 1), percent(p)) for label, p in ranked]
        causes = _causes(message, messages)
        tags = [(t.tag, percent(t.probability)) for t in message.prediction.tags]
        feeling = _feeling(message.prediction)
    return render(
        "details.html.j2",
        message=message,
        chip=message_chip(message) if message else "",
        bars=bars,
        causes=causes,
        tags=tags,
        feeling=feeling,
        sounds=sounding(message.voice) if message else "",
        choices=[(glyph(label), label) for label in labels],
        care=bool(message and message.prediction and message.prediction.care),
    )


def moods(messages: Sequence[ShownMessage], people: Mapping[str, Person]) -> Markup:
    """What stands beside a chat while no message is chosen: how each person has felt so far."""
    speaking = {m.speaker for m in messages if m.emotion}
    rows = [_mood_of(person, messages) for name, person in people.items() if name in speaking]
    return render("moods.html.j2", rows=rows)


def table(
    found: Sequence[ShownMessage],
    messages: Sequence[ShownMessage],
    people: Mapping[str, Person],
    selected: int | None = None,
    leaf: int = 0,
) -> Markup:
    """The messages found in a log, as a table with each one's label and what caused it; the causes of the selected one
    are marked in words and colour. messages: all of the log that is looked at. Of many found, one leaf is shown."""
    chosen = next((m for m in messages if m.n == selected), None)
    causes = _causes_by_place(chosen)
    rows = [
        {
            "m": m,
            "chip": message_chip(m),
            "colour": colour(m.emotion or ""),
            "person": people[m.speaker],
            "pieces": _pieces(m.text, causes.get(m.n)),
            "because": _because(causes.get(m.n), selected),
            "causes": _causes(m, messages),
            "sounds": sounding(m.voice),
            "care": bool(m.prediction and m.prediction.care),
        }
        for m in found[leaf * TABLE_SHOWN : (leaf + 1) * TABLE_SHOWN]
    ]
    leaves = -(-len(found) // TABLE_SHOWN)
    told = {"left_out": len(messages) - len(found), "leaf": leaf, "leaves": leaves, "n": len(found)}
    return render("table.html.j2", rows=rows, selected=selected, **told)


def overview(messages: Sequence[ShownMessage], people: Mapping[str, Person], turns: Sequence[Turn] = ()) -> Markup:
    """How often each label occurs, how each person feels, and where the mood turns."""
    total = Counter(m.emotion for m in messages if m.emotion)
    tags = Counter(t.tag for m in messages if m.prediction for t in m.prediction.tags)
    return render(
        "overview.html.j2",
        counts=[(chip(label), n) for label, n in total.most_common()],
        n=len(messages),
        n_speakers=len(people),
        moods=[_mood_of(person, messages) for person in list(people.values())[:12]],
        more=max(0, len(people) - 12),
        tags=tags.most_common(8),
        turns=[(t.message, "brighter" if t.change > 0 else "darker", shortened(t.message.text, 90)) for t in turns],
        care=sum(bool(m.prediction and m.prediction.care) for m in messages),
    )


def _mood_of(person: Person, messages: Sequence[ShownMessage]) -> dict[str, Any]:
    own = [m for m in messages if m.speaker == person.name]
    counts = Counter(m.emotion for m in own if m.emotion)
    valences = [m.prediction.valence for m in own if m.prediction and m.prediction.valence is not None]
    return {
        "person": person,
        "total": number(len(own), "message"),
        "shares": [(glyph(e), e, colour(e), n) for e, n in counts.most_common()],
        "valence": f"{sum(valences) / len(valences):.1f}" if valences else "",
    }


def log_details(message: ShownMessage, messages: Sequence[ShownMessage], labels: Sequence[str]) -> Markup:
    """The details of a message of a log, with what closes them."""
    return render("log_details.html.j2", details=details(message, messages, labels=labels))


def notice(kind: str, title: str, lines: Sequence[str] = (), command: str | None = None) -> Markup:
    """A box that says what happened and what to do. kind is `error`, `warning`, `info` or `busy`."""
    return render("notice.html.j2", kind=kind, title=title, lines=lines, command=command)


def progress(what: str, share: float) -> Markup:
    """How far a piece of work is, 0 to 1."""
    return render("progress.html.j2", what=what, percent=round(100 * share))


def nothing_labelled() -> Markup:
    """The Conversation tab before its first log."""
    return render("nothing_labelled.html.j2")


def batch_intro(largest: int) -> Markup:
    """What the Batch tab is for; `largest` in bytes."""
    return render("batch_intro.html.j2", largest=size(largest))


def batches(found: Sequence[Batch], *, known: bool = True, asked: str | None = None) -> Markup:
    """Batches with how far they are; `asked` is the one whose deletion is to be confirmed."""
    return render("batches.html.j2", rows=[_batch_row(batch, asked) for batch in found], known=known)


def problem(error: ServiceError, gone: str = "This is no longer there.") -> Markup:
    """What went wrong in the service, in the visitor's words, and whether waiting helps."""
    reference = [f"Reference: {error.request_id}"] if error.request_id else []
    if error.overloaded:
        wait = f" Try again in {error.retry_after:.0f} s." if error.retry_after else " Try again in a moment."
        return notice("busy", "Very busy just now.", [f"Nothing is lost.{wait}"])
    if error.status == 0:
        return notice("error", "The service does not answer.", ["It may be starting still. Try again in a moment."])
    if error.status == 404:
        return notice("info", gone)
    if error.status == 413:
        return notice("error", "This is too large.", [error.detail])
    if error.status < 500:
        told = [f"{_where(pointer)}{fault}" for pointer, fault in error.faults] or [error.detail]
        return notice("error", "The service refused this.", [*told, *reference])
    # What an inner fault says is for those who run the service, and stands in its log under the reference.
    told = [] if error.status == 500 else [error.detail]
    return notice("error", "Something went wrong in the service.", [*told, *reference])


def _where(pointer: str) -> str:
    """The place of a fault in the words of the page: `/conversations/0/utterances/4/text` is message 5."""
    steps = pointer.strip("/").split("/")
    places = {"conversations": "conversation", "utterances": "message"}
    found = [f"{places[a]} {int(b) + 1}" for a, b in pairwise(steps) if a in places and b.isdecimal()]
    return f"{', '.join(found)}: " if found else ""


def unreadable(lines: Sequence[tuple[int, str, str]], shown: int = 20, *, others: bool = True) -> Markup:
    """The lines that could not be read, as (number, reason, text); number 0 is a whole file. `others`: some could."""
    reasons = Counter(reason for _, reason, _ in lines).most_common(3)
    listed = [(n, reason, shortened(text, 200)) for n, reason, text in lines[:shown]]
    return render(
        "unreadable.html.j2",
        lines=listed,
        left_out=max(0, len(lines) - shown),
        n=number(len(lines), "line" if all(n for n, _, _ in lines) else "part"),
        reasons=reasons,
        others=others,
    )


_SIGNS = {"queued": "⏳", "running": "⚙️", "done": "✅", "failed": "⚠️"}


def _batch_row(batch: Batch, asked: str | None) -> dict[str, Any]:
    places = [f"{f.id}, line {f.line}" if f.line else f.id for f in batch.failures]
    return {
        "id": batch.id,
        "filename": batch.filename,
        "state": batch.state,
        "size": size(batch.bytes),
        "made": (WRITERS[batch.to].title if batch.to in WRITERS else batch.to) + (", anonymised" * batch.anonymise),
        "created": batch.created,
        "when": batch.created.replace("T", " ").removesuffix("Z")[:16] + " UTC",
        "sign": _SIGNS.get(batch.state, "•"),
        "told": _told(batch),
        "percent": round(100 * batch.fraction),
        "failed": batch.failed,
        "failures": [f"{place}: {f.error}" for place, f in zip(places, batch.failures, strict=True)],
        "asked": batch.id == asked,
    }


def _told(batch: Batch) -> str:
    if batch.state == "queued":
        return f"Waiting; {batch.ahead} before it." if batch.ahead else "Waiting; it is the next."
    if batch.state == "failed":
        return f"Failed: {batch.error}."
    n = f"{number(batch.utterances, 'message')} of {number(batch.conversations, 'conversation')}"
    if batch.state == "running":
        return f"{n} so far, {batch.fraction:.0%} of the log.".replace("%", " %")
    return f"Done: {n}."


def size(n_bytes: int) -> str:
    """`1.5 MB`, `20 MB`, `12 bytes`."""
    for unit, one in (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024)):
        if n_bytes >= one:
            return f"{n_bytes / one:.1f} {unit}".replace(".0 ", " ")
    return number(n_bytes, "byte")


def _before(messages: Sequence[ShownMessage]) -> list[str | None]:
    return [None, *(m.speaker for m in messages[:-1])] if messages else []


def _causes(message: ShownMessage, messages: Sequence[ShownMessage]) -> list[str]:
    """The causes of a message's emotion in words."""
    return [_cause(c, message.n, messages) for c in message.prediction.causes] if message.prediction else []


def _causes_by_place(message: ShownMessage | None) -> dict[int | None, Cause]:
    return {c.utterance: c for c in message.prediction.causes} if message and message.prediction else {}


def _cause(cause: Cause, n: int, messages: Sequence[ShownMessage]) -> str:
    """A cause of message n in words."""
    sure = percent(cause.probability).replace(" ", "\u00a0")
    if cause.utterance is None:
        return f"something outside the conversation ({sure})"
    place = "the message itself" if cause.utterance == n else f"message {cause.utterance + 1}"
    # The messages at hand may be the last ones of a longer conversation.
    at = cause.utterance - messages[0].n if messages else -1
    if not 0 <= at < len(messages):
        return f"{place} ({sure})"
    said = messages[at]
    whom = "" if cause.utterance == n else f", {said.speaker}"
    return f"{place}{whom}: “{shortened(cause.span or said.text, QUOTED)}” ({sure})"


def _feeling(prediction: Prediction) -> str:
    """Valence and arousal in words: `pleasant 4.1, calm 2.0 (of 5)`."""
    if prediction.valence is None or prediction.arousal is None:
        return ""
    pleasant = _word(prediction.valence, "unpleasant", "neither pleasant nor unpleasant", "pleasant")
    stirred = _word(prediction.arousal, "calm", "neither calm nor stirred", "stirred")
    return f"{pleasant} ({prediction.valence:.1f} of 5), {stirred} ({prediction.arousal:.1f} of 5)"


def _word(value: float, low: str, middle: str, high: str) -> str:
    return low if value < 2.75 else high if value > 3.25 else middle


def _pieces(text: str, cause: Cause | None) -> tuple[str, str, str]:
    """The text before the words that are a cause, those words, and the text after them."""
    if cause is None or cause.start is None or cause.end is None:
        return text, "", ""
    return text[: cause.start], text[cause.start : cause.end], text[cause.end :]


def _because(cause: Cause | None, selected: int | None) -> str:
    if cause is None or selected is None:
        return ""
    whose = "its own emotion" if cause.utterance == selected else f"the emotion of message {selected + 1}"
    return f"a cause of {whose}, {percent(cause.probability)}"
