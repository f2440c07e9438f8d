"""The emotion of a voice, as it is shipped: small, measured, and silent about what is no voice."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, lfilter

from dialog.conversation import Voice
from dialog.corpora.recordings import TEST
from dialog.speech.sound import RATE
from dialog.speech.voice_emotion import VoiceEmotions
from models import checkpoint
from models.catalogue import VOICE_EMOTION, WEIGHTS, path_of, shipped
from models.checkpoint import CheckpointError
from models.voice_emotion import VoiceEmotion, VoiceEmotionConfig
from tests.dialog.speech.voices_made import HIGH, said

N = 3 * RATE
T = np.arange(N) / RATE
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def sounds() -> VoiceEmotions:
    return VoiceEmotions.load(device="cpu")


def whispered() -> NDArray[np.float64]:
    """Noise in the band of speech, in syllables."""
    b, a = butter(2, (500, 2500), "bandpass", fs=RATE)
    return np.asarray(lfilter(b, a, RNG.standard_normal(N)) * np.sin(2 * np.pi * 2 * T) ** 2 * 0.2)


NO_VOICE = {
    "silence": np.zeros(N),
    "hiss": 1e-4 * RNG.standard_normal(N),
    "noise": 0.2 * RNG.standard_normal(N),
    "a whisper": whispered(),
    "clicks": (np.arange(N) % 4000 == 0) * 0.9,
}
NO_SPEECH = {
    "a deep noise": lfilter([0.02], [1, -0.98], RNG.standard_normal(N)),
    "a tone": 0.3 * np.sin(2 * np.pi * 440 * T),
    "a chord": 0.1 * np.sin(2 * np.pi * np.outer(T, [262, 330, 392])).sum(1),
    "a siren": 0.3 * np.sin(2 * np.pi * np.cumsum(400 + 200 * np.sin(2 * np.pi * 2 * T)) / RATE),
    "an engaged line": 0.3 * np.sin(2 * np.pi * 425 * T) * (np.sin(2 * np.pi * T) > 0),
    "a motor": 0.2 * ((70 * T) % 1 - 0.5) + 0.05 * RNG.standard_normal(N),
}


@pytest.mark.parametrize("name", NO_VOICE)
def test_where_there_is_no_voice_nothing_is_said(sounds: VoiceEmotions, name: str) -> None:
    assert sounds(np.asarray(NO_VOICE[name], np.float32)) is None


@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_only_hums_has_no_emotion(sounds: VoiceEmotions, name: str) -> None:
    voice = sounds(np.asarray(NO_SPEECH[name], np.float32))
    assert voice is None or voice.emotion is None


def test_less_than_a_second_says_nothing_and_a_long_speech_is_heard_in_pieces(sounds: VoiceEmotions) -> None:
    speech = said(HIGH, 20.0).astype(np.float32)
    assert sounds(speech[: RATE - 1]) is None
    voice = sounds(speech)
    assert isinstance(voice, Voice)
    assert voice.probability == max(voice.probabilities.values())
    assert sum(voice.probabilities.values()) == pytest.approx(1, abs=1e-3)


def test_it_is_small_and_clearly_better_than_what_it_is_compared_with() -> None:
    assert (WEIGHTS / VOICE_EMOTION / "model.safetensors").stat().st_size < 1_000_000
    card = next(one for one in shipped() if one.name == VOICE_EMOTION)
    test = card.scores["test"]["audio"]
    plain = [told["baselines"]["mfcc"]["mean_recall"] for told in (test, card.scores)]
    ours = [told["mean_recall"] for told in (test["metrics"], card.scores["validation"])]
    assert ours[0] > plain[0] + 0.05 > test["baselines"]["chance"]["mean_recall"] + 0.3
    assert ours[1] > plain[1] + 0.15
    assert {tuple(voice.split("/")) for voice in test["voices"]} <= TEST
    assert not {tuple(voice.split("/")) for voice in card.scores["voices"]} & TEST


def test_a_head_over_other_voiceprints_is_refused(tmp_path: object) -> None:
    head = checkpoint.load(path_of(VOICE_EMOTION), VoiceEmotion, VoiceEmotionConfig, device="cpu")
    config = VoiceEmotionConfig(labels=head.config.labels, n_inputs=head.config.n_inputs, voiceprints="0" * 12)
    folder = checkpoint.save(str(tmp_path), head, config)
    with pytest.raises(CheckpointError, match="train it anew"):
        VoiceEmotions.load(folder)
