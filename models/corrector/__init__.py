"""The corrector: what was meant by words as they were typed, after Ghosh and Kristensson (2017)."""

from models.corrector.config import CorrectorConfig
from models.corrector.model import Corrector

__all__ = ["Corrector", "CorrectorConfig"]
