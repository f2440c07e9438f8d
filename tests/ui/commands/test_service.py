from pathlib import Path

import httpx
import pytest

from serve.client import Client
from serve.config import AppConfig
from tests.serve import running
from ui.commands.service import api_url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("192.168.1.5", "http://192.168.1.5:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_the_page_finds_the_api_wherever_it_listens(host: str, url: str) -> None:
    assert api_url(AppConfig(host=host)) == url


@pytest.mark.slow
def test_rapport_serve_is_the_page_and_the_api_and_ends_cleanly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_MAIN", "import sys; from ui.commands.main import run; sys.exit(run(['serve']))")
    with running.Running(tmp_path) as service:
        page = httpx.get(f"{service.url}/")
        assert "rapport" in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
        client = Client(service.url)
        chat = client.start_chat()
        assert client.add_message(chat.id, "Ann", "great").emotion == "joy"
        assert service.stop() == 0
        assert service.left_over() == []
    assert "rapport is ready" in service.log.read_text()
