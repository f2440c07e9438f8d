"""`rapport bench reply`: until a reply begins, and how many there are in a second."""

from itertools import count
from pathlib import Path
from typing import Any

from dialog.bench.chats import made_up_chats
from dialog.bench.decode import decoding_model
from dialog.bench.timing import row, side_by_side, suite
from dialog.conversation import Conversation, Utterance
from dialog.replies.choosing import open_responder
from dialog.replies.port import whole
from dialog.replies.writer import WritingResponder
from models.catalogue import REPLY
from models.device import Where, choose_device

LATE = 200
"""Messages before the reply of a long conversation."""
MOST = 64
POSITIONS = (16, 1024, 4096, 16_384)
"""Where a model that writes is asked for one more token."""


def measure(model: str | Path = REPLY, *, repeats: int = 20, device: Where = None) -> dict[str, Any]:
    """The first piece and the whole reply, early and late in a conversation, against a reply to the first message.

    Any responder that `open_responder` knows may be measured; one that writes is asked for single tokens as well, far
    into a text, with the bytes its memory has there. Every message is new to it, as a person's is.
    """
    responder = open_responder(str(model), device=device)
    texts = [u.text for c in made_up_chats(LATE + 1, seed=0) for u in c.utterances]
    new = count()

    def talk(n: int) -> Conversation:
        last = f"{texts[next(new) % len(texts)]} {next(new)}"
        said = [*texts[: n - 1], last]
        people = ("you", "assistant") if n % 2 else ("assistant", "you")
        return Conversation(
            id="bench", utterances=tuple(Utterance(speaker=people[i % 2], text=t) for i, t in enumerate(said))
        )

    pieces: list[int] = []

    def begin(n: int) -> None:
        next(responder.reply(talk(n), most=MOST))

    def answer(n: int) -> None:
        pieces.append(len(whole(responder.reply(talk(n), most=MOST)).text.split()))

    first, first_late, early, late = side_by_side(
        [lambda: begin(1), lambda: begin(LATE + 1), lambda: answer(1), lambda: answer(LATE + 1)], repeats
    )
    words = sum(pieces) / len(pieces)
    rows = [
        row("first piece, first message", first, "the whole reply to it", early),
        row(f"first piece after {LATE} messages", first_late, "first piece, first message", first),
        row(
            "reply to a first message",
            early,
            "the same",
            early,
            replies_a_second=1 / early,
            words_a_second=words / early,
        ),
        row(
            f"reply after {LATE} messages",
            late,
            "reply to a first message",
            early,
            replies_a_second=1 / late,
            words_a_second=words / late,
        ),
    ]
    if isinstance(responder, WritingResponder):
        tokens = list(decoding_model(responder.model, len(responder.pieces), POSITIONS, repeats, longest=60.0))
        for one in tokens:
            place, seconds = one["position"], tokens[0]["seconds"]
            rows.append(row(f"a token after {place}", one["seconds"], f"a token after {POSITIONS[0]}", seconds) | one)
    return suite("reply", rows, where=choose_device(device), model=responder.version)
