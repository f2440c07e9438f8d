from serve.client import ServiceError
from tests.ui.fake import MemoryClient
from ui.page.about_tab import about


def test_it_shows_the_models_their_scores_and_the_limits() -> None:
    html = about(MemoryClient())
    assert "emotion/ekman" in html
    assert "64.2" in html
    assert "0.021" in html
    assert "seeds" not in html, "a list is no score"
    assert html.count("in use") == 1
    assert "Use it with care" in html


def test_it_says_what_it_can_while_the_service_is_busy() -> None:
    html = about(MemoryClient(failing=ServiceError(503, "unavailable", "starting")))
    assert "busy" in html
    assert "Use it with care" in html
