"""Names out, pseudonyms in: speakers, their names inside texts, e-mail addresses and telephone numbers.

The first speaker of a run is `Speaker 1` wherever they appear, the second `Speaker 2`, and so on. Inside texts only the
names of those who take part in the conversation are known: somebody merely talked about keeps their name.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.formats import Item, Unreadable
from dialog.formats.words import words

_EMAIL = re.compile(r"[^\s@<>()\[\],;:\"']{1,64}@[^\W_](?:[\w-]{0,62}\.){1,8}[^\W\d_]{2,24}")
_NUMBER = re.compile(r"(?<![\w.,])(?:\+|\()?\d(?:[ \u00a0()./-]{0,2}\d){5,17}(?!\w)")
_DATE = re.compile(r"(?:\d{4}[./-]\d{1,2}[./-]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2}))(?!\d)")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

_ROLES = words(
    "user bot agent assistant system speaker customer client caller operator doctor patient therapist teacher student "
    "host guest interviewer interviewee human person participant unknown me you man woman boy girl mother father mom "
    "mum dad anonymous admin support staff model dr mr mrs ms miss prof sir von van der den del los las the and"
)
"""Words that name a part and not a person; they stay in texts."""

_ALSO_WORDS = words(
    "will may mark hope grace joy rose bill art sue pat jack rob drew gene faith april june august summer dawn eve ivy "
    "lily daisy violet ruby pearl amber crystal chase hunter mason cash rich frank earnest ernest grant guy dick bob "
    "don max miles penny sunny sky star angel baby king prince queen duke love happy lucky young white black "
    "brown green gray grey long short small little wise good best west north hill ford wood woods stone lake field "
    "banks price cook baker smith carter page read reed bush rice bean berry cherry olive ginger basil sage"
)
"""Names that are words as well; only taken for names where they are not all in small letters."""


class Anonymiser:
    """Gives every speaker of a run one pseudonym. The same conversations in the same order get the same ones."""

    def __init__(self) -> None:
        self._pseudonyms: dict[str, str] = {}
        self._sources: dict[str, str] = {}
        self._scrubber = lru_cache(maxsize=64)(self._make_scrubber)

    def __call__(self, item: Item) -> Item:
        """The item without names. What could not be read keeps only where and why."""
        if isinstance(item, Unreadable):
            source = self._sources.setdefault(item.source, f"log {len(self._sources) + 1}")
            return Unreadable(line=item.line, reason=item.reason.split(", got ")[0], text="", source=source)
        scrub = self._scrubber(item.speakers)
        return Conversation(
            id=scrub(item.id),
            utterances=tuple(self._utterance(u, scrub) for u in item.utterances),
            extra=_everywhere(item.extra, scrub),
            error=None if item.error is None else scrub(item.error),
            warnings=tuple(w.map(scrub) if isinstance(w, Caveat) else scrub(w) for w in item.warnings),
        )

    def pseudonym(self, speaker: str) -> str:
        """The one this speaker has, or the next."""
        key = _plain(speaker)
        return self._pseudonyms.setdefault(key, f"Speaker {len(self._pseudonyms) + 1}")

    def _utterance(self, u: Utterance, scrub: Callable[[str], str]) -> Utterance:
        extra = {k: v for k, v in u.extra.items() if k != "speaker"}
        return replace(u, speaker=self.pseudonym(u.speaker), text=scrub(u.text), extra=_everywhere(extra, scrub))

    def _make_scrubber(self, speakers: tuple[str, ...]) -> Callable[[str], str]:
        """A function that takes these people's names, and all addresses and numbers, out of a text."""
        known: dict[str, str] = {}
        numbers: dict[str, str] = {}
        for speaker in speakers:
            pseudonym = self.pseudonym(speaker)
            if len(digits := _digits(speaker)) >= 6:
                numbers[digits] = pseudonym
            known.setdefault(speaker.strip().lower(), pseudonym)
            for word in _WORD.findall(speaker.split("@")[0]):
                known.setdefault(word.lower(), pseudonym)
        names = [name for name in known if len(name) > 1 and name not in _ROLES and any(c.isalpha() for c in name)]
        names = [name for name in names if not set(name.split()) <= {*_ROLES, "1", "2"}]
        # Scripts without capitals often write no spaces either: there a name needs no gap around it.
        patterns = [
            rf"(?<![^\W\d_]){re.escape(name)}(?![^\W\d_])" if name.upper() != name else re.escape(name)
            for name in sorted(names, key=len, reverse=True)
        ]
        spoken = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None

        def name_for(match: re.Match[str]) -> str:
            name = match[0].lower()
            doubtful = name in _ALSO_WORDS or len(name) < 3
            return match[0] if doubtful and match[0].islower() else known.get(name, match[0])

        def number_for(match: re.Match[str]) -> str:
            return numbers.get(_digits(match[0])) or ("[phone]" if _is_phone(match[0]) else match[0])

        def scrub(text: str) -> str:
            text = _EMAIL.sub("[email]", text) if "@" in text else text
            text = _NUMBER.sub(number_for, text)
            return spoken.sub(name_for, text) if spoken else text

        return scrub


def _is_phone(text: str) -> bool:
    """Seven digits and more, grouped or with a plus; nine and more in one piece; no date."""
    digits = _digits(text)
    if _DATE.match(text) or len(digits) > 15:
        return False
    grouped = any(not c.isdigit() for c in text.strip("+"))
    return len(digits) >= (7 if grouped or text.startswith(("+", "00")) else 9)


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())


def _plain(speaker: str) -> str:
    """One key for one person, however spaces and capitals fall."""
    return " ".join(speaker.casefold().split())


def _everywhere(value: Any, scrub: Callable[[str], str]) -> Any:
    """Every string in a JSON value scrubbed; keys stay."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {k: _everywhere(v, scrub) for k, v in value.items()}
    return [_everywhere(v, scrub) for v in value] if isinstance(value, list | tuple) else value
