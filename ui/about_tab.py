"""The About tab: which models there are, what they cannot do, and how to use them with care."""

import gradio as gr
from markupsafe import Markup

from serve.client import Client, ServiceError
from ui import render
from ui.templates import render as fill


def about(client: Client) -> Markup:
    """The whole tab. Without an answer from the service, everything but the models."""
    try:
        models, trouble = client.models(), None
    except ServiceError as error:
        models, trouble = (), render.problem(error)
    cards = [(m, [(name, _score(value)) for name, value in m.scores.items() if _score(value)]) for m in models]
    return fill("about.html.j2", cards=cards, trouble=trouble)


def _score(value: object) -> str:
    """One figure as text; what is no figure is not shown."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"


def build(page: gr.Blocks, client: Client) -> None:
    """The tab's one component; filled when a visitor opens the page."""
    text = gr.HTML("", elem_id="rp-about", apply_default_css=False)
    page.load(lambda: about(client), None, text, show_progress="hidden", api_visibility="private")
