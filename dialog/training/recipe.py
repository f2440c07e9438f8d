"""What a recipe is to the command line, and what it is asked to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dialog.training.loop import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One training, as somebody asked for it."""

    out: Path
    """Where the model goes, and where an unfinished run waits."""
    data: Path = Path()
    """The folder with the corpora; empty for a recipe that makes its examples."""
    seed: int = 0
    start: Path | None = None
    """A trained folder to begin with."""
    teachers: Sequence[Path] = ()
    """Folders of trained models to learn from beside the labels."""
    voices: Path | None = None
    """A folder with a subfolder of sound files a voice."""
    report: "Callable[[Progress], None] | None" = None
    device: str | None = None
    mixer: Any = None
    """What mixes along time, for a recipe that leaves it open; None is the first that it names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A recipe as the command line shows it. `train` is heavy and imports what it needs when it is called."""

    summary: str
    train: Callable[[Run], dict[str, Any]]
    """A run -> its validation scores."""
    takes_teachers: bool = False
    takes_start: bool = True
    reads_data: bool = True
    """False where examples are made: then there is no data folder."""
    mixers: tuple[str, ...] = ()
    """What a run's `mixer` may be; empty where the recipe leaves nothing open."""
    takes_voices: bool = False
