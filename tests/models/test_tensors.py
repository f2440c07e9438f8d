"""Tensors and a note come back as they were, from bytes and from a file; anything else is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.tensors import DamagedTensors, pack, read_file, read_note, unpack, write_file

NOTE: Any = {"said": ["hé", 1, None], "n": 3}
WHOLE = torch.arange(12.0).view(3, 4)
TENSORS = {"a": WHOLE.T, "b": WHOLE[:, 1:], "c": torch.zeros(0, 2), "d": torch.tensor([True])}
"""Two of them views of one memory, none of both contiguous."""


def assert_same(found: dict[str, torch.Tensor]) -> None:
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype


@pytest.mark.parametrize("note", [NOTE, None, "", []])
def test_bytes_give_back_what_was_packed(note: Any) -> None:
    found, told = unpack(pack(TENSORS, note))
    assert_same(found)
    assert told == note


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_file(path, {"old": torch.ones(3)})
    assert read_note(path) is None
    write_file(path, {name: tensor.clone() for name, tensor in TENSORS.items()}, NOTE)
    assert_same(read_file(path))
    assert read_note(path) == NOTE
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize("data", [b"", b"abc", b"\xff" * 200, b"{}", pack(TENSORS, NOTE)[:-3], pack(TENSORS)[:40]])
def test_foreign_bytes_are_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(DamagedTensors, match=f"{len(data)} bytes"):
        unpack(data)
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(DamagedTensors, match="x: it is cut off or damaged"):
        read_file(tmp_path / "x")
    with pytest.raises(DamagedTensors, match="x: there is no such file"):
        read_file(tmp_path / "none" / "x")
    with pytest.raises(DamagedTensors, match="it is a folder"):
        read_note(tmp_path)
