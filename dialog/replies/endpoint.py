"""Any service that speaks the chat completions of OpenAI, by URL."""

import json
import os
from collections.abc import Collection, Iterator
from typing import Any

import httpx

from dialog.conversation import Conversation
from dialog.replies.port import Finish, Piece, ResponderUnavailable
from dialog.replies.prompt import as_messages

KEY = "RAPPORT_RESPONDER_KEY"
"""The environment variable with the service's key; without it none is sent."""
SECONDS = 60.0
"""Until the first piece, and from one to the next."""


class EndpointResponder:
    """Asks another service, streaming. Nothing is sent anywhere but to the URL it was made with."""

    def __init__(self, url: str, model: str, *, key: str | None = None, client: httpx.Client | None = None) -> None:
        """`url` is the service's base, as in `http://127.0.0.1:11434/v1`; `model` what it calls its model. The key is
        that of the environment unless it is given."""
        address = httpx.URL(url)
        if address.scheme not in ("http", "https") or not address.host:
            raise ValueError(f"url {url!r}: expected http://HOST/... or https://HOST/...")
        self.name = model
        self.version = f"{model}@{address.host}"
        self._url = str(address).rstrip("/") + "/chat/completions"
        self._key = os.environ.get(KEY, "") if key is None else key
        self._client = client or httpx.Client(timeout=SECONDS, follow_redirects=False)

    def reply(
        self,
        conversation: Conversation,
        *,
        speaker: str = "assistant",
        to_feel: str | None = None,
        instead_of: Collection[str] = (),
        most: int = 256,
    ) -> Iterator[Piece]:
        """As `Responder.reply` says; to stop closes the connection."""
        body = {
            "model": self.name,
            "messages": as_messages(conversation, speaker, to_feel),
            "stream": True,
            "max_tokens": most,
            "seed": len(instead_of),
        }
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        finish: Finish = "stop"
        try:
            with self._client.stream("POST", self._url, json=body, headers=headers) as response:
                if response.status_code != 200:
                    raise ResponderUnavailable(f"{self._url} answered {response.status_code}")
                for chunk in _events(response.iter_lines()):
                    text, ended = _delta(chunk)
                    finish = "length" if ended == "length" else finish
                    if text:
                        yield Piece(text)
        except httpx.HTTPError as error:
            raise ResponderUnavailable(f"{self._url} did not answer: {type(error).__name__}") from error
        yield Piece("", finish)


def _events(lines: Iterator[str]) -> Iterator[Any]:
    """The JSON of each server-sent event until `[DONE]`; what is none is passed over."""
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        try:
            yield json.loads(data)
        except ValueError:
            continue


def _delta(chunk: Any) -> tuple[str, str | None]:
    """The text of a chunk, and why it is the last one if it is."""
    try:
        choice = chunk["choices"][0]
        text, ended = choice.get("delta", {}).get("content"), choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        return "", None
    return text if isinstance(text, str) else "", ended if isinstance(ended, str) else None
