"""The API in this process with a tagger that needs no weights; and one real Ray Serve for the tests that need it."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.api import create_api
from serve.config import AppConfig
from serve.edge.limits import Limits
from serve.emotion.choice import Choice
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from serve.replies.answerer import LocalAnswerer
from serve.replies.deployment import Responders
from serve.storage import Storage

TAGGER = "tests.serve.fake:FakeTagger"
CATALOGUE = "tests.serve.fake:shipped"
OPENER = "tests.serve.fake:open_responder"
NO_ENGINE = {"engine": "visual/none"}
"""Whatever is shipped, most tests are not about pictures, and load nothing for them."""


@pytest.fixture
def config(tmp_path: Path) -> AppConfig:
    parts: Any = {"visual": NO_ENGINE, "replies": {"opener": OPENER}}
    return AppConfig(tagger=TAGGER, catalogue=CATALOGUE, data_dir=tmp_path, **parts)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    storage = Storage(tmp_path / "test.sqlite")
    yield storage
    storage.close()


@pytest.fixture
def taggers() -> Taggers:
    return Taggers(TAGGER)


@pytest.fixture
def make_api(config: AppConfig, storage: Storage, taggers: Taggers) -> Callable[..., Any]:
    """The ASGI app, with other limits, another labeller, or other models."""

    def make(
        limits: Limits | None = None,
        labeller: Any = None,
        choice: Choice | None = None,
        viewer: Any = None,
        answerer: Any = None,
        **further: Any,
    ) -> Any:
        found = labeller or LocalLabeller(taggers)
        seeing = viewer or LocalViewer(Pictures(config))
        answering = answerer or LocalAnswerer(Responders(config))
        return create_api(found, seeing, answering, choice or Choice.of(config), storage, limits or Limits(), **further)

    return make


@pytest.fixture
async def client(make_api: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_api()) as client:
        yield client


def client_of(app: Any) -> httpx.AsyncClient:
    """A client of an app in this process; what the app raises is raised here."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/v1")
