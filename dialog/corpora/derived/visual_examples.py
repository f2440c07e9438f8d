"""What a model learns from that answers about pictures: questions, statements, and rounds made from captions.

DAQUAR and easy-VQA ask; SNLI's and NLVR's statements are questions answered yes or no; captions become questions by the
rules of caption_questions.py and statements by those of caption_statements.py, and NLVR's scenes become statements by
those of scene_statements.py. Those are made, and train only. Parts: a tenth of the training pictures of DAQUAR and
easy-VQA and of NLVR's dev scenes is held out for validation; Flickr8k has a part of its own for that.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from dialog.corpora.derived.caption_questions import chains, facts, questions
from dialog.corpora.derived.caption_statements import caption_statements
from dialog.corpora.derived.scene_statements import scene_statements
from dialog.corpora.pictures import held_out, read_table

Part = Literal["train", "validation", "test"]
PICTURE_PARTS: Mapping[str, tuple[str, ...]] = {"train": ("train", "extra"), "validation": ("dev",), "test": ("test",)}
VERDICTS = {"entailment": "yes", "contradiction": "no", "true": "yes", "false": "no"}
DRAWINGS = 2600
"""Training pictures of easy-VQA: they are soon learned, and photographs matter more."""
SCENE_STATEMENTS = 60
"""Made of one of NLVR's scenes."""
DRAWN: Mapping[str, int] = {"caption": 4, "scene": 14, "easyvqa": 6}
"""Of these kinds of rounds about a picture, how many an epoch takes; of others, all."""
TIMES: Mapping[str, int] = {"statement": 3, "nlvr": 2}
"""How often an epoch takes these kinds, which are few."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One round. `kind` is daquar, statement, easyvqa or nlvr, or what made it: caption, scene, rule-1 and so on."""

    question: str
    answer: str
    kind: str


@dataclass(frozen=True, slots=True)
class Talk:
    """Rounds about one picture; `chained` ones belong together in this order, others are independent."""

    collection: str
    image: str
    rounds: tuple[Asked, ...]
    chained: bool = False
    caption: str = ""
    """What is known before the first question; empty where nothing is."""


def plain(answer: str) -> str:
    """An answer as it is shown and compared: DAQUAR's `_` inside names and its spacing of lists undone."""
    return ", ".join(" ".join(one.replace("_", " ").split()) for one in answer.lower().split(",") if one.strip())


def load_talks(data: Path, part: Part) -> list[Talk]:
    """Everything said about every picture of a part, in the order of the files. MissingCorpus where one is absent."""
    return [*_daquar(data, part), *_flickr(data, part), *_easyvqa(data, part), *_nlvr(data, part)]


def rarer(talks: Sequence[Talk], most: int = 8) -> dict[tuple[str, str], float]:
    """How much rarer an answer is than the commonest to the same question about a drawing, at most so much.

    Seven times of eight no shape is red: to say no without looking is then right so often that looking is not learned.
    """
    counts = Counter((r.question, r.answer) for t in talks for r in t.rounds if r.kind == "easyvqa")
    common = dict[str, int]()
    for (question, _), n in counts.items():
        common[question] = max(n, common.get(question, 0))
    return {(q, a): min(float(most), common[q] / n) for (q, a), n in counts.items()}


def dialogues(
    talks: Sequence[Talk],
    rng: random.Random,
    most: int = 3,
    weights: Mapping[tuple[str, str], float] = MappingProxyType({}),
    drawn: Mapping[str, int] = DRAWN,
) -> Iterator[Talk]:
    """Talks cut for one epoch: chains as they are, independent rounds shuffled into dialogues of 1 to `most`.

    An earlier round then need not matter, but it may: about the same picture, one answer hints at another. Of the kinds
    of `drawn` each epoch takes so many, those (question, answer) sooner that have more weight than 1.
    """
    for talk in talks:
        if talk.chained:
            yield talk
            continue
        rounds = [r for r in talk.rounds if r.kind not in drawn for _ in range(TIMES.get(r.kind, 1))]
        for kind, n in drawn.items():
            some = [r for r in talk.rounds if r.kind == kind]
            # Drawn without replacement, each with its weight (Efraimidis and Spirakis 2006).
            some.sort(key=lambda r: -(rng.random() ** (1 / weights.get((r.question, r.answer), 1.0))))
            rounds += some[:n]
        rng.shuffle(rounds)
        while rounds:
            n = rng.randint(1, most)
            yield Talk(talk.collection, talk.image, tuple(rounds[:n]))
            rounds = rounds[n:]


def limited(talks: Sequence[Talk], most: Sequence[tuple[str, int]]) -> list[Talk]:
    """The talks about at most so many pictures of a collection, those of which most is asked; captions do not count."""
    asked = Counter[tuple[str, str]]()
    for t in talks:
        asked[t.collection, t.image] += sum(r.kind != "caption" for r in t.rounds)
    kept, bounded = set[tuple[str, str]](), dict(most)
    for collection in {t.collection for t in talks}:
        keys = sorted((k for k in asked if k[0] == collection), key=lambda k: (-asked[k], k[1]))
        kept.update(keys[: bounded.get(collection, len(keys))])
    return [t for t in talks if (t.collection, t.image) in kept]


def _daquar(data: Path, part: Part) -> Iterator[Talk]:
    for row in read_table(data, "daquar", "rounds"):
        if _part_of(row["split"], row["image"]) == part:
            rounds = tuple(Asked(r["q"], plain(r["a"]), "daquar") for r in row["rounds"])
            if rounds:
                yield Talk("daquar", row["image"], rounds)


def _easyvqa(data: Path, part: Part) -> Iterator[Talk]:
    n = 0
    for row in read_table(data, "easyvqa", "rounds"):
        if _part_of(row["split"], row["image"]) == part:
            n += 1
            if part == "train" and n > DRAWINGS:
                return
            yield Talk("easyvqa", row["image"], tuple(Asked(r["q"], r["a"], "easyvqa") for r in row["rounds"]))


def _nlvr(data: Path, part: Part) -> Iterator[Talk]:
    for row in read_table(data, "nlvr", "statements"):
        # dev-1572-0-0: sentence 1572, about one of several scenes. A sentence is on one side only.
        sentence = "-".join(row["image"].split("-")[:2])
        where = _part_of("train", sentence) if row["split"] == "dev" else "test"
        if where == part:
            rounds = [Asked(row["statement"], VERDICTS[row["label"]], "nlvr")]
            if part == "train" and "boxes" in row:
                rng = random.Random(row["image"])
                made = scene_statements(row["boxes"], rng, SCENE_STATEMENTS)
                rounds += [Asked(m.question, m.answer, m.rule) for m in made]
            yield Talk("nlvr", row["image"], tuple(rounds))


def _flickr(data: Path, part: Part) -> Iterator[Talk]:
    wanted = PICTURE_PARTS[part]
    rows = [row for row in read_table(data, "flickr8k", "captions") if row["split"] in wanted]
    said = dict[str, list[Asked]]()
    for row in read_table(data, "flickr8k", "statements"):
        if row["split"] in wanted and row["label"] in VERDICTS:
            said.setdefault(row["image"], []).append(Asked(row["statement"], VERDICTS[row["label"]], "statement"))
    said_of_all = [row["captions"] for row in rows]
    for row in rows:
        image, captions = row["image"], row["captions"]
        found = facts(captions)
        alone = said.get(image, []) + [Asked(m.question, m.answer, m.rule) for m in questions(found)]
        if part == "train":
            alone += [Asked(m.question, m.answer, m.rule) for m in caption_statements(image, captions, said_of_all)]
        if alone:
            yield Talk("flickr8k", image, tuple(alone))
        for chain in chains(found):
            yield Talk("flickr8k", image, tuple(Asked(m.question, m.answer, m.rule) for m in chain), chained=True)


def _part_of(split: str, key: str) -> str:
    return split if split != "train" else "validation" if held_out(key) else "train"
