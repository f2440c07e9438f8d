"""Screenplays and plays: a name in capitals on a line of its own and the words under it, as scripts and Fountain have
it, or before the words (`LANE. Yes, sir.`, `Q. And then?`), as printed plays and depositions do.

    INT. KITCHEN - NIGHT

                         ANNA (CONT'D)
                    (not looking up)
               I told you not to call him.

A scene is a conversation, called after its heading. Headings, action, transitions, and what stands in brackets are
said by nobody: they are left out and counted as stage directions.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice, pairwise

from dialog.conversation import Conversation, Utterance
from dialog.formats.left_out import LeftOut, is_silent
from dialog.formats.source import Line, Source, Unreadable
from dialog.formats.words import words

_DIRECTION = "stage direction"
_SEEN = 400
"""Lines by which it is told how names stand."""
_LEAST = 3
_LONGEST_CUE = 100
_SCENE = re.compile(
    r"(?:\d{1,4}[A-Z]?\.?\s+)?(?:(?:INT|EXT|EST|INT\.?/EXT|I/E)[. ]|(?:ACT|SCENE|PROLOGUE|EPILOGUE)\b)|\.(?=[^\W_])",
    re.IGNORECASE,
)
_TRANSITION = re.compile(r">|(?:FADE|CUT|DISSOLVE|SMASH|MATCH|THE END|CONTINUED|TITLE|SUPER|MONTAGE|END OF)\b|.*\bTO:$")
_CUE = re.compile(r"(?P<name>[^\W\d_][^\n()^:!?\"“”,;]{0,38}?)\s*(?:\([^()\n]{1,30}\)\s*)*[.:]?\s*\^?", re.UNICODE)
_INLINE = re.compile(r"(?P<name>[^\W\d_][^\n()\[\]:!?,;]{0,38})\.\s*(?:[\[(][^\[\]()]{1,80}[\])]\.?\s*)?(?P<text>\S.*)")
_ASIDE = re.compile(r"\[\[[^\[\]]*\]\]|\[[^\[\]]*\]|^\([^()]*\)$|/\*[^*]*\*/")
_MARKS = re.compile(r"(?<!\\)(?:\*{1,3}|_)(?=\S)|(?<=\S)(?:\*{1,3}|_)(?!\w)")
_NO_NAMES = frozenset(words("INFO WARN WARNING ERROR DEBUG TRACE FATAL NOTE TODO AGENDA CONTENTS MORE CONTINUED"))
_NOTHING = "no names in capitals: expected a name on a line of its own and the words under it, as screenplays have them"


def is_screenplay(lines: Iterable[str]) -> bool:
    """Whether these lines, without the empty ones, are a script's: names in capitals that come again."""
    names = _cues(lines) or _inline_names(lines)
    return len(names) >= _LEAST and len(set(names)) < len(names)


def read_screenplay(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each scene in which somebody speaks."""
    some = [line.text for line in islice(source.lines(), _SEEN) if line.text.strip()]
    cues = _cues(some)
    inline = len(_inline_names(some)) > len(cues)
    scene = _Scene(source.name)
    anybody = False
    for item in _scenes(source, scene, set(cues), inline=inline):
        anybody |= isinstance(item, Conversation)
        yield item
    if not anybody:
        yield Unreadable.at(0, _NOTHING)


class _Scene:
    """What is said between two headings, and what was left out since somebody last spoke."""

    def __init__(self, name: str) -> None:
        self._name, self._number = name, 0
        self.heading = ""
        self.said: list[tuple[str, list[str]]] = []
        self.left_out = LeftOut()

    def end(self, source: Source) -> Iterator[Conversation]:
        """The conversation, if anybody spoke; a scene without words leaves its directions to the next."""
        utterances = [(speaker, "\n".join(spoken).strip()) for speaker, spoken in self.said]
        self.said = []
        kept = tuple(Utterance(speaker=speaker, text=text) for speaker, text in utterances if not is_silent(text))
        if not kept:
            return
        self._number += 1
        heading = f"{self._number}. {self.heading}" if self.heading else f"{self._name}-{self._number}"
        warnings = (*source.take_warnings(), *self.left_out.warnings())
        yield Conversation(id=heading, utterances=kept, warnings=warnings, extra=self.left_out.extra())
        self.left_out = LeftOut()


def _scenes(source: Source, scene: _Scene, known: set[str], *, inline: bool) -> Iterator[Conversation | Unreadable]:
    speaking = directing = False  # whether the line before was of a speech, of a direction
    hidden = False  # inside Fountain's /* … */, over lines
    for line, after in pairwise(chain(source.lines(), [Line(0, "", "")])):
        text = line.text.strip("\ufeff\x0c \t")
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
        elif hidden or (text.startswith("/*") and "*/" not in text):
            hidden = "*/" not in text
        elif not text:
            # In Fountain a line of two spaces is an empty line of a speech, which goes on.
            speaking = speaking and (line.text == "  " or inline)
            directing = False
        elif _SCENE.match(text) and not speaking | (text[0] == "." and text[:2] == ".."):
            yield from scene.end(source)
            scene.heading, speaking = text.lstrip("."), False
        elif inline and (spoken := _inline(text)):
            scene.said.append((spoken[0], [_spoken(spoken[1], scene.left_out)]))
            speaking = True
        elif not inline and after.text.strip() and (name := cue_of(text)) and (not speaking or name in known):
            known.add(name)
            scene.said.append((name, []))
            speaking = True
        elif speaking and scene.said and not (inline and text[0] in "[("):
            scene.said[-1][1].append(_spoken(text, scene.left_out))
        else:
            if not directing:
                scene.left_out.add(_DIRECTION)
            directing = True
    yield from scene.end(source)


def cue_of(text: str) -> str:
    """The name that is all of a line, in capitals or behind Fountain's @, without `(CONT'D)`; nothing of another."""
    forced = text.startswith("@")
    match = _CUE.fullmatch(text.removeprefix("@").strip()) if len(text) <= _LONGEST_CUE else None
    if match is None:
        return ""
    name = match["name"].strip().removesuffix(".")
    letters = sum(c.isalpha() for c in name)
    if forced:
        return name
    plain = letters < 2 or not name.isupper() or _SCENE.match(text) or _TRANSITION.match(text)
    return "" if plain or name in _NO_NAMES else name


def _inline(text: str) -> tuple[str, str] | None:
    """Name and words of `LANE. Yes, sir.`; a single letter is a question's or an answer's."""
    match = _INLINE.match(text)
    if match is None or _SCENE.match(text):
        return None
    name = match["name"].strip()
    wanted = name in ("Q", "A") or (name.isupper() and sum(c.isalpha() for c in name) > 1)
    return (name, match["text"]) if wanted and any(c.islower() for c in match["text"]) else None


def _cues(lines: Iterable[str]) -> list[str]:
    """The names that stand by themselves above something else, and come again."""
    stripped = [line.strip("\ufeff\x0c \t") for line in lines]
    names = [cue_of(line) for line in stripped]
    found = [name for name, below in pairwise([*names, "."]) if name and not below]
    return found if any(count > 1 for count in Counter(found).values()) else []


def _inline_names(lines: Iterable[str]) -> list[str]:
    spoken = (_inline(line.strip()) for line in lines)
    return [found[0] for found in spoken if found]


def _spoken(text: str, left_out: LeftOut) -> str:
    """What is said of a line, without what is done and without marks of emphasis."""
    said, asides = _ASIDE.subn("", text)
    for _ in range(asides):
        left_out.add(_DIRECTION)
    return _MARKS.sub("", said).strip()
