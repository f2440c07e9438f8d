"""ECF, emotion-cause pairs in Friends: github.com/NUSTM/MECPE, `data/{train,dev,test}.txt`."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from dialog.conversation import Conversation

FILES = {"train": "train.txt", "validation": "dev.txt", "test": "test.txt"}

_PAIR = re.compile(r"\((\d+),(\d+)\)")


def read(path: Path) -> Iterator[Conversation]:
    """The conversations of one file, in order; causes count utterances from 0 and have no spans.

    Each is a line with its number and how many utterances it has, a line of (emotion, cause) pairs, and the utterances.
    ValueError, with the line, where the file is laid out otherwise.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        try:
            key, count = lines[at].split()
            rows = [line.split(" | ") for line in lines[at + 2 : at + 2 + int(count)]]
            causes = defaultdict(list)
            for effect, cause in _PAIR.findall(lines[at + 1]):
                causes[int(effect)].append({"utterance": int(cause) - 1, "span": None})
            utterances = [
                {
                    "speaker": speaker.strip(),
                    "text": text.strip(),
                    "emotion": emotion.strip(),
                    "causes": causes[n],
                    "source": source.split(":")[0].strip(),
                }
                for n, (_, speaker, emotion, text, source) in enumerate(rows, 1)
            ]
            if len(utterances) != int(count):
                raise ValueError(f"{count} utterances announced, {len(utterances)} there")
        except (ValueError, IndexError) as error:
            raise ValueError(f"{path}, line {at + 1}: not a conversation as ECF lays it out: {error}") from error
        yield Conversation.from_dict({"id": f"ecf_{key}", "utterances": utterances})
        at += 2 + int(count)
