"""What a model says of messages of small chats, each chat read once whatever asks for it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.emotion.port import Mode

Chat = tuple[tuple[str, str], ...]
"""Messages in order, each its speaker and its text."""


class Ask(NamedTuple):
    """One message of a chat: the one at `at`, counted from 0 or, if negative, from the end."""

    chat: Chat
    at: int = -1

    @property
    def text(self) -> str:
        return self.chat[self.at][1]

    def alone(self) -> "Ask":
        """The same message without its neighbours."""
        return Ask((self.chat[self.at],))


class Said(NamedTuple):
    """What is said of one message. `label` is None where the model declines to say."""

    label: str | None
    probabilities: Mapping[str, float]
    warned: bool
    """Whether the chat came back with the caveat that the message is foreign."""


class Tags(Protocol):
    """Whatever labels conversations."""

    def tag(self, conversations: Sequence[Conversation], *, mode: Mode = "offline") -> list[Conversation]: ...


class Reader:
    """The answers of one model in one mode. `read` first, `said` then; what was not read before is read on demand."""

    def __init__(self, tagger: Tags, mode: Mode) -> None:
        self._tagger, self._mode = tagger, mode
        self._known: dict[Chat, tuple[Said, ...]] = {}

    def read(self, asks: Iterable[Ask]) -> None:
        """Reads the chats of all of these together, which costs far less than one by one."""
        chats = list(dict.fromkeys(ask.chat for ask in asks if ask.chat not in self._known))
        tagged = self._tagger.tag([_conversation(chat) for chat in chats], mode=self._mode)
        self._known.update((chat, tuple(_said(c))) for chat, c in zip(chats, tagged, strict=True))

    def said(self, ask: Ask) -> Said:
        """The answer to one question."""
        if ask.chat not in self._known:
            self.read([ask])
        return self._known[ask.chat][ask.at]


class Alone:
    """The same model, asked of every message as if it were the whole chat: what context adds is beside this."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def read(self, asks: Iterable[Ask]) -> None:
        self._reader.read(ask.alone() for ask in asks)

    def said(self, ask: Ask) -> Said:
        return self._reader.said(ask.alone())


class AlwaysNeutral:
    """Says neutral of everything, and is sure."""

    def read(self, asks: Iterable[Ask]) -> None:
        """Nothing needs reading."""

    def said(self, ask: Ask) -> Said:
        return Said("neutral", {"neutral": 1.0}, warned=False)


class Answers(Protocol):
    """A reader, or a baseline that answers in its place."""

    def read(self, asks: Iterable[Ask]) -> None: ...

    def said(self, ask: Ask) -> Said: ...


def spoken(lines: Sequence[str]) -> Chat:
    """`["A: hello", "B: hi"]` as a chat. ValueError for a line without a speaker."""
    pairs = [line.partition(": ") for line in lines]
    if any(not colon for _, colon, _ in pairs):
        raise ValueError(f"expected lines like 'A: hello', got {lines!r:.80}")
    return tuple((speaker, text) for speaker, _, text in pairs)


def chat_of(c: Conversation) -> Chat:
    """The messages of a conversation."""
    return tuple((u.speaker, u.text) for u in c.utterances)


def _conversation(chat: Chat) -> Conversation:
    return Conversation(id="case", utterances=tuple(Utterance(speaker=s, text=t) for s, t in chat))


def _said(c: Conversation) -> Iterator[Said]:
    foreign = {
        place for caveat in map(Caveat.of, c.warnings) if caveat.code == "foreign" for place in caveat.utterances
    }
    for i, u in enumerate(c.utterances):
        p = u.prediction
        yield Said(p.emotion if p else None, (p.probabilities if p else None) or {}, i in foreign)
