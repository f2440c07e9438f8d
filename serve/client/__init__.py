"""A typed client of the service: conversations, chats, batches and pictures."""

from serve.client.batches import Batch, BatchFailure
from serve.client.client import Chat, ChatSummary, Client, EmotionsAnswer, Label, Message, Mode, Model, ServiceError
from serve.client.pictures import Round, VisualAnswer, VisualDialog, VisualDialogSummary

__all__ = [
    "Batch",
    "BatchFailure",
    "Chat",
    "ChatSummary",
    "Client",
    "EmotionsAnswer",
    "Label",
    "Message",
    "Mode",
    "Model",
    "Round",
    "ServiceError",
    "VisualAnswer",
    "VisualDialog",
    "VisualDialogSummary",
]
