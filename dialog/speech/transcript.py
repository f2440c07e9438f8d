"""A recording becomes a conversation: read, cut into speech, told apart, heard.

An utterance is a stretch of one speaker: `time` and `extra.end` as in subtitles (`00:00:04.800`), `extra.confidence`
where the recogniser gives one. What was sound and no words is counted in `left_out`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.formats.left_out import LeftOut
from dialog.speech.activity import find_speech
from dialog.speech.recognisers import Recogniser
from dialog.speech.sound import Sound, read_sound
from dialog.speech.voices import Turn, who_speaks

WORDLESS = "sound without words"
_FOUND = 0.1  # of the work, roughly, until the words begin


def transcribe(
    recording: str | Path | Sound,
    recogniser: Recogniser,
    *,
    n_speakers: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Conversation:
    """The conversation in a recording: a file, or samples that were read. Speakers are `Speaker 1` and so on.

    n_speakers: how many there are; None finds it. progress is told the share of the work that is done, 0 to 1. Where
    nobody speaks it has no utterances and says so in a warning. Raises NotSound or OSError for a file that cannot be
    read, ValueError for fewer than one speaker, and OSError where the recogniser is a service that fails.
    """
    if n_speakers is not None and n_speakers < 1:
        raise ValueError(f"{n_speakers} speakers, expected at least 1")
    sound = recording if isinstance(recording, Sound) else read_sound(recording)
    told = progress or (lambda _: None)
    turns = [(channel, turn) for channel, turn in _turns(sound, n_speakers)]
    told(_FOUND)
    left_out = LeftOut()
    utterances: list[Utterance] = []
    length = sum(turn.end - turn.start for _, turn in turns)
    heard_s = 0.0
    for channel, turn in turns:
        heard = recogniser.hear(sound.part(turn.start, turn.end, channel))
        heard_s += turn.end - turn.start
        told(min(1.0, _FOUND + (1 - _FOUND) * heard_s / length))
        if not heard.text:
            left_out.add(WORDLESS)
            continue
        extra: dict[str, Any] = {"end": clock(turn.end)}
        if heard.confidence is not None:
            extra["confidence"] = heard.confidence
        speaker = f"Speaker {turn.speaker + 1}"
        utterances.append(Utterance(speaker=speaker, text=heard.text, time=clock(turn.start), extra=extra))
    told(1.0)
    warnings = [*sound.warnings]
    if n_speakers is None and sound.samples.shape[1] == 1 and turns:
        warnings.append(Caveat("speakers-guessed", "how many people speak was guessed; say it where you know it"))
    if not turns:
        warnings.append(Caveat("no-speech", f"no speech found in {sound.seconds:.1f} s of sound"))
    elif not utterances:
        warnings.append(Caveat("no-words", f"sound was found, but {recogniser.name} heard no words in it"))
    return Conversation(
        id=sound.name,
        utterances=tuple(utterances),
        warnings=(*warnings, *left_out.warnings()),
        extra={**left_out.extra(), "recogniser": recogniser.name, "seconds": round(sound.seconds, 3)},
    )


def _turns(sound: Sound, n_speakers: int | None) -> list[tuple[int, Turn]]:
    """Channel and turn, in order of time. With a channel for each speaker the channel is the speaker."""
    channels = sound.samples.shape[1]
    if channels == 1:
        return [(0, turn) for turn in who_speaks(sound, find_speech(sound), n_speakers=n_speakers)]
    spans = [(c, span) for c in range(channels) for span in find_speech(sound, c)]
    return sorted(((c, Turn(s.start, s.end, c)) for c, s in spans), key=lambda found: found[1].start)


def clock(seconds: float) -> str:
    """`00:01:02.500`, as subtitles write it."""
    thousandths = round(seconds * 1000)
    whole, thousandths = divmod(thousandths, 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{thousandths:03d}"
