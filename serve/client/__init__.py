"""A typed client of the service: conversations, chats, batches, recordings and pictures, for programs of any kind.

It needs httpx, orjson and tenacity, and is the distribution `rapport-client` too: so it imports its own files by their
place, and nothing else of ours but through `conversation` and `answers`.
"""

from .answers import Answer, Candidate, Thing
from .asynchronous import AsyncClient
from .calls.batches import Batch, BatchFailure, Callback
from .calls.chats import AnswerNotes, ChangedChat, Chat, ChatSummary, Message
from .calls.kinds import State
from .calls.pictures import Round, VisualAnswer, VisualDialog, VisualDialogSummary
from .calls.recordings import Envelope, RecordedSpeaker, RecordedUtterance, Recording
from .calls.replies import Reply
from .calls.service import Advice, HealthNow, Label, Model
from .calls.telemetry import FleetModel, KeptUnit, WatchedFleet, WatchedUnit
from .calls.texts import Completion, Correction, Edit, EmotionsAnswer, Mode
from .client import Client
from .conversation import Cause, Caveat, Conversation, MalformedConversation, Prediction, Tag, Utterance
from .errors import ServiceError

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
    "Envelope",
    "FleetModel",
    "HealthNow",
    "KeptUnit",
    "Label",
    "MalformedConversation",
    "Message",
    "Mode",
    "Model",
    "Prediction",
    "RecordedSpeaker",
    "RecordedUtterance",
    "Recording",
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
