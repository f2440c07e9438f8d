"""What is believed of what Whisper says, by a model that says what the test wants; and the carried one, where it is."""

from collections.abc import Iterable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dialog.speech.recognisers import NoRecogniser, is_installed, recogniser_of
from dialog.speech.sound import RATE
from dialog.speech.whisper import FasterWhisper, believed

TEN_S = np.zeros(10 * RATE, np.float32)
carried = pytest.mark.skipif(not is_installed("whisper"), reason="needs pip install 'rapport[whisper]'")


def segment(text: str, **how: float) -> Any:
    usual = {"avg_logprob": -0.3, "no_speech_prob": 0.02, "compression_ratio": 1.1}
    words = [
        SimpleNamespace(word=f" {word}", start=n * 0.5, end=n * 0.5 + 0.4, probability=0.8)
        for n, word in enumerate(text.split())
    ]
    return SimpleNamespace(text=text, words=words, **{**usual, **how})


@pytest.mark.parametrize(
    ("said", "sure"),
    [
        (segment("Good morning."), True),
        (segment("Yes.", no_speech_prob=0.7, avg_logprob=-0.3), True),
        (segment("Thank you for watching!", no_speech_prob=0.75, avg_logprob=-0.76), False),
        (segment("I'm sorry, I'm sorry, I'm sorry", compression_ratio=23.6, avg_logprob=-0.1), False),
        (segment("Gnorf blim", avg_logprob=-1.3), False),
        (segment(" ... ♪"), False),
    ],
)
def test_what_was_made_up_is_not_believed(said: Any, sure: bool) -> None:
    assert believed(said) is sure


class Model:
    """Stands for faster-whisper's: a call says the next of `answers`, a language with its probability and segments."""

    supported_languages = ("en", "de", "fr")
    answers: Iterator[tuple[dict[str, float], list[Any]]]

    def __init__(self, model: str, **how: Any) -> None:
        self.asked: list[str | None] = []

    def transcribe(self, samples: NDArray[np.float32], *, language: str | None, **how: Any) -> tuple[Any, Any]:
        self.asked.append(language)
        if language is None:
            p, self.segments = next(self.answers)
            self.told = sorted(p.items(), key=lambda one: -one[1])
        best, probability = (language, 1.0) if language else self.told[0]
        return iter(self.segments), SimpleNamespace(
            language=best, language_probability=probability, all_language_probs=None if language else self.told
        )


@pytest.fixture
def whisper(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("faster_whisper")
    module.WhisperModel = Model  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "faster_whisper", module)

    def made(answers: Iterable[tuple[dict[str, float], list[Any]]], language: str | None = None) -> FasterWhisper:
        monkeypatch.setattr(Model, "answers", iter(answers), raising=False)
        return FasterWhisper("folder", language)

    return made


def test_words_have_times_and_the_text_is_as_sure_as_they_are(whisper: Any) -> None:
    found = whisper([({"en": 0.9}, [segment("good morning"), segment("la la", compression_ratio=9.0)])]).words(TEN_S)
    assert [(word.text, word.start, word.end) for word in found.words] == [(" good", 0.0, 0.4), (" morning", 0.5, 0.9)]
    assert found.heard() == ("good morning", 0.8, "en")


def test_words_that_take_no_time_are_made_up(whisper: Any) -> None:
    said = segment("five six")
    said.words[1].end = said.words[1].start
    assert whisper([({"en": 0.9}, [said])]).hear(TEN_S).text == "five"


def test_a_stretch_of_which_the_language_is_unclear_takes_that_of_those_before(whisper: Any) -> None:
    clear, unclear = {"de": 0.95, "en": 0.02, "fr": 0.01}, {"fr": 0.4, "de": 0.3, "en": 0.1}
    said = [segment("guten Morgen")]
    recogniser = whisper([(clear, said), (unclear, said), ({"en": 0.9, "de": 0.05}, said)])
    assert [recogniser.hear(TEN_S).language for _ in range(3)] == ["de", "de", "en"]
    assert recogniser._model.asked == [None, None, "de", None]


def test_a_language_that_was_told_is_taken_and_not_said_to_be_found(whisper: Any) -> None:
    recogniser = whisper([({"en": 0.9}, [segment("oui")])], language="fr")
    recogniser._model.segments = [segment("oui")]
    assert recogniser.hear(TEN_S) == ("oui", 0.8, None)
    with pytest.raises(NoRecogniser, match="does not hear 'tlh'; it hears de, en, fr"):
        whisper([], language="tlh")


def test_nothing_is_asked_about_less_than_a_word(whisper: Any) -> None:
    recogniser = whisper([])
    assert recogniser.hear(np.zeros(100, np.float32)).text == ""
    assert recogniser._model.asked == []


@carried
@pytest.mark.slow
def test_the_carried_model_says_nothing_of_silence_noise_hum_and_a_tune() -> None:
    recogniser, at = recogniser_of("whisper"), np.arange(8 * RATE) / RATE
    random = np.random.default_rng(0)
    notes = np.repeat(random.choice([220, 262, 330, 392, 440, 523], 32), RATE // 4)
    sounds = {
        "silence": 0 * at,
        "noise": 0.1 * random.standard_normal(len(at)),
        "hum": 0.2 * np.sin(2 * np.pi * 50 * at) + 0.1 * np.sin(2 * np.pi * 100 * at),
        "tune": 0.2 * sum(np.sin(2 * np.pi * notes * k * at) / k for k in (1, 2, 3)) * np.exp(-4 * (at % 0.25)),
    }
    assert {
        name: recogniser.hear(samples.astype(np.float32)).text for name, samples in sounds.items()
    } == dict.fromkeys(sounds, "")
