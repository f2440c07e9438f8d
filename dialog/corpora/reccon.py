"""RECCON: github.com/declare-lab/conv-emotion,
`emotion-cause-extraction/RoBERTa Baseline/data/original_annotation/*.json`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dialog.conversation import Conversation

FILES = {
    "train": "dailydialog_train.json",
    "validation": "dailydialog_valid.json",
    "test": "dailydialog_test.json",
    "test_iemocap": "iemocap_test.json",
}

_ONE_NAME = {
    "angry": "anger",
    "excited": "excitement",
    "frustrated": "frustration",
    "happines": "happiness",
    "happy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
}
"""The source names some emotions in two ways, and misspells one."""

_LATENT = "b"
"""Stands for a cause that is not in the conversation."""


def read(path: Path) -> Iterator[Conversation]:
    """The conversations of one json, in order; causes count utterances from 0, None is a latent cause.

    ValueError for another kind of file.
    """
    part = "ie" if path.name.startswith("iemocap") else "dd"
    try:
        conversations = json.loads(path.read_text(encoding="utf-8"))
        for key, ((*turns,),) in conversations.items():
            yield Conversation.from_dict(
                {"id": f"reccon_{part}_{key}", "source_id": key, "utterances": [_utterance(turn) for turn in turns]}
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not one of RECCON's original annotations: {error!r}") from error


def _utterance(turn: Mapping[str, Any]) -> dict[str, Any]:
    emotion = turn["emotion"].strip()
    utterance = {
        "speaker": turn["speaker"],
        "text": turn["utterance"].strip(),
        "emotion": _ONE_NAME.get(emotion, emotion),
    }
    if "expanded emotion cause evidence" in turn:
        pairs = zip(turn["expanded emotion cause evidence"], turn["expanded emotion cause span"], strict=True)
        utterance["causes"] = [
            {"utterance": None, "span": None} if where == _LATENT else {"utterance": where - 1, "span": span}
            for where, span in pairs
        ]
        utterance["cause_types"] = turn["type"]
    if "explanation" in turn:
        utterance["explanation"] = turn["explanation"]
    return utterance
