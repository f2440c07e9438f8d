"""What voices sound like: a vector a stretch of speech, from the network that is shipped."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly

from dialog.speech.sound import RATE
from models import checkpoint
from models.catalogue import VOICEPRINTS, path_of
from models.device import Where, device_of
from models.voiceprint import Voiceprint, VoiceprintConfig

_BATCH = 64


class Voiceprints:
    """prints = Voiceprints.load()(stretches)"""

    def __init__(self, model: Voiceprint) -> None:
        self.model = model.eval()

    @classmethod
    def load(cls, name: str | Path = VOICEPRINTS, *, device: Where = None) -> "Voiceprints":
        """A shipped model by name, or a folder. Raises UnknownModel or CheckpointError."""
        return cls(checkpoint.load(path_of(str(name)), Voiceprint, VoiceprintConfig, device=device))

    @torch.inference_mode()
    def __call__(self, stretches: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """(W, D) of length 1, one a stretch of samples (n,) at RATE; near for one voice, far for two."""
        lengths: dict[int, list[int]] = {}
        for i, samples in enumerate(stretches):
            lengths.setdefault(len(samples), []).append(i)
        found = np.zeros((len(stretches), self.model.config.size))
        for alike in lengths.values():  # a batch has stretches of one length, for nothing is padded
            for at in range(0, len(alike), _BATCH):
                rows = alike[at : at + _BATCH]
                found[rows] = self._prints(np.stack([stretches[i] for i in rows]))
        return found

    def _prints(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        heard = resample_poly(samples, self.model.config.rate, RATE, axis=1) if samples.shape[1] else samples
        sound = torch.from_numpy(heard.astype(np.float32)).to(device_of(self.model))
        prints: NDArray[np.float32] = self.model(sound).float().cpu().numpy()
        return prints


@cache
def shipped() -> Voiceprints:
    """The shipped network, loaded once."""
    return Voiceprints.load()
