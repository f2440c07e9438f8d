"""Every setting of the service, from the classes of serve/config: what it is called, what it is unless it is said
otherwise, what it may be, and the words under it."""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import annotated_types
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from serve.config import PROFILES, AppConfig
from tests.docs.tables import table

_BOUNDS = {annotated_types.Ge: ("ge", "at least"), annotated_types.Gt: ("gt", "more than")}
_BOUNDS |= {annotated_types.Le: ("le", "at most"), annotated_types.Lt: ("lt", "less than")}


def settings() -> str:
    """A table a class: the settings of the service itself, then each group of them under its name."""
    parts = [_table(AppConfig, "")]
    for name, field in AppConfig.model_fields.items():
        if group := _group(field):
            said = " ".join(inspect.cleandoc(group.__doc__ or "").split())
            parts.append(f"### {name}\n\n{said}\n\n{_table(group, f'{name}.')}")
    return "\n\n".join(parts)


def profiles() -> str:
    """What each profile says, and what holds where it says nothing; a row a setting that one of them names."""
    said = {path.stem: dict(_flat(yaml.safe_load(path.read_text("utf-8")))) for path in sorted(PROFILES.glob("*.yaml"))}
    names = sorted(said, key=["laptop", "gpu", "cluster"].index)
    known = dict(_flat(AppConfig.model_construct().model_dump()))
    settings = dict.fromkeys(key for name in names for key in said[name])
    rows = [
        [f"`{key}`", _value(known[key]), *(_value(said[n][key]) if key in said[n] else "" for n in names)]
        for key in settings
    ]
    return table(["setting", "default", *names], rows)


def described(group: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every setting with the words under it, those of groups within too; empty where there are none."""
    words = dict(_words(group))
    for name, field in group.model_fields.items():
        if inner := _group(field):
            yield from described(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", words.get(name, "")


def _table(group: type[BaseModel], prefix: str) -> str:
    words = dict(_words(group))
    rows = []
    for name, field in group.model_fields.items():
        if _group(field):
            continue
        default = field.get_default(call_default_factory=True)
        rows.append([f"`{prefix}{name}`", _value(default), _kind(group, name, field), words.get(name, "")])
    return table(["setting", "default", "may be", "what it is"], rows)


def _group(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _words(group: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """The string that stands under a field, by the field's name."""
    body = ast.parse(textwrap.dedent(inspect.getsource(group))).body[0]
    assert isinstance(body, ast.ClassDef)
    name = ""
    for statement in body.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
        elif name and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            yield name, " ".join(str(statement.value.value).split()).replace("|", "\\|")
            name = ""
        else:
            name = ""


def _kind(group: type[BaseModel], name: str, field: FieldInfo) -> str:
    kind = str(inspect.get_annotations(group).get(name, field.annotation))
    plain = field.annotation
    said = plain.__name__ if isinstance(plain, type) else kind.replace("typing.", "").replace("pathlib.", "")
    said = said.replace("Literal[", "").replace("]", "").replace("pydantic.types.", "") if "Literal" in said else said
    said = said.replace("pydantic.types.", "").replace("NoneType", "None").replace("pathlib._local.", "")
    bounds = [
        f"{word} {getattr(b, key):,}"
        for kind, (key, word) in _BOUNDS.items()
        for b in field.metadata
        if isinstance(b, kind)
    ]
    return ", ".join([said.replace(" | ", " or ").replace("|", "\\|"), *bounds])


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value >= 2**20 and value % 2**20 == 0:
        return f"{value // 2**20:,} MiB"
    return f"{value:,}" if isinstance(value, int | float) else f"`{value}`"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, BaseModel):
            value = value.model_dump()
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
