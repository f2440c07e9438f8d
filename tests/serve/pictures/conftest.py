"""A client that shows pictures to a real tiny model, through the whole app but for Ray."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.config import AppConfig
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from tests.dialog.tiny_visual import make_visual
from tests.serve.conftest import client_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_visual(tmp_path_factory.mktemp("visual"), familiar=True)


@pytest.fixture
def viewer(config: AppConfig, model: Path) -> LocalViewer:
    visual = config.visual.model_copy(update={"engine": str(model), "threads": 1})
    return LocalViewer(Pictures(config.model_copy(update={"visual": visual})))


@pytest.fixture
async def seeing(make_api: Callable[..., Any], viewer: LocalViewer) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_api(viewer=viewer)) as client:
        yield client
