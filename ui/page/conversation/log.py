"""A log that is read and labelled for the Conversation tab: plain functions of bytes and a client."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.formats import Item, Unreadable, read
from dialog.formats.jsonl import dump
from serve.client import Client
from ui.page.limits import PageLimits, limits_of

LARGEST_LOG = 10 * 1024**2
"""Bytes, pasted or uploaded."""
MOST_UTTERANCES = 100_000
"""In all conversations of a log together; more is work for the command line."""
_AROUND, _BETWEEN = 200, 1
"""Bytes of a request around its conversations, and between utterances."""
_SEPARATORS = ",;\t|"


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


def read_log(
    data: bytes,
    *,
    filename: str = "",
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Log:
    """Every conversation and every unreadable piece of a log; columns says which column of a table is which
    (`{"text": "Comment Body"}`), and encoding what its bytes are in. Raises TooLarge."""
    if len(data) > LARGEST_LOG:
        raise TooLarge(f"It has {len(data) / 1024**2:.1f} MB; this page takes {LARGEST_LOG // 1024**2} MB.")
    stream = io.BytesIO(data)
    stream.name = filename or "pasted.txt"
    name = Path(filename).stem or "conversation"
    items: list[Item] = []
    n = 0
    for item in read(stream, format, name, columns=columns, encoding=encoding):
        n += len(item.utterances) if isinstance(item, Conversation) else 0
        if n > MOST_UTTERANCES:
            raise TooLarge(f"It has more than {MOST_UTTERANCES:,} messages, which is what this page takes.")
        items.append(item)
    return Log(items=tuple(items), name=name)


def is_long(log: Log, limits: PageLimits) -> bool:
    """Whether a conversation of it does not fit into one request whole."""
    return any(len(_for_service(c, limits)[0].utterances) < len(c.utterances) for c in log.conversations)


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


def header_of(data: bytes, encoding: str | None = None) -> tuple[str, ...]:
    """The names of a table's columns, as far as its first line tells; none of what has no columns."""
    lines = data[:65536].decode(encoding or "utf-8-sig", "replace").splitlines()
    first = next((line for line in lines if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)
    if separator not in first:
        return ()
    return tuple(dict.fromkeys(name.strip() for name in next(csv.reader([first], delimiter=separator)) if name.strip()))
