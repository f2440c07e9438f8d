"""The memory that bodies take: a room for all of a kind, and what one request holds of it."""

from starlette.datastructures import Headers

from serve.edge.problems import overloaded, too_large


class Room:
    """Bytes that all requests of a kind may hold together; `limit` is the name of that limit."""

    def __init__(self, limit: str, n_bytes: int) -> None:
        self.limit = limit
        self.n_bytes = n_bytes
        self.taken = 0


class Held:
    """The bytes one request holds, at most `allowed` and what the room has left."""

    def __init__(self, room: Room, limit: str, allowed: int) -> None:
        self._room = room
        self._limit = limit
        self._allowed = allowed
        self._bytes = 0

    def expect(self, headers: Headers) -> None:
        """Refusal 413 where the request says beforehand that it is too large."""
        length = headers.get("content-length", "")
        if length.isdigit():
            self.expect_bytes(int(length))

    def expect_bytes(self, n_bytes: int) -> None:
        """Refusal 413 where so many in all are too many."""
        if n_bytes > self._allowed:
            raise too_large(self._limit, self._allowed)

    def take(self, n_bytes: int) -> None:
        """So many more. Refusal 413 or 429."""
        self._bytes += n_bytes
        self._room.taken += n_bytes
        self.expect_bytes(self._bytes)
        if n_bytes and self._room.taken > self._room.n_bytes:
            raise overloaded("too much is waiting already", limit=self._room.limit)

    def release(self) -> None:
        """All of them are given back."""
        self._room.taken -= self._bytes
        self._bytes = 0
