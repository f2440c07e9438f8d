"""VisDial v1.0: dialogues about COCO pictures, each question with 100 options.

Published at visualdialog.org as `visdial_1.0_{train,val,test}.json`, with `visdial_1.0_val_dense_annotations.json` and
`visdial_1.0_train_dense_sample.json`. The conversion in `data/vision/visdial_text` is read as well; it has no pictures.
"""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Round:
    """A question; what was answered, where that is public; its options, and which of them was the human answer."""

    question: str
    answer: str | None = None
    options: tuple[str, ...] = ()
    gt: int | None = None
    relevance: tuple[float, ...] = ()
    """Dense annotation: how apt each option is, 0 to 1; empty where there is none."""


@dataclass(frozen=True, slots=True)
class PictureDialogue:
    """Rounds about one picture. In the test part only the last round has options, and no known answer."""

    image: str
    caption: str
    split: str
    rounds: tuple[Round, ...]


class MalformedDialogues(ValueError):
    """A file that is not VisDial's, or whose parts do not fit together."""


def read(path: Path, dense: Path | None = None) -> Iterator[PictureDialogue]:
    """The dialogues of one file, in order; `dense` adds the relevances of a dense annotations file.

    Raises MalformedDialogues with the dialogue's number and what is wrong with it.
    """
    relevance = {} if dense is None else _relevances(dense)
    found = _converted(path) if ".jsonl" in path.name else _original(path)
    for dialogue in found:
        for place, values in relevance.get(dialogue.image, ()):
            dialogue = _annotated(dialogue, place, values)
        yield dialogue


def _original(path: Path) -> Iterator[PictureDialogue]:
    try:
        whole = json.loads(_text(path))
        split, data = whole["split"], whole["data"]
        questions, answers, dialogs = data["questions"], data["answers"], data["dialogs"]
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedDialogues(
            f"{path} is no VisDial file: expected split and data with questions, answers, dialogs: {error!r}"
        ) from error
    for n, d in enumerate(dialogs):
        try:
            rounds = [
                Round(
                    questions[r["question"]],
                    answers[r["answer"]] if "answer" in r else None,
                    tuple(answers[i] for i in r.get("answer_options", ())),
                    r.get("gt_index"),
                )
                for r in d["dialog"]
                if "question" in r
            ]
            yield _checked(PictureDialogue(str(d["image_id"]), d["caption"], split, tuple(rounds)), path, n)
        except (KeyError, IndexError, TypeError) as error:
            raise MalformedDialogues(f"{path}, dialogue {n}: {error!r}") from error


def _converted(path: Path) -> Iterator[PictureDialogue]:
    for n, line in enumerate(_text(path).splitlines()):
        try:
            d = json.loads(line)
            rounds = [Round(r["q"], r.get("a"), tuple(r.get("options", ())), r.get("gt")) for r in d["rounds"]]
            yield _checked(PictureDialogue(d["image"], d["caption"], d["split"], tuple(rounds)), path, n)
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, MalformedDialogues):
                raise
            raise MalformedDialogues(f"{path}, line {n + 1}: {error!r}") from error


def _checked(d: PictureDialogue, path: Path, n: int) -> PictureDialogue:
    for t, r in enumerate(d.rounds):
        if r.gt is not None and not 0 <= r.gt < len(r.options):
            raise MalformedDialogues(f"{path}, dialogue {n}, round {t + 1}: answer {r.gt} of {len(r.options)} options")
    return d


def _relevances(path: Path) -> Mapping[str, Sequence[tuple[int, tuple[float, ...]]]]:
    """By picture: (round from 0, relevances). The train file calls them `relevance`, the val file `gt_relevance`."""
    found: dict[str, list[tuple[int, tuple[float, ...]]]] = {}
    try:
        rows: list[dict[str, Any]] = json.loads(_text(path))
        for row in rows:
            values = row["gt_relevance"] if "gt_relevance" in row else row["relevance"]
            found.setdefault(str(row["image_id"]), []).append((int(row["round_id"]) - 1, tuple(map(float, values))))
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedDialogues(f"{path} is no file of dense annotations: {error!r}") from error
    return found


def _annotated(d: PictureDialogue, place: int, values: tuple[float, ...]) -> PictureDialogue:
    if not 0 <= place < len(d.rounds) or len(values) != len(d.rounds[place].options):
        raise MalformedDialogues(
            f"picture {d.image}: {len(values)} relevances for round {place + 1}, which has "
            f"{len(d.rounds[place].options) if 0 <= place < len(d.rounds) else 'no'} options"
        )
    rounds = list(d.rounds)
    rounds[place] = replace(rounds[place], relevance=values)
    return replace(d, rounds=tuple(rounds))


def _text(path: Path) -> str:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode("utf-8")
    return path.read_text(encoding="utf-8")
