"""The page: its tabs, its looks, and how it is mounted. It talks to the service through `serve.client` only."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

import gradio as gr

from dialog.telemetry.report import FLEET_CSS
from serve.client import Client
from ui.page import about_tab, batch_tab, fleet_tab
from ui.page.chat import answer as chat_answer
from ui.page.chat import tab as chat_tab
from ui.page.conversation import tab as conversation_tab
from ui.page.drawing.glyphs import sprite
from ui.page.limits import largest_file
from ui.page.picture import tab as picture_tab
from ui.page.recording import tab as recording_tab
from ui.page.scripts import ASSETS, script
from ui.page.templates import render as fill

MOST_WAITING = 64
"""Events waiting in the page's own queue; the next one is refused, and the page says so."""
KEEP_UPLOADS = (600, 600)
"""Every so many seconds, uploads older than so many seconds are deleted; mostly we did that ourselves, at once."""

MOST_VISITORS = 500
"""Sessions kept in memory; the one that was quiet the longest goes first. A chat comes back from the service."""

# Gradio's package carries this typeface (OFL) and serves it from this machine. Its 600 has no Latin letters in it.
_FONT: list[gr.themes.Font | str] = [
    gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)),
    "rp-emoji",
    "system-ui",
    "sans-serif",
]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]

_HEAD = """
<meta name="description" content="Emotions in conversations, read on this machine.">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<script>{shell}</script>
"""

_POLICY = "; ".join(
    [
        "default-src 'self'",
        # Gradio starts from inline scripts and compiles its templates in the browser.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        # What was spoken is heard again before it is sent: its player reads it out of the browser's memory.
        "connect-src 'self' blob:",
        "media-src 'self' blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    ]
)
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"camera=(self), microphone=(self), geolocation=()",
}


def theme() -> gr.themes.Base:
    """Ink on paper, one accent; only fonts of this machine."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        font=_FONT,
        font_mono=_MONO,
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        body_background_fill="#fbfaf7",
        body_background_fill_dark="#12161b",
        body_text_color="#15191e",
        body_text_color_dark="#eef1f4",
        body_text_color_subdued="#4d5661",
        body_text_color_subdued_dark="#a9b3bf",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1a2027",
        background_fill_secondary="#f3f1ec",
        background_fill_secondary_dark="#20272f",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1a2027",
        border_color_primary="#d9d5cb",
        border_color_primary_dark="#37414c",
        block_border_width="1px",
        block_label_text_color="#4d5661",
        block_label_text_color_dark="#a9b3bf",
        block_radius="12px",
        block_title_text_color="#15191e",
        block_title_text_color_dark="#eef1f4",
        block_title_text_weight="600",
        color_accent="#0f5f6e",
        color_accent_soft="#e2eef0",
        color_accent_soft_dark="#20343b",
        checkbox_background_color_selected="#0f5f6e",
        checkbox_background_color_selected_dark="#2a93a5",
        checkbox_border_color_selected="#0f5f6e",
        checkbox_border_color_selected_dark="#2a93a5",
        checkbox_border_color="#8b93a0",
        checkbox_border_color_dark="#6b7785",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_dark="transparent",
        checkbox_label_background_fill_selected="#e2eef0",
        checkbox_label_background_fill_selected_dark="#20343b",
        button_border_width="1px",
        button_large_text_weight="600",
        button_primary_background_fill="#0f5f6e",
        button_primary_background_fill_dark="#2a93a5",
        button_primary_background_fill_hover="#0b4a56",
        button_primary_background_fill_hover_dark="#37a8bb",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#06171b",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_dark="#20272f",
        button_secondary_background_fill_hover="#f3f1ec",
        button_secondary_background_fill_hover_dark="#2b343e",
        button_secondary_border_color="#bdb8ac",
        button_secondary_border_color_dark="#4a5663",
        input_background_fill="#ffffff",
        input_background_fill_dark="#1a2027",
        input_border_color="#bdb8ac",
        input_border_color_dark="#4a5663",
        input_border_color_focus="#0f5f6e",
        input_border_color_focus_dark="#4fc0d2",
        input_placeholder_color="#6a7480",
        input_placeholder_color_dark="#8e99a6",
    )


def build_page(client: Client) -> gr.Blocks:
    """The page as blocks, not yet served."""
    page = gr.Blocks(title="rapport", analytics_enabled=False, delete_cache=KEEP_UPLOADS, fill_width=True)
    with page:
        gr.HTML(fill("header.html.j2", sprite=sprite()), apply_default_css=False, elem_id="rp-top")
        kept_picture, kept_batches, kept_recordings = picture_tab.memory(), batch_tab.memory(), recording_tab.memory()
        with gr.Tabs(elem_id="rp-tabs"):
            with gr.Tab("Chat", id="chat"):
                chat_tab.build(client)
            with gr.Tab("Picture", id="picture"):
                picture_tab.build(page, client, kept_picture)
            with gr.Tab("Conversation", id="conversation") as conversation:
                conversation_tab.build(client, conversation)
            with gr.Tab("Batch", id="batch"):
                batch_tab.build(page, client, kept_batches)
            with gr.Tab("Recording", id="recording"):
                recording_tab.build(page, client, kept_recordings)
            with gr.Tab("Fleet", id="fleet") as fleet:
                fleet_tab.build(fleet, client)
            with gr.Tab("About", id="about"):
                about_tab.build(page, client)
    page.state_session_capacity = MOST_VISITORS
    page.queue(max_size=MOST_WAITING, default_concurrency_limit=8)
    return page


def mount_page(
    app: FastAPI, client: Client, path: str = "/", *, page_bytes: int = 110 * 1024**2, root_path: str = ""
) -> FastAPI:
    """The app with the page at `path`, and with headers that keep the page from calling any foreign host.

    page_bytes is what the door in front of it takes as a body; root_path what a proxy has before every path.
    """
    app.add_middleware(SafeHeaders)
    chat_answer.add_route(app, client, path)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        build_page(client),
        path=path,
        root_path=root_path or None,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        show_error=True,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        # What is a little too large we refuse ourselves, and can say what to do instead.
        max_file_size=largest_file(page_bytes),
        favicon_path=str(ASSETS / "favicon.svg"),
        theme=theme(),
        css_paths=[
            *(ASSETS / name for name in ("page.css", "chat.css", "picture.css", "fleet.css", "recording.css")),
            FLEET_CSS,
        ],
        head=_HEAD.format(shell=script("shell.js")),
    )
    return mounted


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]


class SafeHeaders:
    """ASGI middleware: the security headers on every answer. Streams pass through untouched."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def send_with_headers(message: Scope) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message.get("headers", ())}
                added = [(name, value) for name, value in _HEADERS.items() if name not in given]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
