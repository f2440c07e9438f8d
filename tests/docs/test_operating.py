"""docs/operating.md as an operator follows it: the settings load, and the calls do what is said beside them."""

import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from serve.batches.worker import Worker
from serve.config import AppConfig, BatchesConfig
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from tests.docs.blocks import ROOT
from tests.serve.conftest import TAGGER
from tests.serve.edge.test_over_http import LIMITS, Served

TEXT = (ROOT / "docs" / "operating.md").read_text("utf-8")
_BLOCK = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.MULTILINE)


def blocks(heading: str) -> list[str]:
    """The indented blocks under a heading."""
    part = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [textwrap.dedent(block).strip() for block in _BLOCK.findall(part)]


def test_the_settings_that_are_shown_load(tmp_path: Path) -> None:
    (shown, *_) = blocks("Where settings come from")
    file = tmp_path / "settings.yaml"
    file.write_text(shown)
    config = AppConfig.load(file)
    assert yaml.safe_load(shown) == {
        "port": config.port,
        "emotion": {"replicas": config.emotion.replicas, "threads": config.emotion.threads},
        "limits": {"batches_running": config.limits.batches_running},
    }


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    worker = Worker(served.storage, LocalLabeller(Taggers(TAGGER)), LIMITS, BatchesConfig())
    worker.start()
    yield served
    worker.stop()
    served.stop()


def test_the_calls_that_are_shown_run_one_after_the_other(served: Served, tmp_path: Path) -> None:
    """In a real shell, with the curl that is there; each prints what its comment says."""
    (shown,) = blocks("By hand")
    log = tmp_path / "chat.txt"
    log.write_text("Ann: I finally got the job!!\nBo: wonderful\n" * 400)
    script = shown.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{served.port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"cd {shlex.quote(str(tmp_path))}\n{script}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    said = [line.partition("  # ")[2] for line in shown.splitlines() if "  # " in line]
    assert len(said) > 4
    assert done.stdout.splitlines() == said
