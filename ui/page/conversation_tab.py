"""The Conversation tab: a log pasted or uploaded, labelled as a whole, looked at and downloaded.

`read_log` and `label` are plain functions; `build` wires them to components.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.formats import READERS, WRITERS, Item, Unreadable, read, write
from dialog.formats.jsonl import dump
from serve.client import Client, ServiceError
from ui.messages import counted_from_one, messages_of, named
from ui.page import render
from ui.page.download import download_button
from ui.page.limits import PageLimits, limits_of
from ui.page.timeline import timeline

LARGEST_LOG = 10 * 1024**2
"""Bytes, pasted or uploaded."""
MOST_UTTERANCES = 10_000
"""In all conversations of a log together; more is work for the command line."""
CHOICES = 500
"""Conversations of one log that can be chosen to look at; the downloads have them all."""
KEPT_SECONDS = 3600
"""How long a labelled log stays in memory for its downloads, while its visitor does nothing."""

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
EVERYTHING = "all"
_AROUND, _BETWEEN = 200, 1
"""Bytes of a request around its conversations, and between utterances."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """What was read: items in order, and how the file is called."""

    items: tuple[Item, ...] = ()
    name: str = "conversation"

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """Those that could be read."""
        return tuple(item for item in self.items if isinstance(item, Conversation))

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """The pieces that could not."""
        return tuple(item for item in self.items if isinstance(item, Unreadable))


class TooLarge(ValueError):
    """More than the page takes at once; the message says how much there is and how much there may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TabState:
    """What the tab shows."""

    log: Log = Log()
    done: bool = False
    chosen: int = 0
    marked: str | None = None
    selected: int | None = None
    """The message whose causes are shown."""
    notices: str = ""
    model_version: str = ""


def read_log(data: bytes, *, filename: str = "", format: str = "auto") -> Log:
    """Every conversation and every unreadable piece of a log. Raises TooLarge."""
    if len(data) > LARGEST_LOG:
        raise TooLarge(f"It has {len(data) / 1024**2:.1f} MB; this page takes {LARGEST_LOG // 1024**2} MB.")
    stream = io.BytesIO(data)
    stream.name = filename or "pasted.txt"
    name = Path(filename).stem or "conversation"
    items: list[Item] = []
    n = 0
    for item in read(stream, format, name):
        n += len(item.utterances) if isinstance(item, Conversation) else 0
        if n > MOST_UTTERANCES and len(items) > 0:
            raise TooLarge(f"It has more than {MOST_UTTERANCES:,} messages, which is what this page takes.")
        items.append(item)
    return Log(items=tuple(items), name=name)


def label(log: Log, client: Client) -> Iterator[tuple[float, Log, str]]:
    """Labels the log in requests the service takes: yields (share done, log so far, model version). ServiceError."""
    items, version, total, done = list(log.items), "", sum(len(c.utterances) for c in log.conversations) or 1, 0
    limits = limits_of(client)
    for together in _requests(items, limits):
        answer = client.emotions([sent for _, _, sent in together])
        version = answer.model_version
        for (i, item, _), labelled in zip(together, answer.conversations, strict=True):
            told = {"mode": answer.mode, "model_version": answer.model_version}
            items[i] = _labelled(item, labelled, told, limits)
            done += len(labelled.utterances)
        yield min(done / total, 1.0), replace(log, items=tuple(items)), version


def _requests(items: Sequence[Item], limits: PageLimits) -> Iterator[list[tuple[int, Conversation, Conversation]]]:
    """Places, conversations, and those as they are sent: as many together as fit into one request."""
    together: list[tuple[int, Conversation, Conversation]] = []
    n_utterances = n_bytes = 0
    for i, item in enumerate(items):
        if not isinstance(item, Conversation) or not item.utterances:
            continue
        sent, size = _for_service(item, limits)
        if together and (
            len(together) >= limits.conversations
            or n_utterances + len(sent.utterances) > limits.utterances
            or n_bytes + size > limits.body - _AROUND
        ):
            yield together
            together, n_utterances, n_bytes = [], 0, 0
        together.append((i, item, sent))
        n_utterances += len(sent.utterances)
        n_bytes += size
    if together:
        yield together


def _for_service(item: Conversation, limits: PageLimits) -> tuple[Conversation, int]:
    """The part the service reads, and its size in bytes: the last utterances, as many as fit into a request by number
    and by size; texts and names no longer than it takes, no other field."""
    last = item.utterances[-limits.utterances :]
    sent = [Utterance(speaker=u.speaker[: limits.name], text=u.text[: limits.text]) for u in last]
    shell = Conversation(id=item.id[: limits.name], utterances=())
    sizes = [len(dump(u.to_dict()).encode()) + _BETWEEN for u in sent]
    room = limits.body - _AROUND - len(dump(shell.to_dict()).encode())
    while len(sent) > 1 and sum(sizes) > room:
        # Several at once: a loop that drops one after the other is felt in a long log.
        n = max(1, len(sent) // 8)
        sent, sizes = sent[n:], sizes[n:]
    return replace(shell, utterances=tuple(sent)), limits.body - _AROUND - room + sum(sizes)


def _labelled(item: Conversation, answer: Conversation, told: dict[str, Any], limits: PageLimits) -> Conversation:
    """The conversation as it was read, with the answer's predictions, error and warnings, and what labelled it."""
    skipped = len(item.utterances) - len(answer.utterances)
    told_of = (None if u.prediction is None else u.prediction.moved(skipped) for u in answer.utterances)
    predictions = [*(None for _ in range(skipped)), *told_of]
    utterances = tuple(replace(u, prediction=p) for u, p in zip(item.utterances, predictions, strict=True))
    warnings = [Caveat.of(warning).moved(skipped) for warning in answer.warnings]
    if skipped:
        of_all = f"{len(answer.utterances):,} of {len(item.utterances):,} messages"
        warnings.append(Caveat("not-whole", f"only the last {of_all} were labelled on this page"))
    if long := [n for n, u in enumerate(item.utterances) if len(u.text) > limits.text and n >= skipped]:
        warnings.append(Caveat("cut", f"only the first {limits.text:,} characters of a message are read", long))
    extra = item.extra if answer.error else {**item.extra, **told}
    return replace(item, utterances=utterances, extra=extra, error=answer.error).with_warnings(warnings)


def run(data: bytes, *, filename: str, format: str, client: Client) -> Iterator[TabState]:
    """From bytes to what the tab shows, step by step; every fault ends in a state with a notice."""
    if not data.strip():
        yield TabState(notices=render.notice("info", "Paste a conversation or upload a file first."))
        return
    try:
        log = read_log(data, filename=filename, format=format)
    except TooLarge as fault:
        yield TabState(notices=_too_large(str(fault), filename))
        return
    n = sum(len(c.utterances) for c in log.conversations)
    if not n:
        yield TabState(notices=_nothing(log))
        return
    yield TabState(notices=_working(0.0, n))
    finished, version = log, ""
    try:
        for share, log_so_far, model in label(log, client):
            finished, version = log_so_far, model
            if share < 1:
                yield TabState(notices=_working(share, n))
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


def save(state: TabState, format: str) -> tuple[str, str]:
    """A file name and the labelled log in a format of WRITERS."""
    if not state.done:  # nothing labelled yet, or so long ago that it was dropped
        return "", ""
    out = io.BytesIO()
    write(state.log.items, out, format)
    return f"{state.log.name}-emotions.{WRITERS[format].ending}", out.getvalue().decode(
        "utf-8-sig" if format == "csv" else "utf-8"
    )


def shown_conversation(state: TabState) -> tuple[Markup, Markup, Markup]:
    """Overview, timeline and table of the chosen conversation."""
    if not state.done:
        return Markup(""), Markup(""), Markup("")
    messages = messages_of(state.log.conversations[state.chosen])
    # Of a long conversation only the last messages were labelled.
    first = next((i for i, m in enumerate(messages) if m.prediction), 0)
    messages = messages[first:][-render.TABLE_SHOWN :]
    return render.overview(messages), timeline(messages), render.table(messages, state.marked, state.selected)


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


def _nothing(log: Log) -> Markup:
    formats = ", ".join(READERS)
    box = render.notice(
        "error", "No message could be read.", [f"Expected one of: {formats}. Plain text looks like `Name: text`."]
    )
    return box + (render.unreadable([(u.line, u.reason, u.text) for u in log.unreadable]) if log.unreadable else "")


def taken(path: str) -> tuple[bytes, str]:
    """The content and name of an upload, which is deleted from the server at once. An upload over the limit is cut
    one byte after it, so that it is refused without being read whole."""
    file = Path(path)
    try:
        with file.open("rb") as stream:
            return stream.read(LARGEST_LOG + 1), file.name
    finally:
        with suppress(OSError):
            file.unlink()


# The components


_ON_LOAD = """
element.addEventListener('click', event => {
  const row = event.target.closest('tr[data-n]');
  if (row && !String(getSelection())) trigger('select', {n: Number(row.dataset.n)});
});
"""


def build(client: Client) -> None:
    """The tab's components and events, inside whatever block is open."""
    state = gr.State(TabState(), time_to_live=KEPT_SECONDS)
    with gr.Column(elem_classes="rp-conversation"):
        text = gr.Textbox(
            label="A conversation",
            placeholder="Ann: I finally got the job!!\nBo: No way!\n\nor an export of a chat, a table, subtitles",
            lines=7,
            max_lines=14,
            max_length=LARGEST_LOG,
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
    notice = gr.HTML(render.nothing_labelled(), elem_id="rp-log-notice", apply_default_css=False)
    with gr.Column(visible=False, elem_id="rp-result") as result:
        chosen = gr.Dropdown([], label="Which conversation", visible=False, elem_id="rp-which", interactive=True)
        overview = gr.HTML("", apply_default_css=False)
        plot = gr.HTML("", elem_id="rp-log-timeline", apply_default_css=False)
        marked = gr.Radio([], label="Show", elem_id="rp-mark", elem_classes="rp-pills", interactive=True)
        table = gr.HTML("", elem_id="rp-table", js_on_load=_ON_LOAD, apply_default_css=False)
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

    shown = [state, notice, result, chosen, overview, plot, marked, table]

    def show(s: TabState) -> list[Any]:
        conversations = s.log.conversations
        picks = [(f"{c.id} ({len(c.utterances):,})", i) for i, c in enumerate(conversations[:CHOICES])]
        shown_ones = conversations[s.chosen].utterances if s.done else ()
        emotions = [u.prediction.emotion for u in shown_ones if u.prediction and u.prediction.emotion]
        marks = [("everything", EVERYTHING), *((named(e), e) for e in dict.fromkeys(emotions))]
        return [
            s,
            s.notices,
            gr.update(visible=s.done),
            gr.update(choices=picks, value=s.chosen if s.done else None, visible=len(picks) > 1),
            *shown_conversation(s)[:2],
            gr.update(choices=marks, value=s.marked or EVERYTHING),
            shown_conversation(s)[2],
        ]

    def on_text(pasted: str | None, chosen_format: str) -> Iterator[list[Any]]:
        data = (pasted or "").encode("utf-8", "replace")
        for s in run(data, filename="", format=chosen_format, client=client):
            yield show(s)

    def on_upload(path: str | None, chosen_format: str) -> Iterator[list[Any]]:
        data, filename = taken(path) if path else (b"", "")
        for s in run(data, filename=filename, format=chosen_format, client=client):
            yield show(s)

    def on_choice(s: TabState, i: int | None) -> list[Any]:
        return show(replace(s, chosen=i or 0, marked=None, selected=None)) if s.done else show(s)

    def on_select(s: TabState, event: gr.EventData) -> list[Any]:
        n = getattr(event, "n", None)
        return show(replace(s, selected=n if isinstance(n, int) and n != s.selected else None))

    def on_mark(s: TabState, emotion: str | None) -> list[Any]:
        return show(replace(s, marked=None if emotion == EVERYTHING else emotion))

    quiet: Any = {"show_progress": "hidden", "api_visibility": "private"}
    working: Any = {**quiet, "concurrency_limit": 4}
    go.click(on_text, [text, format], shown, **working)
    upload.upload(on_upload, [upload, format], shown, **working)
    example.click(lambda: EXAMPLE, None, text, **quiet).then(on_text, [text, format], shown, **working)
    chosen.input(on_choice, [state, chosen], shown, **quiet)
    marked.input(on_mark, [state, marked], shown, **quiet)
    table.select(on_select, state, shown, **quiet)
