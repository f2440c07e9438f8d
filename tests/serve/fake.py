"""A tagger that needs no weights: it reads the emotion off the words, and remembers how many messages it has seen."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from dialog.conversation import Cause, Caveat, Conversation, Prediction
from dialog.labels import LABEL_SETS, SENTIMENT
from dialog.replies.port import Piece, ResponderUnavailable

WORDS = {"joy": ("job", "wonderful", "great"), "sadness": ("leaving", "sad"), "anger": ("hate",)}


class UnlabellableText(ValueError):
    """The text asks for a failure."""


@dataclass(frozen=True, slots=True)
class FakeState:
    """How many messages there were, and the last one's speaker. Two messages are remembered."""

    n_messages: int = 0
    last: str = ""
    nbytes: int = 1 << 20

    def head(self) -> bytes:
        return f"{self.n_messages}|{self.last}".encode()

    def rows(self, newest: int) -> list[bytes]:
        n = self.n_messages
        return [str(i).encode() for i in range(n - min(n, newest, 2), n)]


class FakeTagger:
    """As dialog.emotion.tagger.EmotionTagger.

    `poison` in a text makes it fail with our error, `crash` with another one, `slow` makes the whole call take 0.2 s.
    """

    version_of: ClassVar[dict[str, str]] = {}
    read: ClassVar[list[int]] = []
    """How many utterances of long conversations were read, piece by piece, in this process."""

    def __init__(self, name: str, *, causes: bool = True, batches: list[int] | None = None) -> None:
        self.name, self.names_causes = name, causes
        self.labels = LABEL_SETS["emorynlp"] if name.endswith("emorynlp") else LABEL_SETS["ekman"]
        self.version = self.version_of.get(name, f"{name}@1")
        self.batches: list[int] = [] if batches is None else batches

    @classmethod
    def load(
        cls, name: str | Path = "emotion/ekman", *, causes: bool | None = None, device: str | None = None
    ) -> "FakeTagger":
        if "missing" in str(name):
            raise ValueError(f"no model {name}")
        return cls(str(name), causes=causes is not False)

    def without_causes(self) -> "FakeTagger":
        return FakeTagger(self.name, causes=False, batches=self.batches)

    def tag(
        self,
        conversations: Sequence[Conversation],
        *,
        mode: str = "offline",
        progress: Callable[[int], None] | None = None,
    ) -> list[Conversation]:
        self.batches.append(len(conversations))
        if any("slow" in u.text for c in conversations for u in c.utterances):
            time.sleep(0.2)
        tagged = []
        for conversation in conversations:
            predictions = [self._predict(u.text, n) for n, u in enumerate(conversation.utterances)]
            odd = [n for n, u in enumerate(conversation.utterances) if "odd" in u.text]
            warnings = [Caveat("odd", "looks odd", odd)] if odd else []
            tagged.append(conversation.with_predictions(predictions).with_warnings(warnings))
            if progress:
                progress(len(conversation.utterances))
        return tagged

    def tag_long(
        self, conversation: Conversation, *, mode: str = "offline", progress: Any = None, keep: Path | None = None
    ) -> Conversation:
        """250 utterances at a time, each in 0.25 s where the first text is `slow`; keeps how many it has read."""
        n = len(conversation.utterances)
        done = int(keep.read_text() or 0) if keep and keep.exists() else 0
        while done < n:
            time.sleep(0.25 * ("slow" in conversation.utterances[0].text))
            done = min(done + 250, n)
            self.read.append(250)
            if keep:
                keep.write_text(str(done))
            progress(done)
        return self.tag([conversation.with_warnings(())])[0]

    def start(self) -> FakeState:
        return FakeState()

    @property
    def reach(self) -> int:
        return 2

    def restore(self, head: bytes, rows: Sequence[tuple[bytes, str]]) -> FakeState:
        n, _, last = head.decode().partition("|")
        state = FakeState(int(n), last)
        if [row for row, _ in rows] != state.rows(2):
            raise ValueError(f"rows {rows} of {n} messages")
        return state

    def steps(
        self, states: Sequence[FakeState], messages: Sequence[tuple[str, str]]
    ) -> list[tuple[Prediction, FakeState]]:
        self.batches.append(len(states))
        return [self.step(state, *message) for state, message in zip(states, messages, strict=True)]

    def step(self, state: FakeState, speaker: str, text: str) -> tuple[Prediction, FakeState]:
        prediction = self._predict(text, state.n_messages)
        # The count is visible from outside, so that a test can see which state a message was read with.
        n = state.n_messages
        cause = Cause(utterance=n - 1 if n else None, start=None, end=None, span=None, probability=0.5)
        return replace(prediction, causes=(cause,)), FakeState(n + 1, speaker)

    def _predict(self, text: str, n: int) -> Prediction:
        if "poison" in text:
            raise UnlabellableText("this text is poison")
        if "crash" in text:
            raise KeyError("secret words of a user")
        emotion = next((e for e, words in WORDS.items() if any(w in text for w in words)), "neutral")
        if emotion not in self.labels:
            emotion = self.labels[0]
        rest = 0.2 / (len(self.labels) - 1)
        probabilities = {label: 0.8 if label == emotion else rest for label in self.labels}
        causes = (Cause(utterance=n - 1, start=0, end=1, span="x", probability=0.6),) if n and self.names_causes else ()
        return Prediction(
            emotion=emotion,
            probability=0.8,
            probabilities=probabilities,
            sentiment=SENTIMENT[emotion],
            causes=causes,
        )


@dataclass(frozen=True)
class FakeCard:
    """As models.catalogue.Card."""

    name: str
    task: str
    labels: tuple[str, ...]
    summary: str
    scores: dict[str, Any]


def shipped() -> list[FakeCard]:
    """As models.catalogue.shipped."""
    return [
        FakeCard("emotion/ekman", "emotion", LABEL_SETS["ekman"], "the default", {"weighted_f1": 60.0}),
        FakeCard("emotion/emorynlp", "emotion", LABEL_SETS["emorynlp"], "another", {}),
        FakeCard("emotion/missing", "emotion", LABEL_SETS["dailydialog"], "its weights are gone", {}),
        FakeCard("visual/daquar", "visual", (), "not for emotions", {}),
    ]


def whole() -> list[FakeCard]:
    """Those of them whose weights are there."""
    return [card for card in shipped() if card.name != "emotion/missing"]


class FakeResponder:
    """Says what the last message says, word by word; `nothing` has no answer, `broken` breaks off after a word.

    How many replies were stopped before their end is counted, and what was asked is kept.
    """

    name = "fake"
    version = "fake@1"
    stopped: ClassVar[int] = 0
    asked: ClassVar[list[dict[str, Any]]] = []

    def reply(
        self,
        conversation: Conversation,
        *,
        speaker: str = "assistant",
        to_feel: str | None = None,
        instead_of: Sequence[str] = (),
        most: int = 256,
    ) -> Iterator[Piece]:
        last = conversation.utterances[-1]
        said = [(u.speaker, u.text, u.emotion) for u in conversation.utterances]
        self.asked.append({"said": said, "to_feel": to_feel, "instead_of": list(instead_of), "most": most})
        if "nothing" in last.text:
            yield Piece("I don't know.", "stop", None, False)
            return
        words = f"You say: {last.text}{' again' * len(instead_of)}".split()[:most]
        try:
            for word in words:
                if "slow" in last.text:
                    time.sleep(0.05)
                yield Piece(word + " ")
                if "broken" in last.text:
                    raise ResponderUnavailable("https://secret.example does not answer")
        except GeneratorExit:
            type(self).stopped += 1
            raise
        yield Piece("", "stop", "joy")


def open_responder(name: str = "", *, network: bool = False, device: str | None = None) -> FakeResponder:
    """As dialog.replies.choosing.open_responder."""
    if "missing" in name:
        raise ValueError(f"no responder {name}")
    return FakeResponder()
