"""From probabilities and a text to what a person is told of an utterance."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from dialog.conversation import Prediction, Tag
from dialog.emotion.care import speaks_of_self_harm
from dialog.emotion.config import EmotionModelConfig
from dialog.labels import SENTIMENT, UNSURE_BELOW
from dialog.language import FOREIGN
from models.encoders.faces import has_face


class Besides(NamedTuple):
    """What is said of an utterance beside its label."""

    tags: tuple[Tag, ...]
    valence: float | None
    arousal: float | None


class Verdicts:
    """Words one model's numbers: the label chosen, what is said beside it, and where no label is due."""

    def __init__(self, name: str, config: EmotionModelConfig, device: torch.device) -> None:
        self._name, self._config, self._labels = name, config, config.labels
        self._bias = torch.tensor(config.label_bias or [0.0] * len(config.labels), device=device)
        self._sentiment = {label: SENTIMENT[label] for label in config.labels if label in SENTIMENT}

    def choose(self, p: Tensor) -> Tensor:
        """The index of the label of each row of probabilities (..., L)."""
        return (p.clamp(min=1e-9).log() + self._bias).argmax(-1)

    def besides(self, tags: Tensor, affect: Tensor) -> list[Besides]:
        """What is said beside the labels, from probabilities (N, tags) and valence and arousal (N, 2), or (N, 0)."""
        rows = affect.tolist() if affect.shape[-1] else [(None, None)] * len(tags)
        said: list[tuple[Tag, ...]] = [()] * len(tags)
        likely = tags >= self._config.tag_threshold
        for i in likely.any(-1).nonzero()[:, 0].tolist():
            found = [(p, self._config.tags[k]) for k, p in enumerate(tags[i].tolist()) if likely[i, k]]
            said[i] = tuple(Tag(tag=tag, probability=p) for p, tag in sorted(found, reverse=True))
        return [Besides(tag, *row) for tag, row in zip(said, rows, strict=True)]

    def prediction(self, values: Sequence[float], best: int, besides: Besides) -> Prediction:
        """The prediction with the `best` label and the probabilities `values` (L,); ValueError where they are none."""
        if not all(0 <= v <= 1.0001 for v in values):
            raise ValueError(f"model {self._name} gave no probabilities ({values}); its weights may be damaged")
        emotion = self._labels[best]
        second = max((i for i in range(len(values)) if i != best), key=values.__getitem__)
        return Prediction(
            emotion=emotion,
            probability=values[best],
            probabilities=dict(zip(self._labels, values, strict=True)),
            sentiment=self._sentiment.get(emotion, "neutral"),
            second=self._labels[second],
            valence=besides.valence,
            arousal=besides.arousal,
            tags=besides.tags,
            unsure=values[best] < UNSURE_BELOW,
        )

    def with_text(self, prediction: Prediction, text: str, *, foreign: bool) -> Prediction:
        """The prediction, knowing the text: one that the model cannot read gets no label, unless an emoji says it."""
        care = speaks_of_self_harm(text)
        if foreign and not has_face(text):
            even = 1 / len(self._labels)
            return Prediction(
                emotion=None,
                probability=even,
                probabilities=dict.fromkeys(self._labels, even),
                sentiment="neutral",
                unsure=True,
                care=care,
                reason=FOREIGN,
            )
        return replace(prediction, care=True) if care else prediction
