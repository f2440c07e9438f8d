"""Settings: where they come from, which wins, and what is refused."""

from pathlib import Path

import pytest

from serve.config import PROFILES, AppConfig, UnusableConfig


def test_the_defaults_are_safe() -> None:
    config = AppConfig.load()
    assert config.host == "127.0.0.1"
    assert config.ray.auth == "token"
    assert config.ray.address is None
    assert config.limits.body_bytes == 10 * 1024**2


@pytest.mark.parametrize("profile", sorted(path.stem for path in PROFILES.glob("*.yaml")))
def test_every_profile_we_ship_loads_by_its_name(profile: str) -> None:
    assert AppConfig.load(profile).port == 8000


def test_the_command_line_wins_over_the_environment_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("port: 1001\nhost: file\nmodel: file\nlimits: {body_bytes: 5}\n")
    monkeypatch.setenv("RAPPORT_PORT", "1002")
    monkeypatch.setenv("RAPPORT_HOST", "environment")
    monkeypatch.setenv("RAPPORT_LIMITS__UTTERANCES_PER_REQUEST", "7")
    config = AppConfig.load(file, port=1003, host=None)
    assert (config.port, config.host, config.model) == (1003, "environment", "file")
    assert (config.limits.body_bytes, config.limits.utterances_per_request) == (5, 7)
    assert type(config) is AppConfig


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot: 1\n", "prot"),
        ("limits: {body: 1}\n", "limits.body"),
        ("emotion: {replicas: 0}\n", "emotion.replicas"),
        ("port: many\n", "port"),
        ("port: 99999\n", "port"),
        ("tagger: nonsense\n", "tagger"),
        ("a: [\n", "is not YAML"),
        ("just words\n", "expected settings"),
        ("- a\n", "expected settings"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(UnusableConfig, match=said):
        AppConfig.load(file)


def test_a_file_that_is_not_there_is_refused_with_the_profiles_there_are() -> None:
    with pytest.raises(UnusableConfig, match="cluster, gpu, laptop"):
        AppConfig.load("nope")


def test_a_data_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    folder = AppConfig(data_dir=tmp_path / "a" / "b").data_folder()
    assert folder == tmp_path / "a" / "b"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_data_folder_that_was_asked_for_and_cannot_be_is_refused() -> None:
    with pytest.raises(UnusableConfig, match="/proc/nowhere"):
        AppConfig(data_dir=Path("/proc/nowhere")).data_folder()


def test_without_a_home_that_can_be_written_data_goes_to_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert AppConfig().data_folder().name.startswith("rapport-data-")
