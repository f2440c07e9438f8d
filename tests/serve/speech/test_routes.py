"""Recordings in this process: routes and worker together, with a recogniser and a tagger that need no weights."""

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from dialog.formats import WRITERS
from dialog.speech.sound import RATE
from serve.edge.keys import PAGE, Keys, new_key
from serve.edge.limits import Limits
from serve.edge.problems import Refusal, unavailable
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.speech import table
from serve.storage import Storage
from tests.dialog.speech.voices_made import DEEP, HIGH, LOW, MIDDLE
from tests.serve.conftest import client_of
from tests.serve.speech.conftest import CONFIG, LIMITS, ended, left
from tests.serve.speech.heard import TURNS, Counting, call

Make = Callable[..., Any]
GREAT, SAD = "a great job", "so sad"


async def sent(api: httpx.AsyncClient, content: bytes, **options: Any) -> dict[str, Any]:
    """A recording that was taken."""
    begun = await api.post("/recordings", files={"file": ("call.wav", content)}, data=options)
    assert begun.status_code == 202, begun.text
    found: dict[str, Any] = begun.json()
    return found


@pytest.fixture
async def done(api: httpx.AsyncClient, make_worker: Make, wav: bytes) -> dict[str, Any]:
    make_worker()
    return await ended(api, (await sent(api, wav, speakers="2"))["id"])


async def test_a_recording_is_taken_heard_labelled_and_forgotten(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes, storage: Storage
) -> None:
    begun = await api.post("/recordings", content=wav, params={"filename": "../my call.wav", "speakers": 2})
    assert begun.status_code == 202
    assert begun.headers["location"] == f"/v1/recordings/{begun.json()['id']}"
    assert (begun.json()["state"], begun.json()["filename"]) == ("queued", "my_call.wav")
    for path in ("sound", "envelope", "voices/0", "output"):
        early = await api.get(f"/recordings/{begun.json()['id']}/{path}")
        assert (early.status_code, early.json()["type"]) == (409, "urn:rapport:problem:not-done")
    make_worker()
    found = await ended(api, begun.json()["id"])
    assert (found["state"], found["fraction"], found["model_version"]) == ("done", 1.0, "emotion/ekman@1")
    assert [u["speaker"] for u in found["utterances"]] == ["Speaker 1", "Speaker 2"] * 2
    assert [u["text"] for u in found["utterances"]] == [GREAT, SAD] * 2
    assert [u["prediction"]["emotion"] for u in found["utterances"]] == ["joy", "sadness"] * 2
    assert [u["prediction"]["causes"][0]["utterance"] for u in found["utterances"][1:]] == [0, 1, 2]
    assert [(s["name"], s["utterances"]) for s in found["speakers"]] == [("Speaker 1", 2), ("Speaker 2", 2)]
    first = found["utterances"][0]
    assert first["time"] == f"00:00:0{first['starts']:.3f}"
    assert (first["confidence"], first["edited"]) == (0.5, False)
    # What was sent is gone; what there is to hear stays until it is deleted.
    assert [p.name for p in left(storage)] == ["sound.wav"]
    assert (await api.delete(f"/recordings/{found['id']}")).status_code == 204
    assert left(storage) == []
    assert (await api.get(f"/recordings/{found['id']}")).status_code == 404
    assert storage.do_now(lambda db: db.exec_driver_sql("SELECT count(*) FROM recording_parts").scalar_one()) == 0


async def test_all_of_it_and_each_voice_can_be_heard_in_parts(
    api: httpx.AsyncClient, done: dict[str, Any], wav: bytes
) -> None:
    whole = (await api.get(done["sound"].removeprefix("/v1"))).content
    sound, rate = soundfile.read(io.BytesIO(whole), dtype="float32")
    there, _ = soundfile.read(io.BytesIO(wav), dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(sound, there, atol=1e-3)
    for speaker in done["speakers"]:
        heard = await api.get(speaker["voice"].removeprefix("/v1"))
        assert heard.headers["content-type"] == "audio/wav"
        voice, _ = soundfile.read(io.BytesIO(heard.content), dtype="float32")
        assert len(voice) == len(sound)
        for u in done["utterances"]:
            inside = slice(round(u["starts"] * RATE) + 200, round(u["ends"] * RATE) - 200)
            expected = sound[inside] if u["speaker"] == speaker["name"] else np.zeros_like(sound[inside])
            np.testing.assert_allclose(voice[inside], expected, atol=1e-3)
    path = done["speakers"][0]["voice"].removeprefix("/v1")
    part = await api.get(path, headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")
    assert part.headers["content-range"] == f"bytes 0-3/{len(whole)}"
    none = await api.get(path, headers={"range": f"bytes={len(whole)}-"})
    assert (none.status_code, none.json()["type"]) == (416, "urn:rapport:problem:no-such-part")
    assert none.headers["content-range"] == f"bytes */{len(whole)}"
    assert (await api.get(path.replace("voices/0", "voices/2"))).status_code == 404


async def test_its_envelope_is_loud_where_somebody_speaks(api: httpx.AsyncClient, done: dict[str, Any]) -> None:
    told = (await api.get(f"/recordings/{done['id']}/envelope")).json()
    peaks = np.array(told["peaks"])
    at = (np.arange(len(peaks)) + 0.5) * told["seconds"] / len(peaks)
    speaks = np.zeros(len(peaks), bool)
    for u in done["utterances"]:
        speaks |= (at > u["starts"]) & (at < u["ends"])
    assert peaks[speaks].max() > 0.3
    assert peaks[~speaks].max() < 0.05


async def test_words_and_speakers_are_changed_and_all_is_labelled_anew(
    api: httpx.AsyncClient, done: dict[str, Any], storage: Storage
) -> None:
    here = f"/recordings/{done['id']}"
    before = (await api.get(done["speakers"][1]["voice"].removeprefix("/v1"))).content
    said = await api.patch(f"{here}/utterances/1", json={"text": "I hate it", "speaker": "Ann"})
    assert said.status_code == 200, said.text
    changed = said.json()["utterances"]
    assert (changed[1]["text"], changed[1]["speaker"], changed[1]["confidence"]) == ("I hate it", "Ann", None)
    assert [u["edited"] for u in changed] == [False, True, False, False]
    assert [u["prediction"]["emotion"] for u in changed] == ["joy", "anger", "joy", "sadness"]
    assert [s["name"] for s in said.json()["speakers"]] == ["Speaker 1", "Speaker 2", "Ann"]
    assert (await api.get(here)).json()["utterances"] == changed
    # The voice has lost what is another's now, and nothing of the old one is left.
    assert (await api.get(f"{here}/voices/1")).content != before
    assert len([p for p in left(storage) if p.parent.name == "voices"]) == 1
    quiet = (await api.patch(f"{here}/utterances/0", json={"text": ""})).json()["utterances"]
    assert (quiet[0]["prediction"], quiet[1]["prediction"]["causes"]) == (None, [])
    assert quiet[2]["prediction"]["causes"][0]["utterance"] == 1
    named = (await api.patch(f"{here}/speakers/0", json={"name": "Bo"})).json()
    assert [s["name"] for s in named["speakers"]] == ["Bo", "Speaker 2", "Ann"]
    merged = (await api.patch(f"{here}/speakers/1", json={"name": "Bo"})).json()
    assert [(s["n"], s["name"], s["utterances"]) for s in merged["speakers"]] == [(0, "Bo", 3), (2, "Ann", 1)]


async def test_what_cannot_be_changed_is_said(api: httpx.AsyncClient, done: dict[str, Any]) -> None:
    for path, body, status, places in (
        ("utterances/9", {"text": "a"}, 404, []),
        ("utterances/0", {}, 422, [""]),
        ("utterances/0", {"text": "x" * 4001}, 422, ["/text"]),
        ("utterances/0", {"speaker": " "}, 422, ["/speaker"]),
        ("utterances/0", {"time": "1"}, 422, ["/time"]),
        ("speakers/7", {"name": "a"}, 404, []),
        ("speakers/0", {"name": "x" * 201}, 422, ["/name"]),
        ("speakers/0", {"name": ""}, 422, ["/name"]),
    ):
        answer = await api.patch(f"/recordings/{done['id']}/{path}", json=body)
        assert answer.status_code == status, answer.text
        assert [e["pointer"] for e in answer.json().get("errors", ())] == places
    assert (await api.get(f"/recordings/{done['id']}")).json()["utterances"] == done["utterances"]


async def test_two_changes_at_once_are_both_kept(api: httpx.AsyncClient, done: dict[str, Any]) -> None:
    here = f"/recordings/{done['id']}/utterances"
    await asyncio.gather(*(api.patch(f"{here}/{n}", json={"text": f"great {n}"}) for n in range(4)))
    after = (await api.get(f"/recordings/{done['id']}")).json()["utterances"]
    assert [u["text"] for u in after] == [f"great {n}" for n in range(4)]
    assert {u["prediction"]["emotion"] for u in after} == {"joy"}


async def test_a_change_that_cannot_be_labelled_is_not_kept(
    make_api: Make, api: httpx.AsyncClient, done: dict[str, Any], taggers: Taggers
) -> None:
    class Gone(LocalLabeller):
        async def label(self, job: Any) -> Any:
            raise unavailable("nobody is there")

    async with client_of(make_api(LIMITS, labeller=Gone(taggers), recordings=CONFIG)) as broken:
        answer = await broken.patch(f"/recordings/{done['id']}/utterances/0", json={"text": "hm"})
    assert answer.status_code == 503
    assert (await api.get(f"/recordings/{done['id']}")).json()["utterances"] == done["utterances"]


async def test_a_long_one_is_labelled_anew_in_the_background(
    make_api: Make, done: dict[str, Any], api: httpx.AsyncClient
) -> None:
    limits = LIMITS.model_copy(update={"messages_reread": 3})
    async with client_of(make_api(limits, recordings=CONFIG)) as small:
        answer = await small.patch(f"/recordings/{done['id']}/utterances/1", json={"text": "I hate it"})
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")
    after = await ended(api, done["id"])
    assert [u["prediction"]["emotion"] for u in after["utterances"]] == ["joy", "anger", "joy", "sadness"]
    assert Counting.calls == 4  # nobody listened again


async def test_every_format_comes_out(api: httpx.AsyncClient, done: dict[str, Any]) -> None:
    starts = {"jsonl": b'{"', "csv": b"conversation,", "html": b"<!", "parquet": b"PAR1", "label-studio": b"["}
    for to, writer in WRITERS.items():
        output = await api.get(f"/recordings/{done['id']}/output", params={"to": to})
        assert output.status_code == 200
        assert output.headers["content-disposition"].endswith(f"call-emotions.{writer.ending}")
        assert output.content.startswith(starts[to])


async def test_how_a_voice_sounds_stands_apart_from_what_the_words_say(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes
) -> None:
    """In the prediction, and where there is none in the utterance; changed words change nothing of it."""
    make_worker()
    found = await ended(api, (await sent(api, wav, speakers="2"))["id"])
    here = f"/recordings/{found['id']}"
    heard = [u["prediction"]["voice"] for u in found["utterances"]]
    assert [u["voice"] for u in found["utterances"]] == [None] * 4
    assert heard[0].keys() == {"emotion", "probability", "probabilities"}
    assert heard[0]["probability"] == max(heard[0]["probabilities"].values())
    changed = (await api.patch(f"{here}/utterances/0", json={"text": "I hate it"})).json()["utterances"][0]
    assert (changed["prediction"]["emotion"], changed["prediction"]["voice"]) == ("anger", heard[0])
    silent = (await api.patch(f"{here}/utterances/0", json={"text": ""})).json()["utterances"][0]
    assert (silent["prediction"], silent["voice"]) == (None, heard[0])
    written = json.loads((await api.get(f"{here}/output")).content)["utterances"]
    assert [u["prediction"]["voice"] for u in written] == heard[1:]
    assert not any("voice" in u for u in written)
    table = (await api.get(f"{here}/output", params={"to": "csv"})).text.splitlines()
    assert "voice,voice_probability" in table[0]
    report = (await api.get(f"{here}/output", params={"to": "html"})).text
    assert "Voice sounds" in report or "not sure how it sounds" in report


async def test_what_comes_out_is_what_annotate_makes_of_the_file(api: httpx.AsyncClient, done: dict[str, Any]) -> None:
    await api.patch(f"/recordings/{done['id']}/utterances/0", json={"text": ""})
    found = json.loads((await api.get(f"/recordings/{done['id']}/output")).content)
    assert (found["id"], found["left_out"], found["recogniser"]) == ("call", {"sound without words": 1}, "counting")
    assert [u["text"] for u in found["utterances"]] == [SAD, GREAT, SAD]
    assert [u["prediction"]["causes"][0]["utterance"] for u in found["utterances"][1:]] == [0, 1]
    assert found["utterances"][0]["time"] == done["utterances"][1]["time"]
    assert found["utterances"][0]["end"] == done["utterances"][1]["end"]


async def test_without_a_recogniser_the_speakers_are_found_and_one_word_says_why(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes
) -> None:
    make_worker()
    found = await ended(api, (await sent(api, wav, speakers="2", recogniser="missing"))["id"])
    assert found["state"] == "done"
    assert [u["speaker"] for u in found["utterances"]] == ["Speaker 1", "Speaker 2"] * 2
    assert {u["text"] for u in found["utterances"]} == {""}
    (warning,) = found["warnings"]
    assert warning["code"] == "no-recogniser"
    assert "pip install 'rapport[speech]'" in warning["text"]
    # Somebody who listens can write the words himself.
    written = await api.patch(f"/recordings/{found['id']}/utterances/0", json={"text": "great"})
    assert written.json()["utterances"][0]["prediction"]["emotion"] == "joy"


async def test_a_recogniser_that_fails_on_the_way_loses_no_words_before(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes
) -> None:
    make_worker()
    found = await ended(api, (await sent(api, wav, speakers="2", recogniser="failing"))["id"])
    assert [u["text"] for u in found["utterances"]] == [GREAT, "", "", ""]
    (warning,) = found["warnings"]
    assert (warning["code"], warning["utterances"]) == ("words-missing", [1, 2, 3])


async def test_a_model_that_cannot_be_loaded_leaves_the_words(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes
) -> None:
    make_worker()
    found = await ended(api, (await sent(api, wav, speakers="2", model="emotion/missing"))["id"])
    assert (found["state"], [u["text"] for u in found["utterances"]]) == ("done", [GREAT, SAD] * 2)
    (warning,) = found["warnings"]
    assert (warning["code"], "cannot be loaded" in warning["text"]) == ("not-labelled", True)


async def test_a_channel_is_a_speaker_where_it_is_said(api: httpx.AsyncClient, make_worker: Make, wav: bytes) -> None:
    mono, _ = soundfile.read(io.BytesIO(wav), dtype="float32")
    file = io.BytesIO()
    soundfile.write(file, np.stack([mono, np.roll(mono, RATE)], 1), RATE, format="WAV")
    make_worker()
    two = await ended(api, (await sent(api, file.getvalue(), channels="speakers"))["id"])
    assert [s["utterances"] >= 4 for s in two["speakers"]] == [True, True]
    one = await ended(api, (await sent(api, file.getvalue(), channels="mixed", speakers="1"))["id"])
    assert [s["name"] for s in one["speakers"]] == ["Speaker 1"]
    wrong = await ended(api, (await sent(api, wav, channels="speakers"))["id"])
    assert (wrong["state"], wrong["error"]) == ("failed", "1 channel; expected 2, one for each speaker")


NOISE = np.random.default_rng(0).standard_normal(3 * RATE) * 0.2
ODD = {
    "silence": (np.zeros(3 * RATE), RATE, {}),
    "music": (0.3 * np.sin(2 * np.pi * np.outer(np.arange(3 * RATE) / RATE, [262, 330, 392])).sum(1), RATE, {}),
    "a steady noise": (NOISE, RATE, {}),
    "no sound at all": (np.zeros(0), RATE, {}),
}
FINE: dict[str, tuple[Any, int, int]] = {
    "one speaker": ([(HIGH, 2.5), (HIGH, 2.5)], 1, 1),
    "four speakers": ([(v, 2.0) for v in (HIGH, LOW, MIDDLE, DEEP)] * 2, 4, 1),
    "3 s": ([(LOW, 1.4)], 1, 1),
    "96 kHz, 24 bit": (TURNS, 2, 6),
}


@pytest.mark.parametrize("name", ODD)
async def test_where_nobody_speaks_that_is_said(api: httpx.AsyncClient, make_worker: Make, name: str) -> None:
    samples, rate, how = ODD[name]
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", **how)
    make_worker()
    found = await ended(api, (await sent(api, file.getvalue()))["id"])
    assert (found["state"], found["total"], found["speakers"]) == ("done", 0, [])
    assert [w["code"] for w in found["warnings"]] == ["no-speech"]
    assert (await api.get(f"/recordings/{found['id']}/output")).status_code == 200
    envelope = (await api.get(f"/recordings/{found['id']}/envelope")).json()
    assert len(envelope["peaks"]) == (0 if not len(samples) else 1600)


@pytest.mark.parametrize("name", FINE)
async def test_people_are_found_in_any_sound(
    api: httpx.AsyncClient, make_worker: Make, tmp_path: Path, name: str
) -> None:
    turns, n, times = FINE[name]
    path = call(tmp_path / "a.wav", turns)
    if times > 1:
        samples, _ = soundfile.read(path)
        soundfile.write(path, np.repeat(samples, times), RATE * times, subtype="PCM_24", format="FLAC")
    make_worker()
    found = await ended(api, (await sent(api, path.read_bytes(), speakers=str(n)))["id"])
    assert (found["state"], len(found["speakers"]), found["total"]) == ("done", n, len(turns))


async def test_5_1_and_overdriven_sound_is_heard_and_what_is_wrong_with_it_said(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes
) -> None:
    mono, _ = soundfile.read(io.BytesIO(wav), dtype="float32")
    file = io.BytesIO()
    soundfile.write(file, np.stack([np.clip(20 * mono, -1, 1)] * 6, 1), RATE, format="WAV")
    make_worker()
    found = await ended(api, (await sent(api, file.getvalue(), speakers="2"))["id"])
    assert (found["state"], len(found["speakers"])) == ("done", 2)
    assert [w["code"] for w in found["warnings"]] == ["recording-clipped"]


async def test_a_file_that_breaks_off_is_heard_up_to_there(
    api: httpx.AsyncClient, make_worker: Make, tmp_path: Path
) -> None:
    flac = call(tmp_path / "a.flac").read_bytes()
    make_worker()
    found = await ended(api, (await sent(api, flac[: len(flac) * 2 // 3], speakers="2"))["id"])
    assert found["state"] == "done"
    assert 0 < found["total"] < 4
    assert "recording-cut-off" in [w["code"] for w in found["warnings"]]


@pytest.mark.parametrize("beginning", [b"RIFF\x10\x00\x00\x00WAVEfmt ", b"fLaC\x00\x00\x00\x22", b"ID3\x04"])
async def test_what_only_begins_like_a_recording_fails_in_clear_words_and_leaves_nothing(
    api: httpx.AsyncClient, make_worker: Make, storage: Storage, beginning: bytes
) -> None:
    make_worker()
    found = await ended(api, (await sent(api, beginning + b"and then some words" * 50))["id"])
    assert (found["state"], found["sound"]) == ("failed", None)
    assert found["error"].startswith("no sound in it that can be read")
    played = await api.get(f"/recordings/{found['id']}/sound")
    assert (played.status_code, played.json()["type"]) == (409, "urn:rapport:problem:recording-failed")
    assert left(storage) == []


MP4 = b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("request_of", "status", "said"),
    [
        ({"files": {"file": ("a.wav", b"Ann: only words\n")}}, 415, "no recording that is known here"),
        ({"files": {"file": ("a.wav", MP4)}}, 415, "m4a needs ffmpeg, which this service does not have"),
        ({"files": {"file": ("a.webm", b"\x1aE\xdf\xa3" * 4)}}, 415, "webm needs ffmpeg"),
        ({"content": b"{}", "headers": {"content-type": "application/json"}}, 415, "expected a recording"),
        ({"files": {"file": ("a.wav", b"")}}, 422, "/file"),
        ({"content": b""}, 422, ""),
        ({"files": {"other": ("a.wav", b"RIFF")}}, 422, "/file"),
        ({"files": {"file": ("a.wav", b"RIFF")}, "data": {"speakers": "5"}}, 422, "/speakers"),
        ({"files": {"file": ("a.wav", b"RIFF")}, "data": {"speakers": "0"}}, 422, "/speakers"),
        ({"files": {"file": ("a.wav", b"RIFF")}, "data": {"speakers": "two"}}, 422, "/speakers"),
        ({"files": {"file": ("a.wav", b"RIFF")}, "data": {"recogniser": "whisper:/etc"}}, 422, "/recogniser"),
        ({"files": {"file": ("a.wav", b"RIFF")}, "data": {"language": "Deutsch"}}, 422, "/language"),
        ({"files": {"file": ("a.wav", b"RIFF")}, "data": {"colour": "red"}}, 422, "/colour"),
        ({"content": b"RIFF", "params": {"channels": "left"}}, 422, "/query/channels"),
        ({"content": b"RIFF", "headers": {"content-type": "multipart/form-data"}}, 400, None),
        ({"content": b"RIFF" + b"x" * 3_000_000}, 413, None),
    ],
)  # fmt: skip
async def test_what_is_no_recording_is_refused_at_once(
    api: httpx.AsyncClient,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    request_of: dict[str, Any],
    status: int,
    said: str | None,
) -> None:
    monkeypatch.setattr("serve.speech.uploads.can_convert", lambda: False)
    answer = await api.post("/recordings", **request_of)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 422:
        assert [e["pointer"] for e in answer.json()["errors"]] == [said]
    elif said is not None:
        assert said in answer.json()["detail"]
    if status == 413:
        assert answer.json()["limit"] == "recording_bytes"
    assert left(storage) == []
    assert (await api.get("/recordings")).json()["recordings"] == []


async def test_a_language_that_a_recogniser_does_not_hear_is_refused(make_api: Make) -> None:
    async with client_of(make_api()) as api:
        answer = await api.post("/recordings", content=b"RIFF", params={"language": "de", "recogniser": "pocketsphinx"})
    assert answer.status_code == 422
    assert "pocketsphinx hears English alone" in answer.json()["errors"][0]["detail"]


async def test_only_so_many_wait(api: httpx.AsyncClient, wav: bytes) -> None:
    for _ in range(3):
        await sent(api, wav)
    refused = await api.post("/recordings", content=wav)
    assert (refused.status_code, refused.json()["limit"]) == (429, "recordings_waiting")
    listed = (await api.get("/recordings", params={"limit": 2})).json()
    assert [r["ahead"] for r in listed["recordings"]] == [2, 1]
    rest = (await api.get("/recordings", params={"cursor": listed["next"]})).json()
    assert ([r["ahead"] for r in rest["recordings"]], rest["next"]) == ([0], None)
    none = (await api.get("/recordings", params={"state": "done"})).json()["recordings"]
    assert none == (await api.get("/recordings", params={"filename": "%"})).json()["recordings"] == []


async def test_each_key_sees_its_own(make_api: Make, make_worker: Make, wav: bytes) -> None:
    (ann, kept), (bo, others), (eve, reads) = new_key("ann"), new_key("bo"), new_key("eve", scopes=("read",))
    keys = Keys(keys=(kept, others, reads), required=True)
    make_worker()
    async with client_of(make_api(LIMITS, recordings=CONFIG, keys=keys)) as api:
        mine, theirs, reader = ({"authorization": f"Bearer {key}"} for key in (ann, bo, eve))
        begun = (await api.post("/recordings", content=wav, headers=mine)).json()["id"]
        api.headers.update(mine)
        await ended(api, begun)
        api.headers.update(theirs)
        for path in ("", "/envelope", "/sound", "/voices/0", "/output"):
            assert (await api.get(f"/recordings/{begun}{path}")).status_code == 404
        assert (await api.patch(f"/recordings/{begun}/utterances/0", json={"text": "a"})).status_code == 404
        assert (await api.delete(f"/recordings/{begun}")).status_code == 404
        assert (await api.get("/recordings")).json()["recordings"] == []
        refused = await api.post("/recordings", content=wav, headers=reader)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:rapport:problem:wrong-scope")
        api.headers.update(mine)
        assert [r["id"] for r in (await api.get("/recordings")).json()["recordings"]] == [begun]


async def test_a_visitor_with_a_key_hears_what_the_page_has_sent(make_api: Make, wav: bytes) -> None:
    (page, pages), (bo, visitors) = new_key(PAGE), new_key("bo")
    async with client_of(make_api(recordings=CONFIG, keys=Keys(keys=(pages, visitors), required=True))) as api:
        shown = (await api.post("/recordings", content=wav, headers={"authorization": f"Bearer {page}"})).json()["id"]
        asks = {"authorization": f"Bearer {bo}"}
        assert (await api.get(f"/recordings/{shown}", headers=asks)).status_code == 200
        assert (await api.get(f"/recordings/{shown}/sound", headers=asks)).status_code == 409  # not heard yet
        assert (await api.delete(f"/recordings/{shown}", headers=asks)).status_code == 404


async def test_where_others_can_reach_the_service_it_lists_nothing(make_api: Make) -> None:
    async with client_of(make_api(recordings=CONFIG, may_list=False)) as api:
        assert (await api.get("/recordings")).status_code == 403


async def test_what_is_sent_twice_with_a_key_is_taken_once(
    api: httpx.AsyncClient, wav: bytes, storage: Storage
) -> None:
    headers = {"idempotency-key": "once"}
    first = await api.post("/recordings", content=wav, headers=headers)
    again = await api.post("/recordings", content=wav, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert storage.do_now(table.waiting) == 1
    await api.delete(f"/recordings/{first.json()['id']}")
    assert storage.do_now(lambda db: db.exec_driver_sql("SELECT count(*) FROM repeats").scalar_one()) == 0


async def test_of_what_was_said_no_word_is_left(api: httpx.AsyncClient, done: dict[str, Any], storage: Storage) -> None:
    mark = b"an unmistakable marker"

    def everywhere() -> bytes:
        return b"".join(p.read_bytes() for p in storage.folder.rglob("*") if p.is_file())

    await api.patch(f"/recordings/{done['id']}/utterances/0", json={"text": mark.decode()})
    assert mark in everywhere()
    await api.patch(f"/recordings/{done['id']}/utterances/0", json={"text": "hm"})
    assert mark not in everywhere()
    await api.patch(f"/recordings/{done['id']}/utterances/0", json={"speaker": mark.decode()})
    await api.delete(f"/recordings/{done['id']}")
    assert mark not in everywhere()


async def test_a_full_disk_is_said_and_leaves_nothing(
    api: httpx.AsyncClient, wav: bytes, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("serve.edge.spool._write_all", full)
        answer = await api.post("/recordings", content=wav)
    assert (answer.status_code, answer.json()["type"]) == (507, "urn:rapport:problem:disk-full")
    assert left(storage) == []


async def test_a_database_that_cannot_be_written_leaves_no_file(
    api: httpx.AsyncClient, wav: bytes, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: Any) -> None:
        raise Refusal(503, "database-locked", "held", retry_after=2)

    with monkeypatch.context() as patch:
        patch.setattr("serve.speech.table.add", held)
        assert (await api.post("/recordings", content=wav)).status_code == 503
    assert left(storage) == []


async def test_the_figures_say_how_many_there_are(make_api: Make, done: dict[str, Any]) -> None:
    async with client_of(make_api(Limits(), recordings=CONFIG)) as api:
        page = (await api.get("/metrics")).text
    assert 'rapport_recordings{state="done"} 1.0' in page
    assert 'rapport_recorded_seconds_total{recogniser="counting"}' in page
    assert 'rapport_messages_total{model="emotion/ekman",through="recordings"}' in page
