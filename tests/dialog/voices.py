"""A small folder of recordings: hums of made-up voices, in the shape of data/audio."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import soundfile

RATE = 8000


def hum(pitch: float, seconds: float, seed: int = 0) -> np.ndarray:
    """A voice without words: a buzz of that pitch that swells and fades."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    harmonics = [np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) / k for k in range(1, 8)]
    return (0.2 * sum(harmonics) * np.sin(np.pi * t / seconds) ** 2).astype(np.float32)  # type: ignore[no-any-return]


def write_recordings(
    folder: Path, speakers: dict[tuple[str, str], float], *, takes: int = 3, emotions: str = ""
) -> Path:
    """(set, speaker) -> pitch, as recordings.jsonl.gz and a tar a set; the takes in these emotions in turn, each
    emotion at a pitch of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in sorted({s for s, _ in speakers}):
        with tarfile.open(folder / f"{name}.tar", "w") as tar:
            for (other, speaker), pitch in speakers.items():
                for take in range(takes if other == name else 0):
                    felt = take % len(emotions) if emotions else 0
                    sound = hum(pitch * (1 + 0.05 * take) * 1.3**felt, 0.3 + 0.1 * take, take)
                    data = io.BytesIO()
                    soundfile.write(data, sound, RATE, format="FLAC", subtype="PCM_16")
                    info = tarfile.TarInfo(f"{speaker}_{take}.flac")
                    info.size = len(data.getvalue())
                    tar.addfile(info, io.BytesIO(data.getvalue()))
                    row = {"set": name, "file": f"{speaker}_{take}", "speaker": speaker, "seconds": 0.3}
                    rows.append(row | ({"emotion": emotions[felt]} if emotions else {}))
    with gzip.open(folder / "recordings.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


def write_voices(folder: Path, voices: dict[str, float], *, takes: int = 3, rate: int = 16_000) -> Path:
    """voice -> pitch, as a subfolder a voice with a WAV file a take, silence around each."""
    for name, pitch in voices.items():
        (folder / name).mkdir(parents=True)
        for take in range(takes):
            sound = np.repeat(hum(pitch * (1 + 0.05 * take), 0.4 + 0.1 * take, take), rate // RATE)
            rest = np.zeros(rate // 4, np.float32)
            soundfile.write(folder / name / f"{take}.wav", np.concatenate([rest, sound, rest]), rate)
    return folder
