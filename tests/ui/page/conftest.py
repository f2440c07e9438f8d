"""The page on plain uvicorn with a client that answers from memory, and one browser for all tests of a file."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Response

from tests.ui.fake import MemoryClient
from tests.ui.page.browsing import CHROMIUM, Visit
from ui.page.app import mount_page


@pytest.fixture(scope="module")
def client() -> MemoryClient:
    return MemoryClient()


@pytest.fixture(scope="module")
def address(client: MemoryClient) -> Iterator[str]:
    """The page on a free port of this machine, served from a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = FastAPI()

    @app.get("/v1/batches/{batch_id}/output")
    def output(batch_id: str) -> Response:
        """What the API beside the page answers."""
        name = f"attachment; filename={client.kept[batch_id].filename}.out"
        return Response(client.logs[batch_id], headers={"content-disposition": name})

    app = mount_page(app, client)  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 120
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            pytest.fail("the page has not begun to listen")
        time.sleep(0.05)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as starter:
        # No name resolves, so that nothing foreign can be reached. (A route that aborts would also turn the cache off.)
        nowhere = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", nowhere]
        browser = starter.chromium.launch(executable_path=CHROMIUM, args=arguments, headless=True)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser: Any) -> Iterator[Any]:
    """One for all tests: the scripts are fetched and compiled once."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    yield context
    context.close()


@pytest.fixture
def visit(context: Any, address: str, client: MemoryClient) -> Iterator[Visit]:
    client.failing = None
    client.answering.set()
    page = context.new_page()
    try:
        visit = Visit(page, address)
        yield visit
    finally:
        client.answering.set()
        for other in context.pages:  # what a test that failed has left open would go on with its chats
            if other is not page:
                other.close()
        # Away from the page first: a script that still waits for an answer would keep it for the next test.
        page.goto(f"{address}/favicon.ico")
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.close()
    assert visit.foreign == []
    assert visit.dialogs == []
    assert visit.errors == []
