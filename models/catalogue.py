"""What is shipped: the models under models/weights, each with its card; and what a model's files are called."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

WEIGHTS = Path(__file__).parent / "weights"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
"""The two files of every model's folder."""

EMOTION, CAUSES, VISUAL = "emotion/ekman", "causes/reccon", "visual/seqdialn"
CORRECTION, REPLY = "correction/chat", "reply/built-in"
"""The model of each task that is used where none is named."""
TELEMETRY = "telemetry/lasers"
"""The fleet that is watched where no model is named: simulated lasers."""
VOICES = "speech/voices"
"""The network that tells voices apart."""
VOICEPRINTS = "speech/voiceprints"
"""The network that knows one voice from another."""
VOICE_EMOTION = "speech/emotion"
"""The head that says which emotion a voice is likest."""
EYES = "efficientnet-lite2"
"""The picture encoder that is built in; what we taught it is shipped as vision/efficientnet-lite2."""


class UnknownModel(ValueError):
    """No model by that name is shipped, and no folder is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One shipped model. `scores` are those its card prints, by metric; `text` is the card itself, in Markdown."""

    name: str
    task: str
    labels: tuple[str, ...]
    summary: str
    scores: dict[str, Any] = field(hash=False)
    path: Path
    text: str
    fault: str = ""
    """Why the model cannot be loaded, in a line; empty where its files are whole."""


def shipped() -> list[Card]:
    """Every shipped model, the tasks in alphabetical order."""
    return [_card(folder) for folder in _folders()]


def path_of(name: str) -> Path:
    """The folder of a shipped model (`emotion/ekman`), or the folder named if it holds one.

    UnknownModel says which names there are.
    """
    for folder in (WEIGHTS / name, Path(name)):
        if (folder / CONFIG_FILE).is_file():
            if not (folder / WEIGHTS_FILE).is_file():
                raise UnknownModel(f"{folder} has a {CONFIG_FILE} but no {WEIGHTS_FILE}")
            return folder.resolve()
    known = [str(folder.relative_to(WEIGHTS)) for folder in _folders()]
    alike = [other for other in known if other.partition("/")[0] == name.partition("/")[0]]  # of the same task
    names = ", ".join(alike or known) or "none shipped"
    raise UnknownModel(
        f"no model {name!r}{_what_is_there(Path(name))}: expected one of {names}, "
        f"or a folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
    )


def eyes_folder(name: str | Path = EYES) -> Path:
    """The folder of a picture network of ours: the shipped one, or the folder itself."""
    return WEIGHTS / "vision" / EYES if str(name) == EYES else Path(name)


def fault_of(folder: Path) -> str:
    """Why a model's folder cannot be loaded, in a line, as far as that shows without loading it; empty if it can."""
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            return f"{folder / name} is missing; install rapport again"
    try:
        json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        return f"{folder / CONFIG_FILE} is not JSON ({error}); install rapport again"
    try:
        with safe_open(folder / WEIGHTS_FILE, "np"):  # the header says how long the file has to be
            return ""
    except (OSError, SafetensorError) as error:
        return f"{folder / WEIGHTS_FILE} is cut off or damaged ({error}); install rapport again"


def _folders() -> list[Path]:
    return sorted(config.parent for config in WEIGHTS.glob(f"*/*/{CONFIG_FILE}"))


def _what_is_there(path: Path) -> str:
    if path.is_dir():
        return f" (that folder has no {CONFIG_FILE})"
    return " (that is a file)" if path.is_file() else ""


def _card(folder: Path) -> Card:
    text = (folder / "card.md").read_text(encoding="utf-8") if (folder / "card.md").is_file() else ""
    return Card(
        name=f"{folder.parent.name}/{folder.name}",
        task=folder.parent.name,
        labels=tuple(_json(folder / CONFIG_FILE).get("labels", [])),
        summary=_summary(text),
        scores=_json(folder / "scores.json"),
        path=folder,
        text=text,
        fault=fault_of(folder),
    )


def _json(path: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _summary(text: str) -> str:
    """The first paragraph under the title."""
    paragraphs = [re.sub(r"\s+", " ", p).strip() for p in text.split("\n\n")]
    return next((p for p in paragraphs if p and not p.startswith("#")), "")
