"""The chats of --data disturbed: their plainly neutral messages with a mark or an emoji, or beside a loud line."""

from collections.abc import Iterator, Sequence

from dialog.evaluation.behaviour.chats import Message
from dialog.evaluation.behaviour.probes import Case, Probe, changed, neutral_line_probes, strong_lines
from dialog.evaluation.behaviour.reading import Ask, Chat

NEUTRAL = frozenset({"neutral"})

EVERY = 4
"""Of the neutral messages, one in so many is read beside strong lines: four readings of each cost enough."""


def own_probes(told: Sequence[Message]) -> tuple[Probe, ...]:
    """Probes over the messages of --data that can only be neutral; with no message they are definitions alone."""
    neutral = [m for m in told if m.accepted == ("neutral",)]
    lines = list(dict.fromkeys(m.ask.text for m in neutral))
    return (*neutral_line_probes(lines, "own_"), *_bleeding(neutral[::EVERY]))


def _bleeding(neutral: Sequence[Message]) -> Iterator[Probe]:
    for side in ("before", "after"):
        for who in ("same", "other"):
            yield Probe(
                f"own_bleeding_{side}_{who}",
                f"Share of neutral messages of --data called a feeling once a strong line by the {who} speaker is put "
                f"{side} them, of those called neutral between the messages on either side.",
                tuple(_beside(m, i, side, who) for i, m in enumerate(neutral)),
                changed,
                live=side == "before",
            )


def _beside(m: Message, i: int, side: str, who: str) -> Case:
    """The message between its neighbours, and again with a strong line beside it."""
    at = m.ask.at
    before, after = m.ask.chat[max(0, at - 1) : at], m.ask.chat[at + 1 : at + 2]
    speaker, text = m.ask.chat[at]
    strong = strong_lines()
    loud = (speaker if who == "same" else _other(m.ask.chat, speaker), strong[(i * 7) % len(strong)][1])
    plain: Chat = (*before, (speaker, text), *after)
    if side == "before":
        asked = Ask((*before, loud, (speaker, text), *after), len(before) + 1)
    else:
        asked = Ask((*before, (speaker, text), loud, *after), len(before))
    return Case(asked, NEUTRAL, Ask(plain, len(before)))


def _other(chat: Chat, speaker: str) -> str:
    """Somebody else in the chat, or a newcomer where nobody is."""
    return next((other for other, _ in chat if other != speaker), f"{speaker} 2")
