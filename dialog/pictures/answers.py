"""What comes back when a question about a picture is asked, and the port behind which every engine stands."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_QUESTION = 1000
"""Characters of one question."""


NOT_KNOWN = "I do not know"
"""What is said where no answer is."""
UNSURE = "no answer is likely enough"
"""Why an answer is not known that would be a guess."""
RETRIEVED = "people's words about another, similar picture"
"""What is said beside an answer that is retrieved."""


class BadQuestion(ValueError):
    """A question that is empty or too long."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible answer. The probability is calibrated, or None where the engine gives none."""

    text: str
    probability: float | None


@dataclass(frozen=True, slots=True)
class Thing:
    """Something found in the picture: its name, how likely it is, and its corners x0, y0, x1, y1 as fractions."""

    name: str
    probability: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The answer to one question, and what it rests on."""

    text: str
    """What is said: the likeliest answer, or that it is not known."""
    answers: tuple[Candidate, ...]
    """The likeliest first. They are given even where the answer is not known."""
    known: bool
    why: str = ""
    """Where it is not known, the reason."""
    written: str | None = None
    """The answer in words of the engine's own, where it writes as well as chooses."""
    regions: tuple[float, ...] = ()
    """How much each region of the picture was looked at, as the boxes of the look; sums to 1; empty if unknown."""
    rounds: tuple[float, ...] = ()
    """How much each earlier round was used; empty at the first round and where the engine cannot say."""

    things: tuple[Thing, ...] = ()
    """What was found in the picture that the answer is about, where the engine finds things."""
    retrieved: bool = False
    """Whether the answer is a caption that people wrote about another, similar picture."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "answers": [{"text": c.text, "probability": c.probability} for c in self.answers],
            "known": self.known,
            "why": self.why,
            "written": self.written,
            "regions": list(self.regions),
            "rounds": list(self.rounds),
            "things": [{"name": t.name, "probability": t.probability, "box": list(t.box)} for t in self.things],
            "retrieved": self.retrieved,
        }


class Look(Protocol):
    """A picture as its engine keeps it."""

    @property
    def boxes(self) -> tuple[tuple[float, float, float, float], ...]:
        """The regions' corners x0, y0, x1, y1 as fractions; empty where the engine has none."""
        ...

    @property
    def strangeness(self) -> float | None:
        """How unlike the training pictures it is: 1 is the limit beyond which the engine does not trust itself."""
        ...


class State(Protocol):
    """A dialogue between two questions. A value: asking returns a new one and the old one stays good."""

    @property
    def look(self) -> Look: ...

    @property
    def rounds(self) -> tuple[tuple[str, str], ...]:
        """Questions and answers so far."""
        ...

    def to_bytes(self) -> bytes:
        """For a database; nothing in it can be executed."""
        ...


class VisualEngine(Protocol):
    """The port: our SeqDialN, a transformers model, or a service that speaks OpenAI's API."""

    version: str

    def look(self, picture: "Image") -> Any:
        """The picture, once for all rounds: a `Look`."""
        ...

    def start(self, look: Any, rounds: tuple[tuple[str, str], ...] = (), *, caption: str = "") -> Any:
        """The `State` before the next question; with `rounds` as if those had been asked and answered so."""
        ...

    def ask(self, state: Any, question: str) -> tuple[Answer, Any]:
        """The answer, and the state after it. Raises BadQuestion."""
        ...

    def restore(self, data: bytes) -> Any:
        """The state that `to_bytes` wrote. ValueError for anything else, or another version's."""
        ...


def checked(question: str) -> str:
    """The question, trimmed."""
    question = " ".join(question.split())
    if not question:
        raise BadQuestion("the question is empty")
    if len(question) > MAX_QUESTION:
        raise BadQuestion(f"the question has {len(question)} characters, at most {MAX_QUESTION} are read")
    return question
