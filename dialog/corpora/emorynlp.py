"""EmoryNLP as ERC papers use it: github.com/declare-lab/MELD, `data/emorynlp/emorynlp_{train,dev,test}_final.csv`."""

import ast
import csv
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from dialog.conversation import Conversation

FILES = {
    "train": "emorynlp_train_final.csv",
    "validation": "emorynlp_dev_final.csv",
    "test": "emorynlp_test_final.csv",
}


def read(path: Path) -> Iterator[Conversation]:
    """The scenes of one csv, in order; people who speak together are one speaker, their names joined by commas.

    ValueError where a column is missing.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        missing = {"Utterance", "Speaker", "Emotion", "Scene_ID", "Utterance_ID"} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"{path} has no column {', '.join(sorted(missing))}: is it one of emorynlp_*_final.csv?")
        scenes = groupby(rows, key=lambda row: (int(row["Season"]), int(row["Episode"]), int(row["Scene_ID"])))
        for (season, episode, scene), lines in scenes:
            yield Conversation.from_dict(
                {
                    "id": f"emorynlp_s{season:02d}_e{episode:02d}_c{scene:02d}",
                    "season": season,
                    "episode": episode,
                    "scene": scene,
                    "utterances": [
                        {
                            "speaker": ", ".join(ast.literal_eval(line["Speaker"])),
                            "text": line["Utterance"].strip(),
                            "emotion": line["Emotion"].strip().lower(),
                            "source_index": int(line["Utterance_ID"]),
                        }
                        for line in lines
                    ],
                }
            )
