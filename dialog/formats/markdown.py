"""Markdown with a heading for each turn, as chats with assistants are exported: `## User`, `## ChatGPT:`.

A heading opens a turn where its name is a role's, or comes as often as theirs at the same level; other headings are
part of what is said. What stands above the first turn, and rules between turns, are left out.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from dialog.conversation import Conversation, Utterance
from dialog.formats.left_out import EMPTY, LeftOut, is_silent
from dialog.formats.source import Source, Unreadable
from dialog.formats.words import words

_SEEN = 2000
"""Lines by which the names are told."""
_HEADING = re.compile(r"(?P<level>#{1,6})\s+\W{0,4}(?P<name>[^\W_][^\n:#*]{0,38}?)\W{0,4}\s*$")
_ROLES = frozenset(
    words(
        "user you human me prompt question assistant chatgpt gpt claude gemini copilot ai bot model response answer "
        "system deepseek grok"
    )
)
_RULE = re.compile(r"\s*([-*_]\s?)\1{2,}\s*$")


def is_markdown(lines: Iterable[str]) -> bool:
    """Whether a text's headings are the names of people and roles in turn."""
    return len(_names(lines)) > 1


def _names(lines: Iterable[str]) -> set[tuple[str, str]]:
    """Level and name of the headings that open turns; none where no two roles speak."""
    found = Counter((match["level"], match["name"]) for line in lines if (match := _HEADING.match(line)))
    levels = Counter(level for level, name in found if name.split()[0].casefold() in _ROLES)
    if not levels or levels.most_common(1)[0][1] < 2:
        return set()
    level = levels.most_common(1)[0][0]
    return {key for key in found if key[0] == level and key[1].split()[0].casefold() in _ROLES}


def read_markdown(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a text, called after the file."""
    names = _names(line.text for line in islice(source.lines(), _SEEN))
    left_out = LeftOut()
    turns: list[tuple[str, list[str]]] = []
    fenced = False  # what looks like a heading in a piece of code is none
    for line in source.lines():
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
            continue
        fenced ^= line.text.lstrip().startswith("```")
        match = None if fenced else _HEADING.match(line.text)
        if match and (match["level"], match["name"]) in names:
            turns.append((match["name"], []))
        elif turns:
            turns[-1][1].append(line.text)
        elif line.text.strip():
            left_out.add("heading")
    utterances = []
    for name, spoken in turns:
        while spoken and (is_silent(spoken[-1]) or _RULE.match(spoken[-1])):
            spoken.pop()
        if spoken:
            utterances.append(Utterance(speaker=name, text="\n".join(spoken).strip()))
        else:
            left_out.add(EMPTY)
    if turns or left_out:
        warnings = (*source.take_warnings(), *left_out.warnings())
        yield Conversation(
            id=f"{source.name}-1", utterances=tuple(utterances), warnings=warnings, extra=left_out.extra()
        )
