"""What the page may send: the limits of the service it stands before, and below them some of its own.

The page refuses what the service would refuse, since it can say what to do instead; so it asks for the limits.
"""

from dataclasses import dataclass

from serve.client import Client

LARGEST_UPLOAD = 100 * 1024**2
"""Bytes of a log for the Batch tab; the API may take more."""
LARGEST_PICTURE = 20 * 1024**2
_AROUND_TEXT, _BYTES = 4096, 6
"""Bytes of a body beside one text in it, and of one code point of that text as JSON, both at most."""
_FORM_BYTES = 64 * 1024
"""What a form has around its file, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageLimits:
    """Sizes in bytes, lengths in code points, each of one request."""

    text: int
    name: int
    question: int
    utterances: int
    conversations: int
    body: int
    log: int
    picture: int


def limits_of(client: Client) -> PageLimits:
    """What may be sent through this client. ServiceError where the service does not say."""
    known = {name: int(value) for name, value in client.limits().items()}
    return PageLimits(
        text=min(known["characters_per_utterance"], max(1, (known["body_bytes"] - _AROUND_TEXT) // _BYTES)),
        name=known["characters_per_name"],
        question=known["characters_per_question"],
        utterances=known["utterances_per_request"],
        conversations=known["conversations_per_request"],
        body=known["body_bytes"],
        log=min(LARGEST_UPLOAD, known["log_bytes"]),
        picture=min(LARGEST_PICTURE, known["picture_bytes"], max(1, known["picture_body_bytes"] - _FORM_BYTES)),
    )


def largest_file(page_bytes: int) -> int:
    """How large a file a visitor may upload to the page, where its door takes bodies of so many bytes."""
    return max(1, min(LARGEST_UPLOAD + 4 * 1024**2, page_bytes - _FORM_BYTES))
