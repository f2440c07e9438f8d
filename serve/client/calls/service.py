"""The service itself: its models, its limits, how it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .kinds import Call, made


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A label, and how to show it."""

    name: str
    sentiment: str | None
    symbol: str | None
    colour: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A model the service can use, as its card tells it."""

    name: str
    task: str
    labels: tuple[str, ...]
    label_set: str | None
    summary: str
    scores: Mapping[str, Any]
    default: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What a service that watches itself noticed: `why` is `limit` where one comes near, else `change`."""

    what: str
    since: str
    why: str
    left_minutes: float | None
    earliest_minutes: float | None
    latest_minutes: float | None
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthNow:
    """How the service is. `watch` is `learning`, `watching`, `silent`, or None where it does not watch itself; shares
    are of each limit."""

    status: str
    checks: Mapping[str, str]
    watch: str | None
    shares: Mapping[str, float | None]
    advice: tuple[Advice, ...]


def responders() -> Call[tuple[str, ...]]:
    """Who can answer, the default first."""
    return Call(method="GET", path="/models", read=lambda value: tuple(r["id"] for r in value.get("data", ())))


def models() -> Call[tuple[Model, ...]]:
    """The models there are."""
    return Call(
        method="GET",
        path="/models",
        read=lambda value: tuple(made(Model, m, labels=tuple(m["labels"])) for m in value["models"]),
    )


def labels() -> Call[dict[str, tuple[Label, ...]]]:
    """The label sets there are, by name."""
    return Call(
        method="GET",
        path="/labels",
        read=lambda value: {s["name"]: tuple(made(Label, one) for one in s["labels"]) for s in value["label_sets"]},
    )


def health() -> Call[HealthNow]:
    """How the service is, and what it advises where it watches itself."""
    return Call(method="GET", path="/health", read=_health)


def limits() -> Call[Mapping[str, float]]:
    """The limits of the service by name."""
    return Call(method="GET", path="/limits", read=lambda value: MappingProxyType(value["limits"]))


def _health(value: Mapping[str, Any]) -> HealthNow:
    seen = value["watch"] or {"state": None, "shares": {}, "advice": ()}
    advice = tuple(made(Advice, one) for one in seen["advice"])
    return made(HealthNow, value, watch=seen["state"], shares=MappingProxyType(seen["shares"]), advice=advice)
