"""Emotions of conversations and what caused them.

>>> tagger = EmotionTagger.load()
>>> (tagged,) = tagger.tag([conversation])
>>> tagged.utterances[0].prediction.emotion
'joy'
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dialog.emotion.tagger import EmotionTagger

__all__ = ["EmotionTagger"]


def __getattr__(name: str) -> Any:
    """The class once it is asked for: who needs the port alone does not wait for torch."""
    if name in __all__:
        from dialog.emotion import tagger

        return getattr(tagger, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
