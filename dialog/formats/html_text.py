"""HTML in a cell or a message, as the text one would see: paragraphs on lines of their own, entities as characters.

Only what is HTML is touched: `<3`, `<Ann>` and `a < b` stay as they are.
"""

import re
from html import unescape
from html.parser import HTMLParser

from dialog.formats.words import words

_TAGS = frozenset(
    words(
        "a abbr at attachment b blockquote body br center code dd del div dl dt em emoji figure font h1 h2 h3 h4 h5 h6 "
        "head hr html i img ins li mark meta ol p pre q s script small span strike strong style sub sup "
        "systemeventmessage table tbody td th thead title tr u ul"
    )
)
_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)(?:\s[^<>]*)?/?>")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|hellip|mdash|ndash|[lr][sd]quo|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
_OPENING = re.compile("<")
BLOCKS = frozenset(words("blockquote br dd div dl dt figure h1 h2 h3 h4 h5 h6 hr li ol p pre table tr ul"))
UNSEEN = frozenset(words("script style head title"))


def is_html(text: str) -> bool:
    """Whether a text has tags or entities of HTML in it."""
    return _has_tags(text) or _ENTITY.search(text) is not None


def _has_tags(text: str) -> bool:
    return "<" in text and any(match[1].lower() in _TAGS for match in _TAG.finditer(text))


def as_text(text: str) -> str:
    """The text one would see; the text itself where it is no HTML."""
    if not is_html(text):
        return text
    if not _has_tags(text):
        return unescape(text).replace("\u00a0", " ")
    shown = _Shown()
    # What is no tag of HTML must not be swallowed as one.
    shown.feed(_OPENING.sub(lambda match: "<" if _begins_tag(text, match.start()) else "&lt;", text))
    shown.close()
    lines = [re.sub(r"[ \t\r\f\v]+", " ", line).strip() for line in "".join(shown.parts).split("\n")]
    return re.sub(r"\n{2,}", "\n", "\n".join(lines)).strip().replace("\u00a0", " ")


def _begins_tag(text: str, at: int) -> bool:
    tag = _TAG.match(text, at)
    return tag is not None and tag[1].lower() in _TAGS


class _Shown(HTMLParser):
    """Gathers what is seen."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A block begins a line; a picture may have words, as emojis have."""
        if tag in UNSEEN:
            self._unseen += 1
        if tag in BLOCKS:
            self.parts.append("\n")
        given = dict(attrs)
        if tag in ("img", "emoji") and (alt := given.get("alt")):
            self.parts.append(alt)

    def handle_endtag(self, tag: str) -> None:
        """A block ends a line."""
        if tag in UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        """Words; line ends inside them are spaces."""
        if not self._unseen:
            self.parts.append(data.replace("\n", " "))
