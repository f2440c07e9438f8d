"""Correction of what was typed, and completion of what is being typed."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dialog.correction.corrector import Correction, TextCorrector

__all__ = ["Correction", "TextCorrector"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from dialog.correction import corrector  # Heavy: whoever only splits a message needs no torch.

        return getattr(corrector, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
