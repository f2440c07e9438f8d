"""What crosses the wire about telemetry."""

from typing import Annotated

from pydantic import BaseModel, Field

from dialog.telemetry.advice import STANDINGS
from serve.edge.paging import Next
from serve.edge.schemas import Closed, OneOf

Channels = Annotated[
    list[str] | None,
    Field(description="What the columns of `values` are, in their order; null: the model's channels in its order"),
]
TimeUnit = Annotated[
    str | None, Field(description="s, min, h, d, or the model's own; null: the model's", max_length=20)
]
Times = Annotated[list[float], Field(description="Each later than the one before; others are left out and counted")]
Values = Annotated[list[list[float | None]], Field(description="A row a sample; null is missing")]


class NewSamples(Closed):
    """The next samples of a unit."""

    times: Times
    values: Values
    channels: Channels = None
    time_unit: TimeUnit = None


class UnitSamples(Closed):
    """A unit with all its samples."""

    unit: str = Field(min_length=1, max_length=200)
    times: Times
    values: Values


class FleetSamples(Closed):
    """Units with all their samples; nothing of them is kept."""

    units: list[UnitSamples] = Field(min_length=1)
    channels: Channels = None
    time_unit: TimeUnit = None
    history: bool = Field(default=False, description="Say too what would have been said at every sample")


class LimitOut(BaseModel):
    """What counts as a failure: a channel past a value."""

    channel: str
    value: float
    relative: bool = Field(description="The value is a factor on the unit's own level at first")
    above: bool


class FleetModelReply(BaseModel):
    """The model that watches."""

    model: str
    model_version: str
    channels: list[str]
    time_unit: str
    interval: float = Field(description="The usual time between two samples")
    horizons: list[int] = Field(description="How far it forecasts, in intervals")
    cap: float = Field(description="The longest life it tells")
    limit: LimitOut | None
    detector: str = Field(description="What raises alarms: what was best on units held out in training")
    life_by: str = Field(description="What tells the remaining life, chosen likewise")
    request_id: str


class OutlookOut(BaseModel):
    """What is said as of the last sample. Times and lives are in the model's unit of time."""

    time: float
    ready: bool = Field(description="false while the unit's own level is still learned: there are no alarms yet")
    alarm: bool
    alarm_since: float | None
    score: float | None
    threshold: float | None
    forecast: list[list[list[float | None]]] = Field(description="Horizon, channel, then 10, 50 and 90 %")
    forecast_times: list[float | None]
    left: float | None = Field(description="The median remaining life")
    left_low: float | None
    left_high: float | None
    beyond: bool = Field(description="It lives at least so long: longer the model does not tell")
    risk: float | None = Field(description="The probability of a failure before the last forecast's time")


class HistoryOut(BaseModel):
    """The same at every sample that was read."""

    times: list[float | None]
    score: list[float | None]
    alarm: list[bool]
    left: list[float | None]
    left_low: list[float | None]
    left_high: list[float | None]


class UnitOut(BaseModel):
    """A unit, and what to do about it."""

    unit: str
    standing: Annotated[str, OneOf(*STANDINGS)]
    advice: str
    samples: int = Field(description="Read so far")
    left_out: dict[str, int] = Field(description="Reason, and how many samples of this request")
    outlook: OutlookOut | None = Field(description="null before the first sample")
    history: HistoryOut | None = None


class FleetReply(BaseModel):
    """Every unit, the worst first."""

    model: str
    model_version: str
    channels: list[str]
    time_unit: str
    units: list[UnitOut]
    request_id: str


class UnitReply(UnitOut):
    """A unit that is kept."""

    created: str
    touched: str
    model_version: str
    begun_anew: bool = Field(description="The model was another one before: what it knew of the unit was let go")
    request_id: str


class KeptUnit(BaseModel):
    """A unit in a list, as of its last samples."""

    unit: str
    created: str
    touched: str
    standing: Annotated[str, OneOf(*STANDINGS)]
    advice: str
    samples: int
    left: float | None
    model_version: str


class UnitsReply(BaseModel):
    """A page of units, the newest first."""

    units: list[KeptUnit]
    next: Next
    request_id: str
