"""What can be asked of the service, one file a capability: what it gives, as values, and the calls that ask for it.

A call is a value too: who sends it, and how, is another matter. So a client that waits and one that is awaited send the
same, and each signature and its description stand once, here: they are those of the clients' methods.
"""

from . import batches, chats, pictures, recordings, replies, service, telemetry, texts

__all__ = ["batches", "chats", "pictures", "recordings", "replies", "service", "telemetry", "texts"]
