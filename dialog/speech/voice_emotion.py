"""Which emotion a voice is likest, from how something is said: a guess, learned from actors who spoke German.

What is measured (`prosody`) and what the network of voiceprints makes of the sound, through one linear layer.
"""

from functools import cache
from math import ceil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly

from dialog.conversation import Voice
from dialog.speech import prosody
from dialog.speech.sound import RATE
from models import checkpoint
from models.catalogue import VOICE_EMOTION, VOICEPRINTS, path_of
from models.checkpoint import CheckpointError
from models.device import Where, device_of
from models.voice_emotion import VoiceEmotion, VoiceEmotionConfig
from models.voiceprint import Voiceprint, VoiceprintConfig

SHORTEST_S, VOICED_S = 1.0, 0.3
"""Of speech, and of a voice in it: in less nobody hears an emotion."""
PIECE_S = 4.0
"""Longer speech is heard in pieces of at most this, the length of what was learned from."""


class VoiceEmotions:
    """voice = VoiceEmotions.load()(samples)"""

    def __init__(self, head: VoiceEmotion, network: Voiceprint) -> None:
        self.head, self.network = head.eval(), network.eval()

    @classmethod
    def load(cls, name: str | Path = VOICE_EMOTION, *, device: Where = None) -> "VoiceEmotions":
        """A shipped model by name, or a folder. Raises UnknownModel, and CheckpointError for one that was learned over
        other voiceprints than are shipped."""
        folder, beneath = path_of(str(name)), path_of(VOICEPRINTS)
        head = checkpoint.load(folder, VoiceEmotion, VoiceEmotionConfig, device=device)
        if (over := head.config.voiceprints) != (there := checkpoint.content_hash(beneath)):
            raise CheckpointError(
                f"{folder} was learned over {VOICEPRINTS}@{over}, and {there} is there; train it anew"
            )
        return cls(head, checkpoint.load(beneath, Voiceprint, VoiceprintConfig, device=device))

    def __call__(self, samples: NDArray[np.float32]) -> Voice | None:
        """How the voice in samples (n,) at RATE sounds; None for less than SHORTEST_S, or without VOICED_S of a voice
        (silence, noise, a whisper)."""
        if len(samples) < SHORTEST_S * RATE:
            return None
        low = resample_poly(samples, prosody.RATE, RATE).astype(np.float32)
        heard = [
            inputs_of(piece, self.network, found)
            for piece in np.array_split(low, ceil(len(low) / (PIECE_S * prosody.RATE)))
            if (found := prosody.track(piece)).voiced_seconds >= VOICED_S
        ]
        return self.said_of(np.stack(heard)) if heard else None

    @torch.inference_mode()
    def said_of(self, inputs: NDArray[np.float64]) -> Voice:
        """How a voice sounds that was heard in pieces, of their inputs (P, F): the mean of what each says."""
        config = self.head.config
        log_p, strange = self.head(torch.from_numpy(inputs).float().to(device_of(self.head)))
        p = log_p.exp().mean(0).tolist()
        probability = max(p)
        unsure = probability < config.least_probability or float(strange.mean()) > config.most_strange
        return Voice(
            emotion=None if unsure else config.labels[p.index(probability)],
            probability=round(probability, 4),
            probabilities={label: round(value, 4) for label, value in zip(config.labels, p, strict=True)},
        )


@torch.inference_mode()
def inputs_of(
    samples: NDArray[np.float32], network: Voiceprint, found: prosody.Track | None = None
) -> NDArray[np.float64]:
    """(N_MEASURES + 2 width,) of samples (n,) at prosody.RATE: what is measured, then mean and spread over the time of
    the last layer of the network of voiceprints. found: their track, if known."""
    x = torch.from_numpy(np.asarray(samples, np.float32))[None].to(device_of(network))
    frames = network.frames(x)[0].double()  # (C, T)
    texture = torch.cat([frames.mean(1), frames.std(1, correction=0)]).cpu().numpy()
    return np.concatenate([prosody.measures(samples, found), texture])


@cache
def shipped() -> VoiceEmotions:
    """The shipped head, loaded once."""
    return VoiceEmotions.load()
