"""Words by Whisper: the model that packages carry, or one of yours by folder or hub name.

Whisper makes something up of silence, noise and music (Radford et al. 2022, section 4.5), so what it says is believed
only where it is sure that somebody speaks, sure of the words, and does not go round in a circle.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialog.speech.carried import NotCarried, carried_folder
from dialog.speech.recognisers import SHORTEST_S, Heard, NoRecogniser, Recogniser, Word, Words
from dialog.speech.sound import RATE

WINDOW_S = 28.0
"""So much sound is heard at once; the model takes 30 s, and takes as long for less."""
MOST_REPEATED = 2.4
"""How far words may be compressed by zlib; more goes round in a circle."""
LEAST_LOG_P = -1.0
"""Mean log-probability of the tokens, below which nothing was understood."""
NOBODY, NOBODY_LOG_P = 0.6, -0.5
"""Above the first that nobody speaks, and below the second of the words, they are made up."""
SHORTEST_WORD_S = 0.04
"""A word that takes less time was made up where the sound ended: numbers go on and on there."""
SURE_OF_LANGUAGE = 0.7
"""Below, the language is that of what was heard before."""

_BEAM = 5
_TEMPERATURES = (0.0, 0.4)  # the second where the first went round in a circle
_TOKENS = 24, 10.0  # at most so many, and so many more a second: nobody speaks faster


class FasterWhisper:
    """words = FasterWhisper(folder, name="whisper").words(samples)"""

    window_s = WINDOW_S

    def __init__(self, model: str, language: str | None = None, **how: Any) -> None:
        """model: its folder, or name on a hub; how: what else faster-whisper's WhisperModel takes. NoRecogniser for a
        language that it does not hear; whatever that raises for no model."""
        from faster_whisper import WhisperModel

        self.name = f"whisper:{model}"
        self._model: Any = WhisperModel(model, **how)
        known = sorted(self._model.supported_languages)
        if language is not None and language not in known:
            raise NoRecogniser(f"{self.name} does not hear {language!r}; it hears {', '.join(known)}")
        self._language = language
        self._heard: dict[str, float] = {}

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        """The words, and how likely they are each, in the mean."""
        return self.words(samples).heard()

    def words(self, samples: NDArray[np.float32]) -> Words:
        """The words with their times, and the language that was found where none was given."""
        if len(samples) < SHORTEST_S * RATE:
            return Words()
        asked = {
            "beam_size": _BEAM,
            "temperature": _TEMPERATURES,
            "condition_on_previous_text": False,  # what was made up once would be made up again
            "word_timestamps": True,
            "compression_ratio_threshold": MOST_REPEATED,
            "log_prob_threshold": LEAST_LOG_P,
            "no_speech_threshold": None,  # ours is below
            "max_new_tokens": int(_TOKENS[0] + _TOKENS[1] * min(len(samples) / RATE, WINDOW_S)),
        }
        segments, info = self._model.transcribe(samples, language=self._language, **asked)
        language = self._language or self._likely(info)
        if language != info.language:
            segments, _ = self._model.transcribe(samples, language=language, **asked)
        said = [segment for segment in segments if believed(segment)]
        if said and self._language is None:
            for one, p in info.all_language_probs:
                self._heard[one] = self._heard.get(one, 0.0) + p * len(samples)
        words = (Word(w.word, float(w.start), float(w.end), float(w.probability)) for s in said for w in s.words)
        lasting = tuple(word for word in words if word.end - word.start >= SHORTEST_WORD_S)
        return Words(lasting, None if self._language else language)

    def _likely(self, info: Any) -> str:
        """The language of a stretch: its own where it is clear, else the likeliest of it and all before."""
        if info.language_probability >= SURE_OF_LANGUAGE or not self._heard:
            return str(info.language)
        whole = sum(self._heard.values())
        p = dict(info.all_language_probs)
        return max(self._heard, key=lambda one: self._heard[one] / whole + p.get(one, 0.0))


def believed(segment: Any) -> bool:
    """Whether somebody said what a segment of faster-whisper says."""
    made_up = segment.no_speech_prob > NOBODY and segment.avg_logprob < NOBODY_LOG_P
    understood = segment.avg_logprob >= LEAST_LOG_P and segment.compression_ratio <= MOST_REPEATED
    return bool(understood and not made_up and any(c.isalnum() for c in segment.text))


class TransformersSpeech:
    """A speech model that transformers loads (Whisper, wav2vec 2.0 and so on), by folder or name."""

    def __init__(self, model: str, language: str | None = None) -> None:
        from transformers import pipeline

        self.name = f"whisper:{model}"
        self._asked: dict[str, Any] = {} if language is None else {"generate_kwargs": {"language": language}}
        self._run: Any = pipeline("automatic-speech-recognition", model=model)

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        """The words. The pipeline does not say how sure it is."""
        return Heard(str(self._run({"raw": samples, "sampling_rate": RATE}, **self._asked)["text"]).strip())


def whisper_carried(language: str | None) -> Recogniser:
    """The model that packages carry. NoRecogniser says what is missing."""
    if find_spec("faster_whisper") is None:
        raise NoRecogniser("whisper is not installed: pip install 'rapport[whisper]', or name another recogniser")
    try:
        folder = str(carried_folder())
    except NotCarried as error:
        raise NoRecogniser(str(error)) from None
    recogniser = FasterWhisper(folder, language, device="cpu", compute_type="int8")
    recogniser.name = "whisper"
    return recogniser


def whisper_of(what: str, language: str | None) -> Recogniser:
    """A model of somebody's, by folder or hub name. NoRecogniser where it cannot be loaded."""
    folder = Path(what).expanduser()
    if not folder.is_dir() and what.startswith((".", "/", "~")):
        raise NoRecogniser(f"no folder {what} with a speech model in it")
    if folder.is_dir() and not (folder / "config.json").exists():
        raise NoRecogniser(f"{what}: no speech model that can be loaded (it has no config.json)")
    converted = not folder.is_dir() or (folder / "model.bin").exists()
    named = str(folder) if folder.is_dir() else what
    load: Callable[[str, str | None], Recogniser] = TransformersSpeech
    if converted and find_spec("faster_whisper") is not None:
        load = FasterWhisper
    try:
        return load(named, language)
    except NoRecogniser:
        raise
    except Exception as error:  # whatever a library makes of a stranger's folder
        raise NoRecogniser(f"{what}: no speech model that can be loaded ({str(error).splitlines()[0][:200]})") from None
