"""A real browser on the page: what its tests have in common."""

import mimetypes
import shutil
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def need_a_browser() -> None:
    """Skips a module where there is none."""
    if CHROMIUM is None:
        missing = "CHROMIUM IS MISSING: NO BROWSER TEST HAS RUN (apt-get install chromium)"
        pytest.skip(missing, allow_module_level=True)
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


PATIENCE = 60_000
"""Milliseconds that anything on a page may take: a machine that is busy with other things is no fault of the page."""


def have(found: Any, n: int) -> None:
    """Waits until there are n of what a locator finds: one part of a page is drawn after another."""
    from playwright.sync_api import expect

    expect(found).to_have_count(n, timeout=60_000)


class Visit:
    """A page with a watch on it: foreign requests, dialogs and errors are collected, and none may remain."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.foreign: list[str] = []
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self._watch(request.url, address))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#rp-message textarea")
        page.wait_for_selector(".rp-empty, .rp-message")
        page.wait_for_selector("#rp-tabs [role=tab][aria-selected=true]")

    def _watch(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.foreign.append(url)

    def say(self, text: str) -> None:
        """Types a message and waits for its label."""
        before = self.page.locator(".rp-message").count()
        self.page.fill("#rp-message textarea", text)
        self.page.press("#rp-message textarea", "Enter")
        self.page.wait_for_function(
            "n => document.querySelectorAll('.rp-label').length > n && !document.querySelector('.rp-pending')",
            arg=before,
        )

    def labels(self) -> list[str]:
        """What stands beside the messages of the chat."""
        return [" ".join(text.split()) for text in self.page.locator(".rp-label").all_inner_texts()]

    def tab(self, name: str) -> None:
        """Opens a tab, from the menu where the screen is too narrow for it."""
        tab, menu = self.page.get_by_role("tab", name=name), self.page.locator(".overflow-menu > button")
        tab.or_(menu).filter(visible=True).first.wait_for()
        if not tab.is_visible():
            menu.click()
            tab = self.page.locator(".overflow-dropdown button", has_text=name)
        tab.click()

    def resize(self, width: int, height: int) -> None:
        """A window of another size, once the page has taken it up: a frame tells it, the next one is drawn so."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def upload(self, name: str, content: bytes, button: str = "#rp-upload") -> None:
        """Chooses a file for an upload button."""
        with self.page.expect_file_chooser() as chooser:
            self.page.click(button)
        kind = mimetypes.guess_type(name)[0] or "text/plain"
        chooser.value.set_files({"name": name, "mimeType": kind, "buffer": content})

    def save(self, button: str) -> tuple[str, str]:
        """Clicks a download button: the file's name and content."""
        with self.page.expect_download() as download:
            self.page.click(button)
        return download.value.suggested_filename, Path(download.value.path()).read_text("utf-8")
