"""From the bytes of a log to what the Conversation tab shows, step by step.

A log too long for one request is labelled as a batch of the service, which is followed and found again: it outlives a
reload, a lost connection and a restart of the service. It is deleted where its visitor cancels it, or in the Batch tab.
"""

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dialog.formats import READERS, read
from serve.client import Batch, Client, ServiceError
from ui.messages import number
from ui.page.conversation.log import Log, TooLarge, header_of, is_long, label, read_log
from ui.page.conversation.state import TabState, command_for, notices
from ui.page.drawing import render
from ui.page.limits import limits_of

_KEY = "batch-"
_LOOK_SECONDS = 1.0
_EXPECTED = f"Expected one of: {', '.join(READERS)}. Plain text looks like `Name: text`."
_ENCODINGS = ("utf-8", "cp1252", "cp1250", "cp1251", "koi8_r", "shift_jis", "gb18030", "big5", "euc_kr", "utf-16")
_PATIENCE = 90
"""So many looks in a row may find nobody: a service that is started anew takes its time."""


def run(
    data: bytes,
    *,
    filename: str,
    format: str,
    client: Client,
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Iterator[TabState]:
    """From bytes to what the tab shows, step by step; every fault ends in a state with a notice."""
    if not data.strip():
        said = f"There is nothing in {filename}." if filename else "Paste a conversation or upload a file first."
        yield TabState(notices=render.notice("info", said))
        return
    try:
        log = read_log(data, filename=filename, format=format, columns=columns, encoding=encoding)
    except TooLarge as fault:
        yield TabState(notices=_too_large(str(fault), filename))
        return
    except ValueError as fault:  # an encoding there is not
        yield TabState(notices=render.notice("error", "This log cannot be read so.", [f"{fault}."]))
        return
    n = sum(len(c.utterances) for c in log.conversations)
    if not n:
        yield _asking(log, data, filename, format, encoding)
        return
    yield TabState(notices=_working(0.0, n), working=True)
    finished, version = log, ""
    try:
        limits = limits_of(client)
        if is_long(log, limits) and len(data) <= limits.log:
            told: Any = {"columns": columns, "encoding": encoding}
            yield from follow(begin(data, filename=filename, format=format, client=client, **told), client)
            return
        for share, log_so_far, model in label(log, client):
            finished, version = log_so_far, model
            if share < 1:
                yield TabState(notices=_working(share, n), working=True)
    except ServiceError as error:
        yield TabState(notices=render.problem(error))
        return
    first = next(i for i, c in enumerate(finished.conversations) if c.utterances)
    yield TabState(log=finished, done=True, chosen=first, notices=notices(finished, filename), model_version=version)


def batch_of(key: str) -> str | None:
    """The batch that an address leads to."""
    return key.removeprefix(_KEY) if key.startswith(_KEY) else None


def begin(
    data: bytes,
    *,
    filename: str,
    format: str,
    client: Client,
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> str:
    """The key of a batch of this log. ServiceError."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        name = filename or "conversation.txt"
        batch = client.start_batch(
            file.name, filename=name, input_format=format, to="jsonl", columns=columns, encoding=encoding
        )
    return _KEY + batch.id


def follow(key: str, client: Client, pause: Callable[[float], None] = time.sleep) -> Iterator[TabState]:
    """How far the batch is, until it is labelled; then the log, or why there is none."""
    batch_id, missed = key.removeprefix(_KEY), 0
    while True:
        try:
            batch = client.batch(batch_id)
            missed = 0
        except ServiceError as error:
            missed += 1
            if missed > _PATIENCE or not (error.status == 0 or error.overloaded):
                yield TabState(notices=render.problem(error, gone="This log was deleted."))
                return
            pause(_LOOK_SECONDS)
            continue
        if batch.ended:
            break
        yield TabState(notices=_far(batch), working=True, key=key)
        pause(_LOOK_SECONDS)
    if batch.state == "failed":
        yield TabState(notices=render.notice("error", "No message could be read.", [batch.error or ""]))
        return
    try:
        yield _labelled(batch, key, client)
    except ServiceError as error:
        yield TabState(notices=render.problem(error, gone="This log was deleted."))


def cancel(key: str, client: Client) -> None:
    """Stops and forgets the batch, if there is one under this key."""
    if (batch_id := batch_of(key)) is not None:
        try:
            client.delete_batch(batch_id)
        except ServiceError as error:
            if error.status != 404:
                raise


def _labelled(batch: Batch, key: str, client: Client) -> TabState:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labelled.jsonl"
        client.save_batch(batch.id, path)
        log = Log(items=tuple(read(path, "jsonl")), name=Path(batch.filename).stem)
    first = next((i for i, c in enumerate(log.conversations) if c.utterances), None)
    if first is None:
        return TabState(notices=notices(log, batch.filename))
    told = render.notice(
        "info",
        "This log is long, so the service keeps it.",
        ["Its address leads to it again, also tomorrow. Delete it in the Batch tab."],
    )
    return TabState(
        log=log,
        done=True,
        chosen=first,
        notices=told + notices(log, batch.filename),
        model_version=batch.model_version or "",
        key=key,
    )


def _asking(log: Log, data: bytes, filename: str, format: str, encoding: str | None) -> TabState:
    """Why nothing was read; and where one word of a person's would help, the question for it."""
    table = header_of(data, encoding) if any("column" in u.reason for u in log.unreadable) else ()
    question = next((u.reason for u in log.unreadable if "say which encoding" in u.reason), "")
    guesses = re.findall(r"could be (.*):", question)
    encodings = tuple(dict.fromkeys([*" or ".join(guesses).split(" or "), *_ENCODINGS])) if question else ()
    what = (
        "Say below which column is which." if table else "Say below what it is written in." if question else _EXPECTED
    )
    of_all = dict.fromkeys(u.reason for u in log.unreadable if not u.line)
    box = render.notice("error", "No message could be read.", [*(f"{r[0].upper()}{r[1:]}." for r in of_all), what])
    if lines := [(u.line, u.reason, u.text) for u in log.unreadable if u.line]:
        box += render.unreadable(lines, others=False)
    asked = tuple(e for e in encodings if e)
    if not table and not asked:
        return TabState(notices=box)
    return TabState(
        notices=box, columns=table, encodings=asked, data=data, filename=filename, format=format, encoding=encoding
    )


def _working(share: float, n: int) -> Markup:
    return render.progress(f"Labelling {n:,} message{'s' * (n != 1)}", share)


def _too_large(reason: str, filename: str) -> Markup:
    title, lines = "This log is too large for the page.", [reason, "The Batch tab and the command line take more:"]
    return render.notice("error", title, lines, command_for(filename))


def _far(batch: Batch) -> str:
    if batch.state == "queued":
        before = f", {number(batch.ahead, 'log')} before it" if batch.ahead else ""
        return render.progress(f"Waiting for its turn{before}", 0.0)
    said = f"Labelling a long log, {number(batch.utterances, 'message')} so far"
    return render.progress(said, batch.fraction)
