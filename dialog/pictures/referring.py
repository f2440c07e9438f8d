"""What `it`, `he`, `she` and `they` mean in a question: what was named last before it, else what the picture "
"is about."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from dialog.pictures.names import canonical
from dialog.pictures.questions import Asked, things
from dialog.pictures.vocabulary import PEOPLE

_MALE, _FEMALE = ("man", "boy"), ("woman", "girl")
_PERSONS = frozenset(PEOPLE)
_PRONOUN = re.compile(r"\b(he|him|his|she|her|they|them|their|it|its|this|that|these|those)\b")


def things_named(text: str) -> list[str]:
    """The things a text names, in order."""
    return [name for word in re.findall(r"[a-z]+", text.lower()) if (name := canonical(word)) in things()]


def antecedent(rounds: Sequence[tuple[str, str]], pronoun: str) -> str:
    """What the pronoun means by what was said, the latest first; empty where nothing fits. The answer of a round comes
    before its question, unless it is yes or no."""
    for question, answer in reversed(rounds):
        for text in (answer, question):
            for name in reversed(things_named(text)):
                if _agrees(name, pronoun):
                    return name
    return ""


def resolved(asked: Asked, rounds: Sequence[tuple[str, str]], subject: Callable[[bool], str]) -> Asked:
    """The question with its pronoun's meaning in place. `subject(person)` names what the picture is about."""
    found = _PRONOUN.search(asked.claim or asked.text)
    if found is None or asked.kind in ("either", "name", "describe", "count", "presence"):
        return asked
    if asked.noun and asked.kind != "claim":
        return asked  # `what colour is his shirt` names the thing
    pronoun = found[1]
    person = pronoun in ("he", "him", "his", "she", "her")
    meant = antecedent(rounds, pronoun) or subject(person)
    if not meant:
        return asked
    claim = asked.claim
    if claim and re.match(r"^(?:he|she|they|it|this|that)\b", claim):
        claim = re.sub(r"^(?:he|she|they|it|this|that)\b", f"the {meant}", claim)
    return replace(asked, noun=asked.noun or meant, claim=claim)


def _agrees(name: str, pronoun: str) -> bool:
    if pronoun in ("he", "him", "his"):
        return name in _PERSONS and name not in _FEMALE
    if pronoun in ("she", "her"):
        return name in _PERSONS and name not in _MALE
    if pronoun in ("they", "them", "their", "these", "those"):
        return True
    return name not in _PERSONS
