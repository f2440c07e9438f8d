import pytest

from serve.config import AppConfig
from ui.service import api_url


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
