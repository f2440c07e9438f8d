"""What every table of utterances has in common: what its columns mean, and which rows make a conversation.

Rows of several conversations may be mixed: the rows are gone through twice, first to learn where each conversation
ends, so that only the open ones are in memory. Conversations come out in the order of their first rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from dialog.conversation import VOICE, Conversation, Utterance
from dialog.formats.chat_json import SORTED, oldest_first
from dialog.formats.html_text import as_text
from dialog.formats.left_out import LeftOut, is_silent
from dialog.formats.source import Unreadable
from dialog.formats.words import words

COLUMNS = {
    "text": words(
        "text message utterance content body msg sentence transcript line comment message_text full_text strcontent "
        "nachricht mensaje mensagem messaggio texte texto testo bericht"
    ),
    "speaker": words(
        "speaker name user username author sender from participant who role agent person actor speaker_name user_name "
        "author_name sender_name sender_full_name display_name login acct screen_name nickname handle nick by "
        "direction sprecher absender autor auteur autore remitente naam"
    ),
    "emotion": words("emotion label emotion_label gold"),
    "time": words(
        "time timestamp date datetime date_time created_at create_at sent_at created ts timestamp_ms origin_server_ts "
        "sent when starttime start_time start createdat created_utc created_date sent_date sentdate message_date "
        "messagedate strtime zeit datum uhrzeit fecha hora data heure"
    ),
    "conversation": words(
        "conversation conversation_id conv_id convid dialogue_id dialog_id dialogue dialog dialogueid dialogid chat "
        "chat_id chatid thread thread_id session session_id sessionid channel room"
    ),
}
"""What the columns may be called, best first; case, spaces and punctuation do not matter."""

NO_SPEAKER = "no column for the speaker; every row was taken to be of one and the same"

_FIRST = ("conversation", "utterance", "speaker", "text", "emotion", "time")
_PREDICTED = ("predicted_emotion", "probability", "sentiment", "second", "valence", "arousal", "unsure", "care")
_LISTED = ("tags", "causes")
_HEARD = (VOICE, "voice_probability")
_LAST = ("error", "warnings")


class NoSuchColumn(ValueError):
    """A column was named that the table has not, or a role that columns do not have."""


def chosen_columns(given: Sequence[str]) -> dict[str, str]:
    """`text=Comment Body` and its like, each ROLE=NAME, as a role to the name of its column.

    Raises ValueError for what is not ROLE=NAME, and NoSuchColumn for a role that columns do not have.
    """
    columns = {}
    for one in given:
        role, equals, name = (part.strip() for part in one.partition("="))
        if not equals or not name:
            raise ValueError(f"column {one!r}: expected ROLE=NAME, such as text='Comment Body'")
        if role not in COLUMNS:
            raise NoSuchColumn(_no_role(role))
        columns[role] = name
    return columns


def roles_of(names: Sequence[str], chosen: Mapping[str, str] | None = None) -> dict[str, int]:
    """Which column is which; each column has one role, each role the best name there is, or the one chosen for it.

    Raises NoSuchColumn, which says what there is.
    """
    plain = [_plain(name) for name in names]
    roles: dict[str, int] = {}
    for role, column in (chosen or {}).items():
        if role not in COLUMNS:
            raise NoSuchColumn(_no_role(role))
        exact = [i for i, name in enumerate(names) if name.strip() == column.strip()]
        found = exact or [i for i, name in enumerate(plain) if name == _plain(column)]
        if not found:
            raise NoSuchColumn(f"no column {column!r}; there are {', '.join(n for n in names if n)[:200] or 'none'}")
        roles[role] = found[0]
    for role, synonyms in COLUMNS.items():
        if role in roles:
            continue
        free = [s for s in synonyms if s in plain and plain.index(s) not in roles.values()]
        if free:
            roles[role] = plain.index(free[0])
    return roles


def _no_role(role: str) -> str:
    return f"columns are for {', '.join(COLUMNS)}; there is none for {role!r}"


def _plain(name: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in name.casefold()).split())


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """A name of its own for every column: nameless ones are numbered, and so is a name that comes again."""
    found: dict[str, None] = {}
    for i, name in enumerate((n.strip() for n in names), 1):
        found[name if name and name not in found else f"{name or 'column'} {i}"] = None
    return tuple(found) if len(found) == len(names) else tuple(f"column {i}" for i in range(1, len(names) + 1))


class Gathered(NamedTuple):
    """A conversation of a table, and its rows without a text, which nobody said."""

    id: str
    utterances: list[Utterance]
    left_out: LeftOut

    def conversation(self, warnings: tuple[str, ...]) -> Conversation:
        """The conversation itself; where its times say that it stands newest first, turned round."""
        said, turned = oldest_first(self.utterances)
        return Conversation(
            id=self.id,
            utterances=tuple(said),
            warnings=(*warnings, *((SORTED,) if turned else ()), *self.left_out.warnings()),
            extra=self.left_out.extra(),
        )


def gather(ids: Iterable[str], rows: Iterable[tuple[str, Utterance] | Unreadable]) -> Iterator[Gathered | Unreadable]:
    """Conversations from rows: each comes out once its last row has come and those before it are out.

    ids are the conversations of all rows that can be read, in order: the first going-through. An Unreadable is passed
    on at once.
    """
    last_row = {id: i for i, id in enumerate(ids)}
    open_ones: dict[str, Gathered] = {}
    i = -1
    for row in rows:
        if isinstance(row, Unreadable):
            yield row
            continue
        i += 1
        id, utterance = row
        gathered = open_ones.setdefault(id, Gathered(id, [], LeftOut()))
        text = as_text(utterance.text)
        if text != utterance.text:
            utterance = replace(utterance, text=text)
        if is_silent(text):
            gathered.left_out.add("row without text")
        else:
            gathered.utterances.append(utterance)
        while open_ones and last_row[first := next(iter(open_ones))] <= i:
            yield open_ones.pop(first)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumns:
    """The columns of a table that is to be written: fields we do not know, the labels of the predictions, and whether
    there are voices."""

    others: tuple[str, ...]
    labels: tuple[str, ...]
    voices: bool = False

    @classmethod
    def of(cls, items: Iterable[Conversation | Unreadable]) -> "TableColumns":
        """Names in order of appearance: one pass over everything."""
        others: dict[str, None] = {}
        labels: dict[str, None] = {}
        voices = False
        for item in items:
            for u in item.utterances if isinstance(item, Conversation) else ():
                others.update(dict.fromkeys(u.extra))
                voices |= u.voice is not None
                if u.prediction:
                    labels.update(dict.fromkeys(u.prediction.probabilities))
        ours = {*_FIRST, *_PREDICTED, *_LAST, *_LISTED, *(f"p_{label}" for label in labels)}
        ours |= {*_HEARD} if voices else set()
        return cls(others=tuple(name for name in others if name not in ours), labels=tuple(labels), voices=voices)

    @property
    def header(self) -> tuple[str, ...]:
        """The names, in the order in which they are written."""
        predicted = (*_PREDICTED, *(f"p_{label}" for label in self.labels), *_LISTED) if self.labels else ()
        return (*_FIRST, *self.others, *predicted, *(_HEARD if self.voices else ()), *_LAST)

    def rows(self, items: Iterable[Conversation | Unreadable]) -> Iterator[dict[str, Any]]:
        """One row an utterance, by column; what is not there has no key. Tags and causes are objects.

        A conversation without utterances, and what could not be read, have a row of their own.
        """
        for item in items:
            told: dict[str, Any] = {"conversation": item.id}
            if item.error is not None:
                told["error"] = item.error
            if isinstance(item, Unreadable):
                yield {**told, "text": item.text}
                continue
            if item.warnings:
                told["warnings"] = "; ".join(item.warnings)
            if not item.utterances:
                yield told
            for i, u in enumerate(item.utterances):
                row = {key: u.extra[key] for key in self.others if u.extra.get(key) is not None}
                row |= told if i == 0 else {"conversation": item.id}
                row |= {"utterance": i, "speaker": u.speaker, "text": u.text}
                row |= {key: value for key, value in (("emotion", u.emotion), ("time", u.time)) if value is not None}
                if p := u.prediction:
                    said = (p.emotion, p.probability, p.sentiment, p.second, p.valence, p.arousal, p.unsure, p.care)
                    row |= {key: value for key, value in zip(_PREDICTED, said, strict=True) if value is not None}
                    row |= {f"p_{label}": q for label, q in p.probabilities.items()}
                    row["tags"] = [tag.to_dict() for tag in p.tags]
                    row["causes"] = [cause.to_dict() for cause in p.causes]
                if voice := u.voice:
                    row |= {VOICE: voice.emotion or "not sure", "voice_probability": voice.probability}
                yield row
