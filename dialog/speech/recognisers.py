"""Words out of speech, through one port: pocketsphinx, a Whisper model of yours, or an endpoint you name.

`pocketsphinx` carries its model and needs no network: English, rough, many words wrong. `whisper:FOLDER` loads a
speech model that lies in a folder, or is named on a hub: faster-whisper where it is installed and the model is in its
form, else transformers. An `http(s)://` address is asked as OpenAI's transcription service is: only then do recordings
leave the machine, and only the stretches with speech in them.
"""

import io
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dialog.speech.sound import RATE

KEY = "RAPPORT_TRANSCRIPTION_KEY"
"""The environment variable with the key of an endpoint."""
MODEL = "RAPPORT_TRANSCRIPTION_MODEL"
"""And the one with the model to ask it for; `whisper-1` where it is not set."""
KINDS = "pocketsphinx, whisper:FOLDER_OR_NAME, or the http(s) address of a transcription endpoint"

SHORTEST_S = 0.1
"""No word is shorter, and pocketsphinx needs some frames."""
_TIMEOUT_S = 120.0


class NoRecogniser(ValueError):
    """What was asked for cannot recognise words here; the message says what would help."""


class Heard(NamedTuple):
    """Words, and how sure the recogniser is of them, 0 to 1; None of one that does not say."""

    text: str
    confidence: float | None = None


class Recogniser(Protocol):
    """Anything that hears words in a stretch of one speaker."""

    name: str

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        """The words in samples (n,) at RATE, full scale 1; an empty text where there are none."""
        ...


def recogniser_of(named: str, *, language: str | None = None) -> Recogniser:
    """The recogniser of a name. `language` is what is spoken, as in ISO 639 (`de`); None leaves it to the recogniser.

    NoRecogniser for one that is not known, not installed, cannot be loaded, or does not hear that language.
    """
    expect_language(named, language)
    if named.startswith(("http://", "https://")):
        return Endpoint(named, language=language)
    kind, _, what = named.partition(":")
    if kind == "pocketsphinx" and not what:
        return PocketSphinx()
    if kind == "whisper" and what:
        return _whisper(what, language)
    raise NoRecogniser(f"unknown recogniser {named!r}: expected {KINDS}")


def expect_language(named: str, language: str | None) -> None:
    """NoRecogniser where the recogniser of that name is known not to hear a language. Loads nothing."""
    if named == "pocketsphinx" and language not in (None, "en"):
        raise NoRecogniser(f"pocketsphinx hears English alone, not {language!r}; name another recogniser")


class PocketSphinx:
    """heard = PocketSphinx().hear(samples)"""

    name = "pocketsphinx"

    def __init__(self) -> None:
        if find_spec("pocketsphinx") is None:
            raise NoRecogniser("pocketsphinx is not installed: pip install 'rapport[speech]', or name another one")
        from pocketsphinx import Decoder

        self._decoder = Decoder(samprate=RATE, loglevel="FATAL")

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        """The likeliest words, and how likely they are each, in the mean."""
        if len(samples) < SHORTEST_S * RATE:
            return Heard("")
        decoder = self._decoder
        decoder.start_utt()
        decoder.process_raw(_whole_numbers(samples).tobytes(), no_search=False, full_utt=True)
        decoder.end_utt()
        best = decoder.hyp()
        if best is None or not best.hypstr.strip():
            return Heard("")
        sure = [min(1.0, float(s.prob)) for s in decoder.seg() if not s.word.startswith(("<", "["))]
        return Heard(best.hypstr.strip(), round(float(np.mean(sure)), 4) if sure else None)


class FasterWhisper:
    """A CTranslate2 model, by folder or name."""

    def __init__(self, model: str, language: str | None = None) -> None:
        from faster_whisper import WhisperModel

        self.name = f"whisper:{model}"
        self._language = language
        self._model: Any = WhisperModel(model)

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        """The words of all segments, and the mean probability of their tokens."""
        segments, _ = self._model.transcribe(samples, language=self._language, condition_on_previous_text=False)
        found = list(segments)
        text = " ".join(segment.text.strip() for segment in found).strip()
        if not text:
            return Heard("")
        return Heard(text, round(float(np.exp(np.mean([segment.avg_logprob for segment in found]))), 4))


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


def _whisper(what: str, language: str | None) -> Recogniser:
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
    except Exception as error:  # whatever a library makes of a stranger's folder
        raise NoRecogniser(f"{what}: no speech model that can be loaded ({str(error).splitlines()[0][:200]})") from None


class Endpoint:
    """A service that answers as OpenAI's `/v1/audio/transcriptions` does; the address is the whole one or up to /v1."""

    def __init__(self, address: str, *, language: str | None = None, transport: Any = None) -> None:
        import httpx

        path = "/audio/transcriptions"
        self.name = httpx.URL(address).host or address
        self._address = address if address.rstrip("/").endswith(path) else address.rstrip("/") + path
        key = os.environ.get(KEY)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._told = {} if language is None else {"language": language}
        self._client = httpx.Client(headers=headers, timeout=_TIMEOUT_S, transport=transport)

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        """What the service answers. OSError, with its own words, where it does not."""
        import httpx
        import soundfile

        file = io.BytesIO()
        soundfile.write(file, _whole_numbers(samples), RATE, format="WAV", subtype="PCM_16")
        try:
            answer = self._client.post(
                self._address,
                files={"file": ("speech.wav", file.getvalue(), "audio/wav")},
                data={"model": os.environ.get(MODEL, "whisper-1"), "response_format": "json", **self._told},
            )
            answer.raise_for_status()
            text = answer.json()["text"]
        except httpx.HTTPStatusError as error:
            raise OSError(f"{self.name} answered {error.response.status_code}: {error.response.text[:200]}") from None
        except httpx.HTTPError as error:
            raise OSError(f"{self.name} did not answer: {error}") from None
        except (ValueError, KeyError, TypeError):
            raise OSError(f"{self.name} answered with no JSON object that has a `text`") from None
        return Heard(str(text).strip())


def _whole_numbers(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    return (np.clip(samples, -1.0, 32767 / 32768) * 32768).round().astype("<i2")
