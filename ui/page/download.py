"""A button that hands the browser a file made on the spot: nothing of it is ever stored on the server."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from serve.client import ServiceError
from ui.page.drawing import render

_SAVE = """(name, text) => {
  if (!name) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'application/octet-stream'}));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""


def download_button(
    label: str,
    make: Callable[..., tuple[str, str]],
    inputs: Any,
    *,
    elem_id: str,
    notice: gr.HTML,
    nothing: str,
) -> gr.Button:
    """A button. `make` gets the inputs' values and gives (file name, text); an empty name means there is nothing.

    `nothing` says that in `notice`, and so does what a ServiceError says.
    """

    def on_click(*values: Any) -> Sequence[Any]:
        try:
            name, text = make(*values)
        except ServiceError as error:
            return "", "", render.problem(error)
        return name, text, gr.skip() if name else render.notice("info", nothing)

    button = gr.Button(label, size="sm", elem_id=elem_id, min_width=120)
    name, text = gr.Textbox(visible=False), gr.Textbox(visible=False)
    button.click(on_click, inputs, [name, text, notice], show_progress="hidden", api_visibility="private").success(
        None, [name, text], None, js=_SAVE
    )
    return button
