"""The little faces of the report. Each label has an outline of its own besides its colour and its look.

Drawn here, 20 by 20, because not every machine has a font with faces in it.
"""

from html import escape

from markupsafe import Markup

from dialog.labels import COLOURS

_ROUND = '<circle class="b" cx="10" cy="10" r="8"/>'
_BURST = (
    '<path class="b" d="M10 .6l2.4 3 3.5-1.6.3 3.8 3.7.9-1.9 3.3 1.9 3.3-3.7.9-.3 3.8-3.5-1.6-2.4 3-2.4-3-3.5 1.6'
    '-.3-3.8-3.7-.9L2 10 .1 6.7l3.7-.9.3-3.8 3.5 1.6z"/>'
)
_DROP = '<path class="b" d="M10 1.2C12.6 5 17.2 8.4 17.2 12.2A7.2 7 0 0 1 2.8 12.2C2.8 8.4 7.4 5 10 1.2z"/>'
_TRIANGLE = '<path class="b" d="M10 1.8 18.6 16a1.6 1.6 0 0 1-1.4 2.4H2.8A1.6 1.6 0 0 1 1.4 16z"/>'
_DIAMOND = '<path class="b" d="M10 .9 19.1 10 10 19.1.9 10z"/>'
_HEXAGON = '<path class="b" d="M5.4 2h9.2L19.2 10l-4.6 8H5.4L.8 10z"/>'
_SQUARE = '<rect class="b" x="2.6" y="2.6" width="14.8" height="14.8" rx="3.4"/>'
_CLOUD = '<path class="b" d="M5 16.8a4 4 0 0 1-.8-7.9 6 6 0 0 1 11.6 0 4 4 0 0 1-.8 7.9z"/>'
_SHIELD = '<path class="b" d="M10 1.2 17.6 4v6c0 4.4-3.4 7.4-7.6 9-4.2-1.6-7.6-4.6-7.6-9V4z"/>'


def _face(eyes: str, mouth: str) -> str:
    return f'<path class="f" d="{eyes} {mouth}"/>'


_EYES = "M7.2 8v1.4 M12.8 8v1.4"
_BROWS = "M6 8.6l2.6 1.2 M14 8.6l-2.6 1.2 M7.6 11v.6 M12.4 11v.6"
_WIDE = "M7 7.2v2 M13 7.2v2"
_CLOSED = "M6 9c.7 1 1.9 1 2.6 0 M11.4 9c.7 1 1.9 1 2.6 0"

_JOY = _ROUND + _face(_EYES, "M6 11.6c1.6 3 6.4 3 8 0")
_SADNESS = _DROP + _face("M7.4 10v1.2 M12.6 10v1.2", "M7.2 15.6c1.4-2 4.2-2 5.6 0")
_ANGER = _TRIANGLE + _face(
    "M6.6 10.2l2.4 1.2 M13.4 10.2 11 11.4 M7.8 12.4v.6 M12.2 12.4v.6", "M7.6 16.2c1.2-1.4 3.6-1.4 4.8 0"
)
_FEAR = _DIAMOND + _face(_WIDE, "M6.4 13l1.2-1 1.2 1 1.2-1 1.2 1 1.2-1 1.2 1")
_DISGUST = _HEXAGON + _face("M6 8.2l2.4.8-2.4.8 M14 8.2l-2.4.8 2.4.8", "M6.4 13.6c1.6-2 3 1 4.4-.6s2-.6 2.8 0")
_SURPRISE = _BURST + _face(_WIDE, "M10 11.4a1.7 2 0 1 0 .01 0z")
_NEUTRAL = _SQUARE + _face(_EYES, "M7 13h6")

_GLYPHS = {
    "anger": _ANGER,
    "mad": _ANGER,
    "disgust": _DISGUST,
    "excitement": _BURST + _face(_CLOSED, "M6.6 11.8c1.4 3.2 5.4 3.2 6.8 0z"),
    "fear": _FEAR,
    "scared": _FEAR,
    "frustration": _DIAMOND + _face(_BROWS, "M7.4 14.2h5.2"),
    "happiness": _JOY,
    "joy": _JOY,
    "joyful": _JOY,
    "neutral": _NEUTRAL,
    "peaceful": _CLOUD + _face(_CLOSED, "M7.6 12.6c1.2 1.2 3.6 1.2 4.8 0"),
    "powerful": _SHIELD + _face(_BROWS, "M7 14c1.6 1 4.4 1 6 0"),
    "sad": _SADNESS,
    "sadness": _SADNESS,
    "surprise": _SURPRISE,
}
_OTHERS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#F0E442")


def glyph_of(label: str) -> Markup:
    """What goes into the label's `<symbol>`; a label nobody knows gets a square with its first letters."""
    if label in _GLYPHS:
        return Markup(_GLYPHS[label])
    letters = escape(label.strip()[:2].capitalize())
    return Markup(f'{_SQUARE}<text class="l" x="10" y="13.4" text-anchor="middle">{letters}</text>')


def colour_of(label: str, number: int) -> str:
    """The label's colour, or one of the palette for a label nobody knows."""
    return COLOURS.get(label, _OTHERS[number % len(_OTHERS)])
