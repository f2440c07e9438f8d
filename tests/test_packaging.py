"""What is built from a checkout has all it needs: data files in the wheel, tests and documents in the sdist."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("dialog", "kernels", "models", "serve", "ui")
DATA = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
OF_THE_CLIENT = {ROOT / "serve" / "client" / name for name in ("README.md", "pyproject.toml")}
"""What only rapport-client, a distribution of its own, is built from."""


@pytest.mark.parametrize("layer", LAYERS)
def test_every_file_beside_the_code_is_in_the_wheel(layer: str) -> None:
    packed = {path for pattern in DATA[layer] for path in (ROOT / layer).glob(pattern)}
    there = {path for path in (ROOT / layer).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert sorted(str(path.relative_to(ROOT)) for path in there - packed - OF_THE_CLIENT) == []


@pytest.mark.parametrize("layer", LAYERS)
def test_others_may_rely_on_our_types(layer: str) -> None:
    assert (ROOT / layer / "py.typed").is_file()


def test_an_sdist_carries_what_its_tests_read() -> None:
    kept = (ROOT / "MANIFEST.in").read_text("utf-8")
    assert all(f"recursive-include {folder} *" in kept for folder in ("tests", "docs", ".ci"))
    (loose,) = (line.split()[1:] for line in kept.splitlines() if line.startswith("include "))
    needed = ("Makefile", "constraints.txt", "README.md", "CONTRIBUTING.md", "LICENSE", ".pre-commit-config.yaml")
    assert [name for name in needed if not any(Path(name).match(pattern) for pattern in loose)] == []
