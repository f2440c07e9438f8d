"""EmoContext (SemEval 2019, task 3): github.com/declare-lab/conv-emotion,
`DialogueRNN/semeval19_emocon/{train,valid,test}.txt`."""

from collections.abc import Iterator
from pathlib import Path

from dialog.conversation import Conversation

FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}

_HEADER = ["id", "turn1", "turn2", "turn3", "label"]


def read(path: Path) -> Iterator[Conversation]:
    """The three-turn chats of one file, in order: user, bot, user. Only the third turn is labelled.

    ValueError, with the line, where a line does not have five columns.
    """
    with path.open(encoding="utf-8", newline="") as file:
        # Not csv: quotation marks mean nothing here.
        for number, line in enumerate(file, 1):
            cells = line.rstrip("\r\n").split("\t")
            if number == 1 and cells == _HEADER:
                continue
            if len(cells) != len(_HEADER):
                raise ValueError(f"{path}, line {number}: expected {len(_HEADER)} columns, got {len(cells)}")
            first, second, third = (cell.strip() for cell in cells[1:4])
            yield Conversation.from_dict(
                {
                    "id": f"emocontext_{path.stem}_{cells[0]}",
                    "utterances": [
                        {"speaker": "user", "text": first},
                        {"speaker": "bot", "text": second},
                        {"speaker": "user", "text": third, "emotion": cells[4].strip()},
                    ],
                }
            )
