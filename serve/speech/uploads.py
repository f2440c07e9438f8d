"""A recording that has arrived: what it is called, what it is, and how it is to be listened to."""

import os
from pathlib import Path

from dialog.speech.conversion import can_convert
from dialog.speech.names import CONVERTED, HEAD_BYTES, kind_of
from dialog.speech.recognisers import NoRecogniser, expect_language, is_installed
from serve.config import RecordingsConfig
from serve.edge.limits import Limits
from serve.edge.multipart import safe_name, unpack, with_fields
from serve.edge.problems import Fault, Refusal
from serve.edge.reading import invalid
from serve.emotion.choice import Choice
from serve.speech import table
from serve.speech.listening import UPLOADED
from serve.speech.schemas import RecordingOptions
from serve.speech.table import StoredRecording

_TAKEN = ("audio/", "video/", "application/octet-stream")
_FORM = "multipart/form-data"
_WELCOME = "wav, flac, ogg or mp3"


def kept(
    sent: Path,
    content_type: str,
    options: RecordingOptions,
    folder: Path,
    *,
    choice: Choice,
    config: RecordingsConfig,
    owner: str,
    limits: Limits,
) -> StoredRecording:
    """The recording of a file that has arrived, which lies in its folder from now on. Nothing of it is decoded here.

    Refusal 400 for what is no form, 415 for what is no recording or needs ffmpeg where there is none, 422 for options
    that cannot be, or no bytes.
    """
    unpacked = sent.with_name(sent.name + ".part")
    try:
        kind = content_type.partition(";")[0].strip().lower()
        if kind == _FORM:
            filename, fields = unpack(sent, content_type, unpacked)
            options = with_fields(options, fields, limits)
        elif not kind or kind.startswith(_TAKEN):
            filename = ""
            os.replace(sent, unpacked)
        else:
            detail = f"expected a recording ({_WELCOME}) as the body, or as the field `file` of a form"
            raise Refusal(415, "unsupported-media-type", detail)
        recogniser, model = _chosen(options, choice, config, limits)
        size = unpacked.stat().st_size
        if not size:
            raise _wrong("/file" if kind == _FORM else "", "the recording is empty")
        ending = _kind(unpacked)
        name = safe_name(options.filename or filename, "recording")
        recording = table.new(
            name,
            size,
            model=model,
            recogniser=recogniser,
            n_speakers=options.speakers,
            channels=options.channels,
            language=options.language,
            owner=owner,
        )
        place = folder / recording.id / UPLOADED
        place.mkdir(parents=True, mode=0o700)
        # By its ending a file is known to need ffmpeg; what it was called may say something else.
        renamed = name if ending not in CONVERTED or name.lower().endswith(ending) else name + ending
        os.replace(unpacked, place / renamed)
        return recording
    finally:
        unpacked.unlink(missing_ok=True)


def _chosen(options: RecordingOptions, choice: Choice, config: RecordingsConfig, limits: Limits) -> tuple[str, str]:
    """The names of the recogniser and of the model. Refusal 422."""
    if options.speakers is not None and options.speakers > (most := limits.speakers_per_recording):
        fault = Fault(pointer="/speakers", detail=f"{options.speakers:,} speakers, the limit is {most:,}")
        raise invalid([fault], limits, limit="speakers_per_recording")
    known = config.recognisers
    recogniser = options.recogniser or next((name for name in known if is_installed(known[name])), next(iter(known)))
    if recogniser not in config.recognisers:
        raise _wrong("/recogniser", f"there is no such recogniser; there are {', '.join(config.recognisers)}")
    try:
        expect_language(config.recognisers[recogniser], options.language)
    except NoRecogniser as error:
        raise _wrong("/language", str(error)) from None
    return recogniser, choice.model(options.model, options.label_set, "")


def _kind(file: Path) -> str:
    """What the file is, by its first bytes. Refusal 415."""
    with file.open("rb") as opened:
        found = kind_of(opened.read(HEAD_BYTES))
    if found is None:
        raise Refusal(415, "unsupported-media-type", f"this is no recording that is known here; send {_WELCOME}")
    if found in CONVERTED and not can_convert():
        detail = f"{found[1:]} needs ffmpeg, which this service does not have; send {_WELCOME}"
        raise Refusal(415, "unsupported-media-type", detail)
    return found


def _wrong(place: str, detail: str) -> Refusal:
    return Refusal(422, "invalid", "1 fault in the request", faults=[Fault(pointer=place, detail=detail)])
