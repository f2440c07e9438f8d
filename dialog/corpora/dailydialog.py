"""DailyDialog's original archives of 2017: `{train,validation,test}.zip`, each with three files of one line a dialogue.

They are kept in github.com/Ls-Dai/Deep-Reinforcement-Learning-for-Dialogue-Generation-in-PyTorch, `data/`.
"""

from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from dialog.conversation import Conversation

FILES = {"train": "train.zip", "validation": "validation.zip", "test": "test.zip"}

_EMOTIONS = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")  # 0 is "no emotion"
_ACTS = (None, "inform", "question", "directive", "commissive")


def read(path: Path) -> Iterator[Conversation]:
    """The dialogues of one archive, in order. The source names no speakers; they are taken to alternate, A first.

    One dialogue has an utterance more than labels; its last labels are None. ValueError for another kind of file.
    """
    split = path.stem
    try:
        with ZipFile(path) as archive:
            texts, acts, emotions = (
                archive.read(f"{split}/dialogues_{part}{split}.txt").decode("utf-8").splitlines()
                for part in ("", "act_", "emotion_")
            )
    except (BadZipFile, KeyError) as error:
        raise ValueError(f"{path} is not DailyDialog's {split}.zip: {error}") from error
    for i, (text, act, emotion) in enumerate(zip(texts, acts, emotions, strict=True)):
        said = [part.strip() for part in text.strip().removesuffix("__eou__").split("__eou__")]
        act_of = [_ACTS[int(number)] for number in act.split()]
        emotion_of = [_EMOTIONS[int(number)] for number in emotion.split()]
        yield Conversation.from_dict(
            {
                "id": f"dailydialog_{split}_{i}",
                "utterances": [
                    {
                        "speaker": "AB"[n % 2],
                        "text": utterance,
                        "emotion": emotion_of[n] if n < len(emotion_of) else None,
                        "act": act_of[n] if n < len(act_of) else None,
                    }
                    for n, utterance in enumerate(said)
                ],
            }
        )
