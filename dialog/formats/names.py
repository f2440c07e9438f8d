"""Ids that are no one else's, so that two chats stay two in every output: phones call every export `_chat.txt`."""

from dataclasses import replace

from dialog.conversation import Caveat, Conversation


class Names:
    """Gives a conversation another id where one before it has the same, and says so in its warnings."""

    def __init__(self, *, strict: bool) -> None:
        """strict: also within one input, for tables, in which an id is all that keeps two conversations apart."""
        self._strict = strict
        self._owner: dict[str, int] = {}
        self._next: dict[str, int] = {}

    def apart(self, conversation: Conversation, source: int) -> Conversation:
        """The conversation of the source-th input, under an id of its own."""
        known = conversation.id in self._owner
        if not known or (self._owner[conversation.id] == source and not self._strict):
            self._owner[conversation.id] = source
            return conversation
        id = self._free(conversation.id)
        self._owner[id] = source
        told = f"another conversation is called {conversation.id!r} too; this one was renamed"
        return replace(conversation, id=id).with_warnings([Caveat("renamed", told)])

    def _free(self, id: str) -> str:
        n = self._next.get(id, 2)
        while f"{id} ({n})" in self._owner:
            n += 1
        self._next[id] = n + 1
        return f"{id} ({n})"
