"""The drawn emotion symbols of the html report, for the page: one visual language for both.

Each label has an outline of its own beside its colour, so that no colour ever stands alone. The drawings are put into
the page once, by `sprite`, and used by name.
"""

from markupsafe import Markup

from dialog.formats.html.glyphs import glyph_of
from dialog.labels import COLOURS
from ui.messages import colour
from ui.page.templates import render


def sprite() -> Markup:
    """Every known label's drawing, as symbols that are not shown where they stand."""
    return render("sprite.html.j2", drawings=[(label, glyph_of(label)) for label in COLOURS])


def glyph(label: str) -> Markup:
    """A label's drawing, as high as the text around it."""
    drawing = None if label in COLOURS else glyph_of(label)
    return render("glyph.html.j2", label=label, colour=colour(label), drawing=drawing)
