"""Emotions of conversations and what caused them."""

from dialog.emotion.tagger import EmotionTagger

__all__ = ["EmotionTagger"]
