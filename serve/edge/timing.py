"""`Server-Timing`: how long a request waited, was computed, and took in all, on its answer."""

from starlette.types import Scope

_KEY = "rapport.timings"


def note(scope: Scope, name: str, seconds: float) -> None:
    """A part of the time this request takes."""
    scope.setdefault(_KEY, {})[name] = seconds


def header(scope: Scope, total: float) -> str:
    """What is known so far, in milliseconds, as browsers show it."""
    parts = {**scope.get(_KEY, {}), "total": total}
    return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in parts.items())
