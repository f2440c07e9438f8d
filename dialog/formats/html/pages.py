"""The messages of a long conversation in pages, so that a report of any length opens at once and stays one file.

A page is a document of its own, packed text in an attribute. Once its fold is opened a frame is built for it, which has
the report's style and policy and may run nothing.
"""

import base64
import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from dialog.formats.html.view import ConversationView

LONG = 2000
"""Utterances; a conversation with more is shown in pages."""
_SHORTEST, _MOST = 200, 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A stretch of a conversation: its first and last utterance, when they were said, the commonest labels, and the
    document, packed with gzip and written as base64."""

    first: int
    last: int
    times: tuple[str | None, str | None]
    top: tuple[tuple[str, int], ...]
    packed: str


def pages_of(view: ConversationView, render: Callable[[ConversationView], str]) -> Iterator[Page]:
    """The pages of a long conversation in order; none of a short one. `render` makes the document of a part."""
    if len(view.utterances) <= LONG:
        return
    size = length(len(view.utterances))
    for start in range(0, len(view.utterances), size):
        part = view.utterances[start : start + size]
        document = render(replace(view, utterances=part))
        yield Page(
            first=part[0].number,
            last=part[-1].number,
            times=(part[0].time, part[-1].time),
            top=tuple(Counter(u.label for u in part if u.label).most_common(3)),
            packed=base64.b64encode(gzip.compress(document.encode("utf-8", "replace"), mtime=0)).decode(),
        )


def length(n: int) -> int:
    """Utterances on a page of a conversation with n: whole hundreds, and no more than a hundred pages while they can
    be kept that few."""
    return max(_SHORTEST, -(-n // (_MOST * 100)) * 100)
