"""Configs, frozen dataclasses, to json and back. A file says which config it holds, by the class's name."""

import dataclasses
import json
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar, Union

KEY = "config"
"""The json field that holds the class's name."""

C = TypeVar("C")


class ConfigError(ValueError):
    """A config file that does not say what its class needs."""


def to_dict(config: Any) -> dict[str, Any]:
    """A config as json types; nested configs carry their own names, tuples become lists.

    Raises ConfigError for a value json cannot hold.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ConfigError(f"expected a config (a dataclass instance), got {type(config).__name__}")
    fields = {field.name: _plain(getattr(config, field.name), field.name) for field in dataclasses.fields(config)}
    return {KEY: type(config).__name__} | fields


def from_dict(data: Mapping[str, Any], *known: type[C]) -> C:
    """The config that `to_dict` wrote.

    `known` are the classes the file may hold; configs nested in their annotations, and those of every mixer in the
    table, are known without being named. Absent fields take their defaults. Raises ConfigError when the name is
    not known, a field is unknown or missing, or a value has the wrong type; and whatever the class itself refuses.
    """
    config = _config(data, _reachable(known))
    if known and not isinstance(config, known):
        raise ConfigError(f"expected {' or '.join(c.__name__ for c in known)}, got {type(config).__name__}")
    return typing.cast(C, config)


def dumps(config: Any) -> str:
    """The config as the text of config.json."""
    return json.dumps(to_dict(config), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def loads(text: str, *known: type[C]) -> C:
    """The config in the text of config.json."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as e:
        raise ConfigError(f"not json: {e}") from e
    return from_dict(data, *known)


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, where) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item, f"{where}.{name}") for name, item in value.items()}
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    raise ConfigError(f"{where}: json cannot hold a {type(value).__name__}")


def _config(data: Any, classes: Mapping[str, type]) -> Any:
    if not isinstance(data, Mapping) or not isinstance(data.get(KEY), str):
        raise ConfigError(f"expected an object with the field {KEY!r} that names its class, got {data!r:.80}")
    name = data[KEY]
    cls = classes.get(name) or _mixer_configs().get(name)
    if cls is None:
        raise ConfigError(f"no config is called {name!r}; known: {', '.join(sorted(classes)) or 'none but the mixers'}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(data) - set(fields) - {KEY})
    if unknown:
        raise ConfigError(f"{name} has no field {', '.join(unknown)}; it has {', '.join(fields)}")
    missing = [f for f in fields.values() if f.name not in data and not _has_default(f)]
    if missing:
        raise ConfigError(f"{name} needs {', '.join(f.name for f in missing)}")
    values = {}
    for key, value in data.items():
        if key != KEY:
            values[key] = _value(value, classes)
            if not _fits(values[key], hints[key]):
                raise ConfigError(f"{name}.{key}: expected {_name(hints[key])}, got {value!r:.80}")
    return cls(**values)


def _value(value: Any, classes: Mapping[str, type]) -> Any:
    if isinstance(value, Mapping):
        return _config(value, classes) if KEY in value else {k: _value(v, classes) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_value(item, classes) for item in value)  # configs are frozen, so their sequences are tuples
    return value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value just read is of the annotated type; annotations beyond json's types are let through."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in args
    if origin in (Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(args) == 2 and args[1] is ...:
            return all(_fits(item, args[0]) for item in value)
        return len(value) == len(args) and all(map(_fits, value, args))
    if hint is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (str, bool, type(None)) or dataclasses.is_dataclass(hint):
        return isinstance(value, hint)
    return True


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)


def _has_default(field: "dataclasses.Field[Any]") -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _reachable(classes: tuple[type, ...]) -> dict[str, type]:
    """The classes named and every config their annotations lead to, by name."""
    found: dict[str, type] = {}
    waiting = list(classes)
    while waiting:
        cls = waiting.pop()
        if found.get(cls.__name__, cls) is not cls:
            raise ConfigError(f"two configs are called {cls.__name__}: {found[cls.__name__]} and {cls}")
        if cls.__name__ not in found:
            found[cls.__name__] = cls
            waiting += [c for hint in typing.get_type_hints(cls).values() for c in _configs_in(hint)]
    return found


def _configs_in(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
    for arg in typing.get_args(hint):
        yield from _configs_in(arg)


def _mixer_configs() -> dict[str, type]:
    from models.mixers import MIXERS  # here, since the mixers' own files may want this module

    return {config.__name__: config for config, _ in MIXERS.values()}
