"""Configs survive json, and a bad file is refused with the reason."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from models import config as configs
from models.backbone import BackboneConfig
from models.config import ConfigError
from models.mixers import MIXERS


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    width: int = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    d_model: int
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    inner: Inner | None = None
    sizes: tuple[int, ...] = ()
    several: tuple[Inner, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Other:
    width: int = 3


WHOLE = Outer(d_model=4, rate=1, kind="b", inner=Inner(width=7), sizes=(1, 2), several=(Inner(), Inner(width=1)))


def test_a_config_comes_back_from_json_as_it_was() -> None:
    assert configs.loads(configs.dumps(WHOLE), Outer) == WHOLE
    assert configs.loads(configs.dumps(Outer(d_model=1)), Outer) == Outer(d_model=1)


def test_the_file_names_its_class_and_absent_fields_take_their_defaults() -> None:
    assert configs.to_dict(Inner()) == {"config": "Inner", "width": 3}
    assert configs.from_dict({"config": "Outer", "d_model": 2}, Inner, Outer) == Outer(d_model=2)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"config": "Strange"}, "no config is called 'Strange'"),
        ({"d_model": 1}, "names its class"),
        ({"config": "Outer"}, "needs d_model"),
        ({"config": "Outer", "d_model": 1, "depth": 2}, "has no field depth"),
        ({"config": "Outer", "d_model": "1"}, "expected int, got '1'"),
        ({"config": "Outer", "d_model": True}, "expected int"),
        ({"config": "Outer", "d_model": 1, "kind": "c"}, "kind"),
        ({"config": "Outer", "d_model": 1, "sizes": [1, 2.5]}, "sizes"),
        ({"config": "Outer", "d_model": 1, "inner": {"width": 3}}, "inner"),
        ({"config": "Outer", "d_model": 1, "inner": {"config": "Outer", "d_model": 1}}, "inner"),
        ({"config": "Inner"}, "expected Outer, got Inner"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(data: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        configs.from_dict(data, Outer)


def test_text_that_is_no_json_and_values_json_cannot_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match="not json"):
        configs.loads("{", Outer)
    with pytest.raises(ConfigError, match="expected a config"):
        configs.to_dict(Outer)
    with pytest.raises(ConfigError, match="rate: json cannot hold a complex"):
        configs.to_dict(Outer(d_model=1, rate=1j))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MIXERS)
def test_every_mixers_config_is_complete_with_d_model_and_survives_json(name: str) -> None:
    whole = BackboneConfig(d_model=32, mixers=(name,))
    assert configs.loads(configs.dumps(whole), BackboneConfig) == whole
