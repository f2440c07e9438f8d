"""What crosses the wire about the service's own health."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, Field


class AdviceOut(BaseModel):
    """One thing that was noticed, and what to do."""

    what: Literal["latency", "queue", "errors", "memory", "disk"]
    since: str
    why: Literal["limit", "change"] = Field(description="A limit comes near, or it is not what so much work explains")
    left_minutes: float | None = Field(description="Until the limit at this pace; null where none comes near")
    earliest_minutes: float | None = Field(description="The same, two standard errors of the pace sooner")
    latest_minutes: float | None = Field(description="And later; null where it may never come")
    text: str


class WatchOut(BaseModel):
    """What the watch says: `learning` in its first two hours, when only limits are watched; `silent` where it has said
    nothing for long."""

    state: Literal["learning", "watching", "silent"]
    moment: str
    shares: dict[str, float | None] = Field(description="Of each limit, as of that minute; null is not known")
    advice: list[AdviceOut]


class HealthNow(BaseModel):
    """`ok` where every check is."""

    status: Literal["ok", "not ready"]
    checks: dict[str, str] = Field(description="`models`, `disk`, `database`: ok, or what is wrong")
    watch: WatchOut | None = Field(description="null where the service does not watch itself")
    request_id: str

    @classmethod
    def of(cls, checks: Mapping[str, str | None], said: Mapping[str, Any] | None, request_id: str) -> Self:
        """Of what `Health.state` and `serve.watch.told.read` say."""
        return cls(
            status="not ready" if any(checks.values()) else "ok",
            checks={name: wrong or "ok" for name, wrong in checks.items()},
            watch=None if said is None else WatchOut.model_validate(said),
            request_id=request_id,
        )
