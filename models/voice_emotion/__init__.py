"""The emotion of a voice: which acted emotion it is likest, from measures of how something was said."""

from models.voice_emotion.config import VoiceEmotionConfig
from models.voice_emotion.model import VoiceEmotion

__all__ = ["VoiceEmotion", "VoiceEmotionConfig"]
