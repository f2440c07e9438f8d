"""Conversations and what is said of them. In the distribution `rapport-client`, which stands alone, this file is
dialog/conversation.py itself."""

from dialog.conversation import (
    Cause,
    Caveat,
    Conversation,
    MalformedConversation,
    Prediction,
    Tag,
    Utterance,
    Voice,
)

__all__ = ["Cause", "Caveat", "Conversation", "MalformedConversation", "Prediction", "Tag", "Utterance", "Voice"]
