"""From what the reasoner and the evidence say to one answer: what is said, or that it is not known and why."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from dialog.pictures.answers import UNSURE, Candidate, Thing
from dialog.pictures.everyday import Everyday
from dialog.pictures.evidence import Evidence
from dialog.pictures.names import singular
from dialog.pictures.questions import FOREIGN_QUESTION, NO_QUESTION, NOT_IN_PICTURES, NOT_READ, read
from dialog.pictures.referring import resolved
from dialog.pictures.reply import Reasoned, Reply
from dialog.pictures.scene import Scene
from dialog.pictures.scene_answers import scene_answer

REFUSED = {"foreign": FOREIGN_QUESTION, "nonsense": NO_QUESTION, "never": NOT_IN_PICTURES, "text": NOT_READ}
"""Kinds of questions that no picture answers, and what is said of them."""
LEAST = {
    "presence": 0.6, "claim": 0.75, "either": 0.7, "name": 0.35, "colour": 0.55, "count": 0.5, "where": 0.2,
    "doing": 0.15, "wearing": 0.7, "object": 0.25, "upon": 0.25, "finer": 0.35, "describe": 0.5, "open": 0.5,
    "there": 0.5, "others": 0.7,
}  # fmt: skip
"""By kind of question, how likely an answer must be to be said as known; `open` where the reasoner answers alone about
a photograph. Of 190 pictures of Flickr8k's dev part, and for `open` of 45 of DAQUAR's held out: where answers as likely
as that or a little more are right less often than not, it is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """The candidates, the likeliest first, and why the first is not said, where it is not."""

    answers: tuple[Candidate, ...]
    why: str = ""
    things: tuple[Thing, ...] = ()
    retrieved: bool = False
    from_evidence: bool = field(default=False)
    counted: bool = False
    """Whether it was counted out on a scene."""


def decide(
    question: str,
    rounds: Sequence[tuple[str, str]],
    reasoned: Reasoned,
    everyday: Everyday | None,
    evidence: Evidence | None,
    least: Callable[[str], float],
    scene: Scene | None = None,
) -> Decided:
    """The answer to a question. What can be counted out on the `scene` of a drawing is; what the evidence has a word
    on, it answers; all else the reasoner does. `reasoned` are its probabilities, `least(answer)` how likely one of its
    answers must be."""
    if scene is not None and (counted := scene_answer(scene, question, rounds)) is not None:
        return replace(_decided(counted, unsure=counted.answers[0][1] < LEAST["claim"]), counted=True)
    asked = read(question)
    best = sorted(reasoned.items(), key=lambda item: -item[1])[:5]
    own = tuple(Candidate(text, p) for text, p in _not_asked_by(question, best))
    if asked.kind in REFUSED:
        return Decided(answers=own, why=REFUSED[asked.kind])
    held_to = evidence is not None or scene is not None
    reply: Reply | None = None
    if everyday is not None and evidence is not None:
        seen, known = evidence, everyday
        asked = resolved(asked, rounds, lambda person: known.sight.subject(seen, person=person))
        reply = everyday.answer(asked, evidence, reasoned)
    if reply is None or not reply.answers:
        enough = 0.0 if not own else max(least(own[0].text), LEAST["open"] if held_to else 0.0)
        unsure = not own or (own[0].probability or 0.0) < enough
        return Decided(answers=own, why=UNSURE if unsure else "")
    return _decided(reply, unsure=reply.answers[0][1] < LEAST.get(asked.kind, 0.3))


def _not_asked_by(question: str, best: Sequence[tuple[str, float]]) -> Sequence[tuple[str, float]]:
    """Of the reasoner's answers those that an open question does not name itself: a dog does not catch the dog."""
    words = {singular(w) for w in re.findall(r"[a-z]+", question.lower())}
    if not words & {"what", "who"} or "or" in words:
        return best
    return [(text, p) for text, p in best if singular(text) not in words] or best


def _decided(reply: Reply, *, unsure: bool) -> Decided:
    """A reply as it is said."""
    answers = tuple(Candidate(text, p) for text, p in reply.answers)
    things = tuple(Thing(f.label, f.p, f.box) for f in reply.things)
    return Decided(
        answers=answers, why=UNSURE if unsure else "", things=things, retrieved=reply.retrieved, from_evidence=True
    )
