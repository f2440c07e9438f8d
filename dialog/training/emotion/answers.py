"""What the teacher says of the messages the small model is shown, on disk between two recipes."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from dialog.training.emotion.distil import Answers
from dialog.training.emotion.messages import Message
from dialog.training.emotion.teacher import answers, load_teacher
from models.device import Where
from models.tensors import read_file, write_file

_TENSORS, _MESSAGES = "answers.safetensors", "messages.jsonl"


def make_answers(
    messages: Sequence[Message],
    teacher: Path,
    out: Path,
    *,
    large: Path | None = None,
    device: Where = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Writes answers.safetensors and messages.jsonl into `out`; `teacher` is a folder, `large` that of large_folder."""
    said = answers(load_teacher(teacher, large, device=device), [m.text for m in messages], progress)
    return write_answers(messages, Answers(said.emotion.softmax(-1), said.tags.sigmoid(), said.affect), out)


def write_answers(messages: Sequence[Message], said: Answers, out: Path) -> Path:
    """The files that `read_answers` reads."""
    out.mkdir(parents=True, exist_ok=True)
    write_file(out / _TENSORS, {key: t.half() for key, t in said._asdict().items()})
    with (out / _MESSAGES).open("w", encoding="utf-8") as file:
        for m in messages:
            row = {"text": m.text, "corpus": m.corpus, "emotion": m.emotion, "affect": m.affect}
            row["tags"] = None if m.tags is None else sorted(m.tags)  # type: ignore[assignment]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return out


def read_answers(folder: Path) -> tuple[list[Message], Answers]:
    """The messages, and what was said of them. ValueError where the folder does not hold both, or they do not fit."""
    for name in (_TENSORS, _MESSAGES):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is missing: expected what `rapport train emotion/answers` writes")
    messages = []
    with (folder / _MESSAGES).open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            messages.append(
                Message(
                    row["text"],
                    row["corpus"],
                    None if row["emotion"] is None else tuple(row["emotion"]),
                    None if row["tags"] is None else frozenset(row["tags"]),
                    None if row["affect"] is None else (row["affect"][0], row["affect"][1]),
                )
            )
    said = Answers(**{key: t.float() for key, t in read_file(folder / _TENSORS).items()})
    if not len(messages) == len(said.emotion) == len(said.tags) == len(said.affect):
        raise ValueError(f"{folder}: {len(messages)} messages, but {len(said.emotion)} answers")
    if not bool(torch.isfinite(said.emotion).all()):
        raise ValueError(f"{folder}: an answer is no number")
    return messages, said
