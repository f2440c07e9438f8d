"""A typed client of the service: conversations, chats, batches and pictures."""

from serve.client.batches import Batch, BatchFailure
from serve.client.client import Chat, Client, EmotionsAnswer, Label, Message, Mode, Model, ServiceError
from serve.client.pictures import Round, VisualAnswer, VisualDialog

__all__ = [
    "Batch",
    "BatchFailure",
    "Chat",
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
]
