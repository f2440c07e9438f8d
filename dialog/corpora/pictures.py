"""The picture collections: tar files of pictures, and tables of what people wrote about them.

Laid out as `<collection>/images-NNN.tar` with members `<key>.jpg` or `.png`, and `<collection>/<table>.jsonl.gz`, one
object a line, joined to the pictures by `image` == key.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from dialog.corpora import MissingCorpus

TABLES = {
    "flickr8k": ("captions", "statements", "judged_captions"),
    "daquar": ("rounds",),
    "coco_mini": ("captions_objects",),
    "caltech101": ("labels",),
    "nlvr": ("statements",),
    "easyvqa": ("rounds",),
    "visdial_text": ("dialogs", "questions", "answers"),
}
"""By collection: its tables. `visdial_text` has no pictures."""


def vision_folder(data: Path) -> Path:
    """The folder with the collections: `data` itself, or `vision` in it."""
    return data / "vision" if (data / "vision").is_dir() else data


def read_table(data: Path, collection: str, table: str) -> list[dict[str, Any]]:
    """The rows of a table, in order. MissingCorpus says which file was looked for."""
    path = vision_folder(data) / collection / f"{table}.jsonl.gz"
    if not path.is_file():
        raise MissingCorpus(f"no {collection} {table}: expected {path}")
    with gzip.open(path, "rb") as file:
        return [orjson.loads(line) for line in file]


def read_pictures(data: Path, collection: str) -> Iterator[tuple[str, bytes]]:
    """The pictures of a collection as (key, file's bytes), in the order of their keys."""
    folder = vision_folder(data) / collection
    archives = sorted(folder.glob("images-*.tar"))
    if not archives:
        raise MissingCorpus(f"no pictures of {collection}: expected {folder / 'images-000.tar'}")
    for archive in archives:
        with tarfile.open(archive) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    yield member.name.rsplit(".", 1)[0], file.read()


def held_out(image: str) -> bool:
    """Whether a training picture is kept for validation, where a collection has no part for it: one in ten, by its
    key alone, so that every recipe holds out the same ones."""
    return zlib.crc32(image.encode()) % 10 == 0
