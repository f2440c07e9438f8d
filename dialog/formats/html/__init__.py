"""A report to read: one html file with everything in it. No request to anywhere, dark and light, printable; no script
but in the report of a long conversation, where one of a few lines opens its pages.

Every text is escaped, and a content security policy forbids what is not in the file itself.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dialog.conversation import Conversation
from dialog.formats.html.drawings import lanes, ridges
from dialog.formats.html.glyphs import colour_of, glyph_of
from dialog.formats.html.pages import LONG, pages_of
from dialog.formats.html.view import ConversationView, Overview, overview_of, percent
from dialog.formats.source import Unreadable

_HERE = Path(__file__).parent
_FOLDED = 12  # more conversations than this are folded, to be opened one by one


def write_html(
    items: Iterable[Conversation | Unreadable], out: BinaryIO, *, title: str = "Emotions in conversation"
) -> None:
    """The report, one conversation after the other. Items are gone through twice: once to count, once to show."""
    overview = overview_of(items)
    style = Markup((_HERE / "report.css").read_text() + _colours(overview))
    paged = any(line.utterances > LONG for line in overview.lines)
    script = Markup((_HERE / "report.js").read_text()) if paged else Markup("")
    # The policy names what is ours by its hash, so that nothing a message could smuggle in would be obeyed.
    allowed = f"style-src '{_hash(style)}'" + (f"; script-src '{_hash(script)}'" if paged else "")
    template = _environment().get_template("report.html.j2")
    page = _environment().get_template("page.html.j2")
    chunks = template.generate(
        pages=lambda c: pages_of(c, lambda part: page.render(c=part, style=style, overview=overview)),
        long=LONG,
        title=title,
        style=style,
        script=script,
        policy=f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'",
        overview=overview,
        items=_views(items, overview),
        folded=overview.conversations > _FOLDED,
    )
    for chunk in chunks:
        out.write(chunk.encode("utf-8", "replace"))


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _views(items: Iterable[Conversation | Unreadable], overview: Overview) -> Iterator[ConversationView | Unreadable]:
    number = 0
    for item in items:
        if isinstance(item, Unreadable):
            yield item
        else:
            number += 1
            yield ConversationView.of(item, number, overview.labels)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = percent
    environment.globals.update(glyph=glyph_of, lanes=lanes, ridges=ridges)
    return environment


def _colours(overview: Overview) -> str:
    """One class a label; the colours are ours, no text of a log gets into the style."""
    return "\n".join(f".e{i}{{color:{colour_of(label, i)}}}" for i, label in enumerate(overview.labels))
