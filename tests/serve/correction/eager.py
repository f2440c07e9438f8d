"""A mender whose corrector, of random weights, changes whatever it may."""

from serve.correction.deployment import Corrections, LocalMender
from tests.dialog.correction.tiny import make_corrector


def eager_mender() -> LocalMender:
    """In this process."""
    corrections = Corrections()
    corrections._loaded = make_corrector(-1.0)
    return LocalMender(corrections)
