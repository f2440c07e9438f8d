"""The About tab: which models there are, what they cannot do, and how to use them with care."""

import gradio as gr
from markupsafe import Markup

from serve.client import Client, ServiceError
from ui.page.drawing import render
from ui.page.templates import render as fill
from ui.scores import columns, headline, spoken


def about(client: Client) -> Markup:
    """The whole tab. Without an answer from the service, everything but the models."""
    try:
        models, trouble = client.models(), None
    except ServiceError as error:
        models, trouble = (), render.problem(error)
    cards = [(m, *columns(headline(m.scores))) for m in sorted(models, key=lambda m: not m.default)]
    return fill("about.html.j2", cards=cards, spoken=spoken, trouble=trouble)


def build(page: gr.Blocks, client: Client) -> None:
    """The tab's one component; filled when a visitor opens the page."""
    text = gr.HTML("", elem_id="rp-about", apply_default_css=False)
    page.load(lambda: about(client), None, text, show_progress="hidden", api_visibility="private")
