"""gzip both ways: bodies that come compressed, bounded by what they are when they are not, and answers that go so."""

import zlib
from collections.abc import Iterator

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.edge.problems import Refusal

_PIECE = 64 * 1024
"""Bytes that one step of inflating gives at most: a body of 10 KB may stand for 10 MB."""
_SMALLEST_ANSWER = 4 * 1024
"""Bytes. Compressing less costs more than it saves."""
_LEVEL = 1
"""JSON becomes a fifth at the quickest level, and a sixth at the slowest, for eight times the work."""


class Inflater:
    """What a gzip stream holds, piece by piece. Several streams one after the other are one."""

    def __init__(self) -> None:
        self._stream = _stream()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these further bytes give, in pieces that are small however much that is. Refusal 400."""
        self._begun |= bool(data)
        while data or not self._stream.eof:
            if self._stream.eof:
                self._stream = _stream()
            try:
                piece = self._stream.decompress(data, _PIECE)
            except zlib.error:
                raise _malformed("the body is not gzip, as its Content-Encoding says") from None
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            if piece:
                yield piece
            if not data and len(piece) < _PIECE:  # else there may be more inside, without anything further to read
                return

    def end(self) -> None:
        """To be called after the last bytes. Refusal 400 where the stream is not at its end."""
        if self._begun and not self._stream.eof:
            raise _malformed("the gzip body breaks off in the middle")


def inflater_for(headers: Headers) -> Inflater | None:
    """For a body that is compressed; None for one that is as it is. Refusal 415 for any other coding."""
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip"):
        return Inflater()
    detail = "expected a body with the Content-Encoding gzip, or none"
    raise Refusal(415, "unsupported-encoding", detail, headers={"Accept-Encoding": "gzip"})


def compressing(app: ASGIApp) -> ASGIApp:
    """The app with its larger answers compressed for those who take gzip. Streams of events are left as they are."""

    async def compressed(scope: Scope, receive: Receive, send: Send) -> None:
        async def weakened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                tag = headers.get("etag", "")
                # Of the same file uncompressed: whoever goes on with a part of it must not mix the two.
                if headers.get("content-encoding") == "gzip" and tag and not tag.startswith("W/"):
                    headers["etag"] = f"W/{tag}"
                    del headers["accept-ranges"]
            await send(message)

        if takes_gzip(Headers(scope=scope).get("accept-encoding", "")):
            await GZipResponder(app, _SMALLEST_ANSWER, _LEVEL)(scope, receive, weakened)
        else:
            await IdentityResponder(app, _SMALLEST_ANSWER)(scope, receive, send)

    return compressed


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding takes gzip. One that says nothing does not ask for it."""
    asked = {}
    for part in accepted.lower().split(","):
        coding, _, rest = part.partition(";")
        name, _, value = rest.strip().partition("=")
        try:
            asked[coding.strip()] = float(value) if name == "q" else 1.0
        except ValueError:
            asked[coding.strip()] = 0.0
    return asked.get("gzip", asked.get("*", 0.0)) > 0


def _stream() -> "zlib._Decompress":
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


def _malformed(detail: str) -> Refusal:
    return Refusal(400, "malformed-gzip", detail)
