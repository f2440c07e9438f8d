"""A typed client of the service: conversations, chats, batches and pictures, for programs that wait and others.

It needs httpx, orjson and tenacity, and is the distribution `rapport-client` too: so it imports its own files by their
place, and nothing else of ours but through `conversation` and `answers`.
"""

from .answers import Answer, Candidate, Thing
from .asynchronous import AsyncClient
from .client import Client
from .conversation import Cause, Caveat, Conversation, MalformedConversation, Prediction, Tag, Utterance
from .errors import ServiceError
from .things import (
    Advice,
    AnswerNotes,
    Batch,
    BatchFailure,
    Callback,
    ChangedChat,
    Chat,
    ChatSummary,
    Completion,
    Correction,
    Edit,
    EmotionsAnswer,
    FleetModel,
    HealthNow,
    KeptUnit,
    Label,
    Message,
    Mode,
    Model,
    Reply,
    Round,
    State,
    VisualAnswer,
    VisualDialog,
    VisualDialogSummary,
    WatchedFleet,
    WatchedUnit,
)

__all__ = [
    "Advice",
    "Answer",
    "AnswerNotes",
    "AsyncClient",
    "Batch",
    "BatchFailure",
    "Callback",
    "Candidate",
    "Cause",
    "Caveat",
    "ChangedChat",
    "Chat",
    "ChatSummary",
    "Client",
    "Completion",
    "Conversation",
    "Correction",
    "Edit",
    "EmotionsAnswer",
    "FleetModel",
    "HealthNow",
    "KeptUnit",
    "Label",
    "MalformedConversation",
    "Message",
    "Mode",
    "Model",
    "Prediction",
    "Reply",
    "Round",
    "ServiceError",
    "State",
    "Tag",
    "Thing",
    "Utterance",
    "VisualAnswer",
    "VisualDialog",
    "VisualDialogSummary",
    "WatchedFleet",
    "WatchedUnit",
]
