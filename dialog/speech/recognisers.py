"""Words out of speech, through one port: Whisper, pocketsphinx, or an endpoint you name.

`whisper` and `pocketsphinx` need no network: packages carry their models. The one hears many languages; the other
English alone, rough, many words wrong. `whisper:FOLDER` loads a speech model that lies in a folder, or is named on a
hub: faster-whisper where it is installed and the model is in its form, else transformers. An `http(s)://` address is
asked as OpenAI's transcription service is: only then do recordings leave the machine, and only where speech is in them.
"""

import io
import os
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from dialog.speech.carried import is_carried
from dialog.speech.sound import RATE

KEY = "RAPPORT_TRANSCRIPTION_KEY"
"""The environment variable with the key of an endpoint."""
MODEL = "RAPPORT_TRANSCRIPTION_MODEL"
"""And the one with the model to ask it for; `whisper-1` where it is not set."""
KINDS = "whisper, pocketsphinx, whisper:FOLDER_OR_NAME, or the http(s) address of a transcription endpoint"
OFFLINE = ("whisper", "pocketsphinx")
"""Those whose models packages carry, the best first."""

SHORTEST_S = 0.1
"""No word is shorter, and pocketsphinx needs some frames."""
_TIMEOUT_S = 120.0


class NoRecogniser(ValueError):
    """What was asked for cannot recognise words here; the message says what would help."""


class Heard(NamedTuple):
    """Words, how sure the recogniser is of them, 0 to 1, None of one that does not say, and the language they were
    found to be in, as in ISO 639; None where it was told, or does not say."""

    text: str
    confidence: float | None = None
    language: str | None = None


class Word(NamedTuple):
    """A word as it stands in a text, with the space before it; from when to when, in seconds; how likely it is."""

    text: str
    start: float
    end: float
    p: float


class Words(NamedTuple):
    """Words in order of time, and the language they were found to be in."""

    words: tuple[Word, ...] = ()
    language: str | None = None

    def heard(self) -> Heard:
        """What they say together."""
        text = "".join(word.text for word in self.words).strip()
        if not text:
            return Heard("")
        return Heard(text, round(float(np.mean([word.p for word in self.words])), 4), self.language)


class Recogniser(Protocol):
    """Anything that hears words in a stretch of one speaker."""

    name: str

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        """The words in samples (n,) at RATE, full scale 1; an empty text where there are none."""
        ...


class TimesWords(Recogniser, Protocol):
    """A recogniser that says when each word is, and hears up to `window_s` seconds as fast as a word."""

    window_s: float

    def words(self, samples: NDArray[np.float32]) -> Words:
        """The words in samples (n,) at RATE, with times from their beginning."""
        ...


def times_words(recogniser: Recogniser) -> TypeGuard[TimesWords]:
    """Whether a recogniser says when each word is. Who wraps one that does not has a window of 0 s."""
    return getattr(recogniser, "window_s", 0.0) > 0


def is_installed(named: str) -> bool:
    """Whether the recogniser of a name can be there; of one that is not OFFLINE nobody knows before it is asked."""
    if named == "whisper":
        return find_spec("faster_whisper") is not None and is_carried()
    return named != "pocketsphinx" or find_spec("pocketsphinx") is not None


def default_recogniser() -> str:
    """The best of OFFLINE that is installed; the best of all where none is, which then says how to get it."""
    return next((named for named in OFFLINE if is_installed(named)), OFFLINE[0])


def recogniser_of(named: str, *, language: str | None = None) -> Recogniser:
    """The recogniser of a name. `language` is what is spoken, as in ISO 639 (`de`); None leaves it to the recogniser.

    NoRecogniser for one that is not known, not installed, cannot be loaded, or does not hear that language.
    """
    expect_language(named, language)
    if named.startswith(("http://", "https://")):
        return Endpoint(named, language=language)
    from dialog.speech.whisper import whisper_carried, whisper_of  # which knows this port

    if named == "pocketsphinx":
        return PocketSphinx()
    if named == "whisper":
        return whisper_carried(language)
    if (what := named.removeprefix("whisper:")) not in ("", named):
        return whisper_of(what, language)
    raise NoRecogniser(f"unknown recogniser {named!r}: expected {KINDS}")


def expect_language(named: str, language: str | None) -> None:
    """NoRecogniser where the recogniser of that name is known not to hear a language. Loads nothing."""
    if named == "pocketsphinx" and language not in (None, "en"):
        raise NoRecogniser(
            f"pocketsphinx hears English alone, not {language!r}: pip install 'rapport[whisper]', or name another one"
        )


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
