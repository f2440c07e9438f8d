import zlib
from pathlib import Path

import pytest

from dialog.corpora import MissingCorpus
from dialog.corpora.pictures import held_out, read_pictures, read_table
from tests.dialog.picture_collections import make_vision_data


def test_pictures_come_as_they_are_stored_under_their_keys(tmp_path: Path) -> None:
    pictures = dict(read_pictures(make_vision_data(tmp_path), "daquar"))
    assert sorted(pictures) == [f"d{i}" for i in range(6)]
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())


def test_the_collections_are_found_in_the_folder_and_in_its_vision_folder(tmp_path: Path) -> None:
    make_vision_data(tmp_path / "vision")
    rows = read_table(tmp_path / "vision", "flickr8k", "captions")
    assert rows == read_table(tmp_path, "flickr8k", "captions")
    assert rows[0] == {"image": "f0", "split": "train", "captions": ["a red wall", "the wall is red"]}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingCorpus, match=r"flickr8k.captions\.jsonl\.gz"):
        read_table(tmp_path, "flickr8k", "captions")
    with pytest.raises(MissingCorpus, match=r"nlvr.images-000\.tar"):
        next(read_pictures(tmp_path, "nlvr"))


def test_a_tenth_is_held_out_by_key_alone() -> None:
    keys = [f"image{i}" for i in range(2000)]
    kept = [key for key in keys if held_out(key)]
    assert 150 < len(kept) < 250
    assert all(zlib.crc32(key.encode()) % 10 == 0 for key in kept)
