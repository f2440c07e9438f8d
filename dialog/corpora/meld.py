"""MELD as published: github.com/declare-lab/MELD, `data/MELD/{train,dev,test}_sent_emo.csv`."""

import csv
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from dialog.conversation import Conversation

FILES = {"train": "train_sent_emo.csv", "validation": "dev_sent_emo.csv", "test": "test_sent_emo.csv"}


def read(path: Path) -> Iterator[Conversation]:
    """The dialogues of one csv, in order. `source_index` is the utterance's original number; there are gaps.

    ValueError where a column is missing.
    """
    split = path.name.split("_")[0]
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        missing = {"Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"} - set(
            rows.fieldnames or ()
        )
        if missing:
            raise ValueError(f"{path} has no column {', '.join(sorted(missing))}: is it one of MELD's *_sent_emo.csv?")
        for dialogue, group in groupby(rows, key=lambda row: row["Dialogue_ID"]):
            lines = list(group)
            yield Conversation.from_dict(
                {
                    "id": f"meld_{split}_{dialogue}",
                    "season": int(lines[0]["Season"]),
                    "episode": int(lines[0]["Episode"]),
                    "utterances": [
                        {
                            "speaker": line["Speaker"].strip(),
                            "text": line["Utterance"].strip(),
                            "emotion": line["Emotion"],
                            "sentiment": line["Sentiment"],
                            "source_index": int(line["Utterance_ID"]),
                        }
                        for line in lines
                    ],
                }
            )
