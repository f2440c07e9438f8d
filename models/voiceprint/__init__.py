"""Voiceprints: a vector a stretch of speech, near for one voice and far for two."""

from models.voiceprint.config import VoiceprintConfig
from models.voiceprint.model import Voiceprint

__all__ = ["Voiceprint", "VoiceprintConfig"]
