"""A data folder of hand-made corpora, and the tiny encoder where training looks for the built-in one."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from dialog.conversation import Conversation
from models.encoders import text
from tests.dialog.tiny import WORDS, chat

FEELING = {"happy": "joy", "sad": "sadness", "angry": "anger"}


def write_corpus(folder: Path, corpus: str, split: str, conversations: Sequence[Conversation]) -> None:
    (folder / corpus).mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / corpus / f"{split}.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(c.to_dict()) + "\n" for c in conversations)


def moody(n: int, seed: int = 0) -> list[Conversation]:
    """Conversations in which the label is said in so many words; an utterance in seven has none."""
    conversations = []
    for i in range(seed, seed + n):
        lines, emotions = list[str](), list[str | None]()
        for k in range(3 + i % 4):
            word = ["happy", "sad", "angry", "film", "dog"][(i * 3 + k * 2) % 5]
            lines.append(f"{'AB'[k % 2]}: {WORDS[(i + k) % 10]} so {word} {WORDS[(i * k) % 24]}")
            emotions.append(None if (i + k) % 7 == 0 else FEELING.get(word, "neutral"))
        conversations.append(chat(*lines, id=f"m{i}", emotions=tuple(emotions)))
    return conversations


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write_corpus(folder, "meld", "train", moody(24))
    write_corpus(folder, "meld", "validation", moody(6, seed=100))
    return folder


@pytest.fixture(autouse=True)
def _tiny_built_in(encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "built_in_folder", lambda: encoder_folder)
