"""Where settings come from: a YAML file or a profile we ship, and what is wrong with one in a line."""

import importlib
from pathlib import Path
from typing import Any

import yaml

from serve.config.part import UnusableConfig

PROFILES = Path(__file__).parent


def settled(cls: Any, given: dict[str, Any]) -> Any:
    """The settings of that class. UnusableConfig names those that are wrong."""
    try:
        return cls(**given)
    except ValueError as error:
        raise UnusableConfig(_readable(error)) from None


def written_in(file: str | Path) -> dict[str, Any]:
    """The settings of a file, or of the profile of that name, as they are written. UnusableConfig without any."""
    path = _profile(file)
    try:
        value = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnusableConfig(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise UnusableConfig(f"{path}: expected settings by name, got {type(value).__name__}")
    return value


def imported(path: str) -> Any:
    """What `module:name` names, as `tagger` and `catalogue` do."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _profile(file: str | Path) -> Path:
    for path in (Path(file), PROFILES / f"{file}.yaml"):
        if path.is_file():
            return path
    shipped = ", ".join(sorted(path.stem for path in PROFILES.glob("*.yaml")))
    raise UnusableConfig(f"there is no file {file}, and it is none of the profiles {shipped}")


def _readable(error: ValueError) -> str:
    if not hasattr(error, "errors"):
        return str(error)
    return "; ".join(f"{'.'.join(str(step) for step in e['loc'])}: {e['msg']}" for e in error.errors())
