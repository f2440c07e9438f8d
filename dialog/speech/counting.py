"""How many people speak: each number is scored by how well the voiceprints fall into so many groups.

A conditional logit over what is measured of each grouping, learned from talks whose number was known. It stands in
`speakers.json` beside the network of voiceprints whose prints it judges.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import silhouette_score

from models import checkpoint
from models.catalogue import VOICEPRINTS, path_of
from models.checkpoint import CheckpointError

Floats = NDArray[np.float64]

FILE = "speakers.json"
MOST_SPEAKERS = 4
"""That are looked for where nobody says how many there are."""
MEASURES = ("silhouette", "smallest", "variance", "gap")
"""Of the groups: cosine silhouette; the smallest one's share, up to SMALL; how much of the prints' power lies in as
many directions; and the logarithm of by how much the last of these is larger than the next."""
SMALL = 0.15
USUAL = 40
"""Windows of a talk; a shorter or longer one has other scores, up to FACTOR times as long."""
FACTOR = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Counting:
    """count = Counting.load()(prints, groupings)

    mean, spread, weight (M,) of the measures; bias and length (K,) of two people, three and so on, one being at 0.
    """

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    weight: tuple[float, ...]
    bias: tuple[float, ...]
    length: tuple[float, ...]
    voiceprints: str = ""
    """`checkpoint.content_hash` of the network that it was learned over."""

    def __post_init__(self) -> None:
        by_measure = {len(self.mean), len(self.spread), len(self.weight)}
        by_number = {len(self.bias), len(self.length)}
        if by_measure != {len(MEASURES)} or by_number != {MOST_SPEAKERS - 1}:
            raise ValueError(
                f"{by_measure} numbers a measure and {by_number} a number of speakers, expected {len(MEASURES)} and "
                f"{MOST_SPEAKERS - 1}"
            )

    @classmethod
    def load(cls, name: str | Path = VOICEPRINTS) -> "Counting":
        """That of shipped voiceprints by name, or of a folder. Raises UnknownModel, and CheckpointError where it is
        missing, damaged, or was learned over other voiceprints."""
        folder = path_of(str(name))
        told = checkpoint.read_json(folder / FILE)
        try:
            numbers = {key: tuple(value) for key, value in told.items() if key != "voiceprints"}
            found = cls(**numbers, voiceprints=str(told.get("voiceprints", "")))
        except (TypeError, AttributeError, ValueError) as error:
            raise CheckpointError(f"{folder / FILE} does not say how to count speakers: {error}") from None
        if found.voiceprints != (there := checkpoint.content_hash(folder)):
            raise CheckpointError(f"{folder / FILE} was learned over {found.voiceprints}, not {there}; train it anew")
        return found

    def save(self, folder: Path) -> None:
        """Into the folder of voiceprints."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def __call__(self, prints: Floats, groupings: Mapping[int, NDArray[np.int64]]) -> int:
        """How many people speak, from 1, by voiceprints (W, D) and their groups (W,) for each number from 2."""
        return 1 + int(self.scores(measured(prints, groupings)[None], np.array([length_of(len(prints))]))[0].argmax())

    def scores(self, measures: Floats, lengths: Floats) -> Floats:
        """(N, K + 1) of one person, two and so on, from measures (N, K, M) and lengths (N,) of talks. What is not
        measured (NaN) cannot be."""
        z = (measures - np.array(self.mean)) / np.array(self.spread)
        several = z @ np.array(self.weight) + np.array(self.bias) + lengths[:, None] * np.array(self.length)
        return np.concatenate([np.zeros((len(measures), 1)), np.nan_to_num(several, nan=-np.inf)], 1)


def measured(prints: Floats, groupings: Mapping[int, NDArray[np.int64]]) -> Floats:
    """(K, M) what MEASURES says of the groups of voiceprints (W, D), of length 1, for 2 to MOST_SPEAKERS people; NaN
    for numbers that have no grouping."""
    found = np.full((MOST_SPEAKERS - 1, len(MEASURES)), np.nan)
    power = np.maximum(np.linalg.eigvalsh(prints.T @ prints / len(prints))[::-1], 1e-9)
    for n, groups in groupings.items():
        found[n - 2] = (
            silhouette_score(prints, groups, metric="cosine"),
            min(np.bincount(groups).min() / len(groups), SMALL),
            power[:n].sum(),
            np.log(power[n - 1] / power[n]),
        )
    return found


def length_of(windows: int) -> float:
    """How long a talk is beside the usual, as a logarithm."""
    return float(np.log(np.clip(windows / USUAL, 1 / FACTOR, FACTOR)))


@cache
def shipped() -> Counting:
    """The shipped one, read once."""
    return Counting.load()
