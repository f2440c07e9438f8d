"""What every test can rely on: the device, the seeds, no network, and kernels that run without a GPU."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

# Before anything of ours, or transformers or triton, is imported: these are read at import time.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

if not torch.cuda.is_available():
    # Triton decides when a kernel is decorated whether it will be interpreted.
    os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent

# A busy machine must not turn a slow example into a failure; the whole run has its own limit.
settings.register_profile("rapport", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rapport")


# A browser is five processes that share two cores with all else. What waited in vain is tried once more, in a new page;
# whatever else fails, fails. (Playwright's: Python's own TimeoutError says it in other words.)
IN_A_BROWSER = pytest.mark.flaky(reruns=1, only_rerun=[r"^TimeoutError: [\s\S]*Timeout \d+ms exceeded"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` skip where there is no CUDA device; those marked `browser` have a second try."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(IN_A_BROWSER)
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def device() -> torch.device:
    """Where kernels and models are tested: the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def _seed() -> None:
    """The same random numbers in every test, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _nan_filled_empty(request: pytest.FixtureRequest) -> Iterator[None]:
    """While kernels are tested, torch.empty is full of NaN, so that an element nobody wrote shows."""
    if not request.path.is_relative_to(HERE / "kernels"):
        yield
        return
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.utils.deterministic.fill_uninitialized_memory = True
    # The filling happens only in deterministic mode; warn_only leaves ops without such a version usable.
    mode = torch.get_deterministic_debug_mode()
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.set_deterministic_debug_mode(mode)
    torch.utils.deterministic.fill_uninitialized_memory = filled
