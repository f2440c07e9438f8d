"""Who takes part in a chat: each person has a name, a colour and a side, so that no colour stands alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ui.messages import ShownMessage

COLOURS = ("teal", "plum", "blue", "brown", "green", "rose", "slate", "brick")
"""The names of the colours; the style sheet has one for light and one for dark of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody in a chat. `colour` is a place in COLOURS."""

    name: str
    colour: int = 0
    right: bool = False
    """Whether what this person says stands on the right."""


def people_of(known: Sequence[Person], messages: Iterable[ShownMessage]) -> dict[str, Person]:
    """Those known, then who else speaks in the messages, by name; whoever is new gets the next colour and side."""
    found = {person.name: person for person in known}
    for message in messages:
        if message.speaker not in found:
            n = len(found)
            found[message.speaker] = Person(name=message.speaker, colour=n % len(COLOURS), right=n % 2 == 1)
    return found


def read_people(value: Any) -> tuple[Person, ...]:
    """The people a browser names, in its order; what is no person is left out."""
    found: dict[str, Person] = {}
    for entry in value if isinstance(value, list) else []:
        name = entry.get("name") if isinstance(entry, dict) else None
        if isinstance(name, str) and name and name not in found:
            colour = entry.get("colour")
            known = isinstance(colour, int) and 0 <= colour < len(COLOURS)
            found[name] = Person(
                name=name, colour=colour if known else len(found) % len(COLOURS), right=len(found) % 2 == 1
            )
    return tuple(found.values())
