"""A recording becomes a conversation: read, cut into speech, told apart, heard.

An utterance is a stretch of one speaker: `time` and `extra.end` as in subtitles (`00:00:04.800`), `extra.confidence`
where the recogniser gives one, `extra.voice` how the voice sounds, until a prediction says so. What was sound and no
words is counted in `left_out`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dialog.conversation import VOICE, Caveat, Conversation, Utterance, Voice
from dialog.formats.left_out import LeftOut
from dialog.speech.activity import find_speech
from dialog.speech.names import Channels
from dialog.speech.recognisers import Recogniser
from dialog.speech.sound import Sound, read_sound
from dialog.speech.words import heard_in

if TYPE_CHECKING:
    from dialog.speech.voice_emotion import VoiceEmotions
    from dialog.speech.voices import Turn

WORDLESS = "sound without words"
_FOUND = 0.1  # of the work, roughly, until the words begin


class Part(NamedTuple):
    """A stretch of one speaker, counted from 0, in seconds; the words heard in it, none where there were none; how the
    voice sounds, None where that cannot be heard; the language that the words were found to be in."""

    start: float
    end: float
    speaker: int
    channel: int
    text: str
    confidence: float | None = None
    voice: Voice | None = None
    language: str | None = None


def parts_of(
    sound: Sound,
    recogniser: Recogniser | None,
    *,
    n_speakers: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Part]:
    """Every stretch of speech in order of time, with its speaker and its words; without a recogniser no words.

    n_speakers: how many there are; None finds it. progress is told the share of the work that is done, 0 to 1. Raises
    OSError where the recogniser is a service that fails.
    """
    told = progress or (lambda _: None)
    turns = _turns(sound, n_speakers)
    told(_FOUND)
    length = sum(turn.end - turn.start for _, turn in turns)
    heard_s = 0.0
    parts: list[Part] = []
    sounds = _emotions() if turns else None
    for (channel, turn), heard in zip(turns, heard_in(sound, turns, recogniser), strict=True):
        voice = None if sounds is None else sounds(sound.part(turn.start, turn.end, channel))
        where = turn.start, turn.end, turn.speaker, channel
        parts.append(Part(*where, heard.text, heard.confidence, voice, heard.language))
        heard_s += turn.end - turn.start
        told(min(1.0, _FOUND + (1 - _FOUND) * heard_s / length))
    told(1.0)
    return parts


def caveats(
    sound: Sound, parts: Sequence[Part], recogniser: Recogniser | None, n_speakers: int | None
) -> tuple[str, ...]:
    """What to know of what was heard in a recording."""
    warnings = [*sound.warnings]
    if n_speakers is None and sound.samples.shape[1] == 1 and parts:
        warnings.append(Caveat("speakers-guessed", "how many people speak was guessed; say it where you know it"))
    if found := languages_of(parts):
        told = f"the words were taken for {' and '.join(found)}, as was found by listening; name the language if not so"
        warnings.append(Caveat("language-guessed", told))
    if not parts:
        warnings.append(Caveat("no-speech", f"no speech found in {sound.seconds:.1f} s of sound"))
    elif recogniser is not None and not any(part.text for part in parts):
        warnings.append(Caveat("no-words", f"sound was found, but {recogniser.name} heard no words in it"))
    return tuple(warnings)


def languages_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """The languages that were found, as in ISO 639, the most spoken first; none where the recogniser was told."""
    spoken: dict[str, float] = {}
    for part in parts:
        if part.language is not None:
            spoken[part.language] = spoken.get(part.language, 0.0) + part.end - part.start
    return tuple(sorted(spoken, key=lambda one: -spoken[one]))


def transcribe(
    recording: str | Path | Sound,
    recogniser: Recogniser,
    *,
    n_speakers: int | None = None,
    channels: Channels = "found",
    progress: Callable[[float], None] | None = None,
) -> Conversation:
    """The conversation in a recording: a file, or samples that were read. Speakers are `Speaker 1` and so on.

    n_speakers: how many there are; None finds it. channels: what the two of a file are (`read_sound`). progress is told
    the share of the work that is done, 0 to 1. Where nobody speaks it has no utterances and says so in a warning.
    Raises NotSound or OSError for a file that cannot be read, ValueError for fewer than one speaker, and OSError where
    the recogniser is a service that fails.
    """
    if n_speakers is not None and n_speakers < 1:
        raise ValueError(f"{n_speakers} speakers, expected at least 1")
    sound = recording if isinstance(recording, Sound) else read_sound(recording, channels=channels)
    parts = parts_of(sound, recogniser, n_speakers=n_speakers, progress=progress)
    left_out = LeftOut()
    for part in parts:
        if not part.text:
            left_out.add(WORDLESS)
    extra = {**left_out.extra(), "recogniser": recogniser.name, "seconds": round(sound.seconds, 3)}
    if found := languages_of(parts):
        extra["languages"] = list(found)
    return Conversation(
        id=sound.name,
        utterances=tuple(utterance_of(part, speaker_named(part.speaker)) for part in parts if part.text),
        warnings=(*caveats(sound, parts, recogniser, n_speakers), *left_out.warnings()),
        extra=extra,
    )


def utterance_of(part: Part, speaker: str) -> Utterance:
    """A part with words in it as it stands in a conversation."""
    extra: dict[str, Any] = {"end": clock(part.end)}
    if part.confidence is not None:
        extra["confidence"] = part.confidence
    if part.voice is not None:
        extra[VOICE] = part.voice.to_dict()
    return Utterance(speaker=speaker, text=part.text, time=clock(part.start), extra=extra)


def speaker_named(n: int) -> str:
    """What a speaker, counted from 0, is called while nobody knows better."""
    return f"Speaker {n + 1}"


def _turns(sound: Sound, n_speakers: int | None) -> "list[tuple[int, Turn]]":
    """Channel and turn, in order of time. With a channel for each speaker the channel is the speaker."""
    from dialog.speech.voices import Turn, who_speaks  # networks: a service that hears nothing yet holds none

    channels = sound.samples.shape[1]
    if channels == 1:
        return [(0, turn) for turn in who_speaks(sound, find_speech(sound), n_speakers=n_speakers)]
    spans = [(c, span) for c in range(channels) for span in find_speech(sound, c)]
    return sorted(((c, Turn(s.start, s.end, c)) for c, s in spans), key=lambda found: found[1].start)


def _emotions() -> "VoiceEmotions":
    from dialog.speech.voice_emotion import shipped  # networks, as above

    return shipped()


def clock(seconds: float) -> str:
    """`00:01:02.500`, as subtitles write it."""
    thousandths = round(seconds * 1000)
    whole, thousandths = divmod(thousandths, 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{thousandths:03d}"
