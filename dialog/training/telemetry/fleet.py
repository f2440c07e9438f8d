"""A fleet's model made of the fleet's past: features, three networks, and what validation chose."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dialog.evaluation.telemetry.card import write_telemetry_card
from dialog.evaluation.telemetry.service import service_fleet
from dialog.evaluation.telemetry.traces import DETECTORS
from dialog.telemetry.cmapss import read_cmapss
from dialog.telemetry.series import Fleet, Floats, Series, split
from dialog.telemetry.service import bed as beds
from dialog.telemetry.service.points import CHANNELS
from dialog.telemetry.simulator import frozen, simulate
from dialog.training.telemetry.choices import choose_alarm, choose_life
from dialog.training.telemetry.stages import (
    Learning,
    Report,
    counted,
    learn_forecast,
    learn_life,
    learn_normal,
    normal_windows,
    prepare,
    tidy,
)
from dialog.training.telemetry.trees import learn_trees
from models.device import Where
from models.maintenance.autoencoder import AlarmConfig, AutoencoderConfig
from models.maintenance.features import Features, FeaturesConfig, Level
from models.maintenance.forecaster import ForecasterConfig
from models.maintenance.life import LifeConfig, LifeNetwork
from models.maintenance.model import LifeBy, Limit, MaintenanceConfig, MaintenanceModel, paper_chain


class FleetTooSmall(ValueError):
    """Too few units or samples to learn from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetRecipe:
    """How a fleet is learned. The defaults are for anybody's."""

    mixer: Any = "gru"
    channels: tuple[str, ...] = ()
    """Read of the table; none named are all that vary."""
    levels: Level | None = None
    """Of every channel; None is "relative" for what stays well away from zero and "offset" for what does not."""
    squash: bool = True
    smooth: tuple[float, ...] = (12.0, 40.0)
    age: bool = True
    edges: tuple[float, ...] = ()
    """Of remaining life; none are sixteen on a log scale up to the longest life seen."""
    d_model: int = 32
    n_members: int = 1
    dropout: float = 0.2
    mean_weight: float = 1.0
    window: int = 32
    ae_window: int = 64
    life: Learning = field(default_factory=lambda: Learning(steps=400))
    forecast: Learning = field(default_factory=lambda: Learning(steps=300, noise=0.0))
    normal: Learning = field(default_factory=lambda: Learning(steps=400, lr=3e-3))
    held_out: float = 0.25
    """Share of the units, by lot, on which alarms are set; the life network alone may learn from all."""
    life_on_all: bool = False
    limit: Limit | None = None
    life_by: LifeBy | None = None
    """Who tells the remaining life; None is whoever does it best on the units held out."""
    as_in_the_paper: bool = False
    """The paper's own chain, to compare with; whatever validation says, its network raises the alarms."""
    notes: str = field(default="", compare=False)


def fd001() -> FleetRecipe:
    """C-MAPSS FD001. The fourteen sensors that vary; remaining life capped at 125 cycles, as is usual.

    Chosen on three fifths of the train engines, a fifth held out at a time and read at every cycle at which a test
    engine might stop (31st or later, 7 to 145 left): RMSE 15.8 with all lives asked about, 13.8 with those up to 150
    cycles, 13.4 with slower means of the sensors and the age as well; dropout 0.5, shifted sensors, a heavier squared
    error and a higher rate were no better.
    """
    sensors = (2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 15, 17, 20, 21)
    return FleetRecipe(
        channels=tuple(f"s{i}" for i in sensors),
        levels="fleet",
        squash=False,
        edges=tuple(float(e) for e in range(5, 126, 5)),
        d_model=24,
        n_members=4,
        dropout=0.3,
        window=30,
        ae_window=32,
        life=Learning(steps=200, near=150.0),
        held_out=0.2,
        life_on_all=True,
        life_by="trees",
        notes="Trained with `rapport train telemetry/fd001 --data ../shared/data --out OUT`. NASA's C-MAPSS turbofan\n"
        "engines (Saxena, Goebel, Simon and Eklund 2008), a work of the US government: themselves a simulation.",
    )


def lasers() -> FleetRecipe:
    """The simulated lasers: a failure is a drive current 20 % above the unit's own at first."""
    return FleetRecipe(
        life=Learning(steps=500),
        forecast=Learning(steps=400, noise=0.0),
        limit=Limit(channel="current", value=1.2, relative=True),
        notes="Trained with `rapport train telemetry/lasers --out OUT`. Simulated data: it shows that the code\n"
        "works, not that lasers behave so.",
    )


CHAINS: dict[str, dict[str, Any]] = {
    "paper": {"as_in_the_paper": True},
    **{name: {"mixer": name.replace("-", "_")} for name in ("gla", "min-rnn", "aaren")},
}
"""What is trained to compare with, of the same fleet: the fields of a recipe that are changed."""


def compared(recipe: FleetRecipe, chain: str) -> FleetRecipe:
    """The same fleet learned by one of CHAINS."""
    return replace(recipe, **CHAINS[chain])


def train_lasers(
    out: Path, *, seed: int = 0, mixer: Any = None, report: Report = None, recipe: FleetRecipe | None = None
) -> dict[str, Any]:
    """Learns and chooses on the frozen simulated sets; no test seed is drawn. Answers validation scores."""
    sets = frozen()
    train, validation = (simulate(sets[k]["settings"], sets[k]["seeds"][0]).fleet for k in ("train", "validation"))
    return train_fleet(
        train,
        out,
        seed=seed,
        name="telemetry/lasers",
        mixer=mixer,
        recipe=recipe or lasers(),
        validation=validation,
        report=report,
    )


def service() -> FleetRecipe:
    """The simulated service, a sample a minute. Its samples run to days, so more of each is asked about."""
    return FleetRecipe(
        channels=(*CHANNELS, "load", "size"),
        life=Learning(steps=600, places=80),
        forecast=Learning(steps=300, noise=0.0),
        notes="Trained with `rapport train telemetry/service --out OUT`. Simulated data.",
    )


def train_service(out: Path, *, seed: int = 0, report: Report = None) -> dict[str, Any]:
    """Learns on the bed `train`; neither validation nor test is simulated. Answers validation scores."""
    fleet = service_fleet(beds.simulate(beds.frozen()["train"]))
    return train_fleet(fleet, out, seed=seed, name="telemetry/service", recipe=service(), report=report)


def train_fd001(
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    report: Report = None,
    device: Where = None,
    recipe: FleetRecipe | None = None,
) -> dict[str, Any]:
    """`data` is the folder that holds telemetry/cmapss, or that folder itself. Answers validation scores."""
    places = (data / "telemetry" / "cmapss", data / "cmapss", data)
    folder = next((p for p in places if list(p.glob("train_FD001*"))), places[0])
    engines = read_cmapss(folder)
    recipe = recipe or fd001()
    return train_fleet(
        engines.train, out, seed=seed, name="telemetry/fd001", recipe=recipe, report=report, device=device
    )


def train_fleet(
    fleet: Fleet,
    out: Path,
    *,
    seed: int = 0,
    name: str = "fleet",
    limit: Limit | None = None,
    mixer: Any = None,
    recipe: FleetRecipe | None = None,
    validation: Fleet | None = None,
    report: Report = None,
    device: Where = None,
) -> dict[str, Any]:
    """Trains into `out`: config.json, model.safetensors, card.md, scores.json. Answers the scores on held-out units.

    `validation` are units kept apart; without it the recipe's share of the lots is. Networks so small learn on the CPU
    whatever the device. Raises FleetTooSmall, and ValueError for a limit or a mixer there is none of.
    """
    del device  # a processor's core is faster than a card at this size
    recipe = replace(recipe or FleetRecipe(), **({"mixer": mixer} if mixer is not None else {}))
    limit = limit or recipe.limit
    fleet, dropped = _usable(fleet, recipe, limit)
    train, held_out = (
        (fleet, validation) if validation is not None else split(fleet, (1 - recipe.held_out, recipe.held_out), seed)
    )
    held_out = _narrowed(held_out, fleet.channels)
    _enough(train, held_out)
    torch.manual_seed(seed)
    features = _features(train, recipe)
    config = _config(train, recipe, features, limit)
    config = paper_chain(config) if recipe.as_in_the_paper else config
    model = MaintenanceModel(config)
    reader = Features(features)
    units, others = prepare(train, reader), prepare(held_out, reader)
    compared_with = () if recipe.as_in_the_paper or recipe.life_by is not None else (recipe.life,)
    plan = (recipe.life, recipe.forecast, recipe.normal, *compared_with)
    total = sum(part.steps for part in plan)
    folders = [out / "unfinished" / stage for stage in ("life", "forecast", "normal", "regression")]
    done = 0

    def told(part: Learning) -> Report:
        nonlocal done
        done += part.steps
        return counted(report, done - part.steps, total)

    all_units = units + others if recipe.life_on_all else units
    learn_life(model.life, all_units, recipe.life, folders[0], seed, told(recipe.life))
    learn_forecast(model.forecaster, units, features.interval, recipe.forecast, folders[1], seed, told(recipe.forecast))
    windows, _ = normal_windows(model.forecaster, model.autoencoder, units, features.burn_in)
    learn_normal(model.autoencoder, windows, recipe.normal, folders[2], seed, told(recipe.normal))
    regression = LifeNetwork(paper_chain(config).life) if compared_with else None
    if regression is not None:
        learn_life(regression, all_units, recipe.life, folders[3], seed, told(recipe.life))
    alarm, alarm_scores = choose_alarm(model, held_out, DETECTORS[:1] if recipe.as_in_the_paper else DETECTORS)
    model.config = replace(config, alarm=alarm)
    trees = None
    if not recipe.as_in_the_paper and any(unit.series.failure is not None for unit in all_units):
        trees = learn_trees(all_units, features, config.life.edges, near=recipe.life.near)
    model, life_by, life_scores = choose_life(
        model,
        held_out,
        regression=regression,
        trees=trees,
        told_by="network" if recipe.as_in_the_paper else recipe.life_by,
    )
    model.save(out)
    scores = {
        "name": name,
        "seed": seed,
        "notes": recipe.notes,
        "units": {"train": len(train), "held_out": len(held_out), "failed": fleet.n_failed},
        "parameters": model.n_parameters,
        "dropped": dropped,
        "detector": alarm.detector,
        "life_by": life_by,
        "alarms": alarm_scores,
        "life": life_scores,
        "life_learned_from_held_out": recipe.life_on_all,
    }
    write_telemetry_card(out, model.config, scores)
    tidy(folders)
    if (out / "unfinished").is_dir():
        (out / "unfinished").rmdir()
    return scores


def _usable(fleet: Fleet, recipe: FleetRecipe, limit: Limit | None) -> tuple[Fleet, list[str]]:
    """The channels that are to be read, and the names of those that say nothing."""
    if missing := sorted(set(recipe.channels) - set(fleet.channels)):
        raise ValueError(f"the fleet has no channel {', '.join(missing)}; it has {', '.join(fleet.channels)}")
    if limit is not None and limit.channel not in fleet.channels:
        raise ValueError(f"the limit is of {limit.channel!r}, which is none of {', '.join(fleet.channels)}")
    kept = []
    for i, name in enumerate(fleet.channels):
        varies = any(np.nanmax(v) > np.nanmin(v) for v in (s.values[:, i] for s in fleet) if np.isfinite(v).any())
        if (name in recipe.channels) if recipe.channels else (varies or (limit is not None and name == limit.channel)):
            kept.append(name)
    if not kept:
        raise FleetTooSmall(f"no channel of {', '.join(fleet.channels)} ever changes; expected one that does")
    return _narrowed(fleet, tuple(kept)), [name for name in fleet.channels if name not in kept]


def _narrowed(fleet: Fleet, channels: tuple[str, ...]) -> Fleet:
    if fleet.channels == channels:
        return fleet
    at = [fleet.channels.index(name) for name in channels]
    units = tuple(Series(s.unit, s.times, s.values[:, at], s.failure, s.lot) for s in fleet)
    return Fleet(channels, units, fleet.time_unit)


def _enough(train: Fleet, held_out: Fleet) -> None:
    long = sum(len(s) >= 32 for s in train), sum(len(s) >= 32 for s in held_out)
    if long[0] < 3 or long[1] < 1:
        raise FleetTooSmall(
            f"{len(train)} units (lots are kept whole) to learn from, {long[0]} with 32 samples or more, and "
            f"{len(held_out)}, {long[1]} of them so long, held out; expected at least 3 and 1"
        )


def _features(train: Fleet, recipe: FleetRecipe) -> FeaturesConfig:
    """Levels, centre, scale and interval, of the training units alone."""
    every = np.concatenate([s.values for s in train])
    gaps = np.concatenate([np.diff(s.times) for s in train if len(s) > 1])
    levels = tuple(recipe.levels or _level(train, c) for c in range(len(train.channels)))
    # How wide a channel is where all is well: units that lived, and the first half of those that did not.
    well = [s.values if s.failure is None else s.values[: max(2, len(s) // 2)] for s in train]
    centre, scale = np.zeros(len(levels)), np.ones(len(levels))
    for c, level in enumerate(levels):
        if level == "fleet":
            centre[c], scale[c] = np.nanmean(every[:, c]), np.nanstd(every[:, c])
            continue
        off = []
        for values in (v[np.isfinite(v[:, c]), c] for v in well):
            if len(values) >= 8:
                mean = values[:16].mean()
                off.append((values - mean) / (abs(mean) if level == "relative" and mean else 1.0))
        wide = np.concatenate(off) if off else np.ones(1)
        scale[c] = 1.4826 * np.median(np.abs(wide)) or np.std(wide)
    scale = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
    return FeaturesConfig(
        levels=levels,
        centre=tuple(float(v) for v in centre),
        scale=tuple(float(v) for v in scale),
        interval=float(np.median(gaps)),
        smooth=recipe.smooth,
        squash=recipe.squash,
        age=recipe.age,
    )


def _level(train: Fleet, channel: int) -> Level:
    """Relative to the unit's own start where every unit starts well away from zero, on the same side."""
    starts, spreads = [], []
    for s in train:
        known = s.values[np.isfinite(s.values[:, channel]), channel]
        if len(known) >= 8:
            starts.append(known[:16].mean())
            spreads.append(known[:16].std())
    first: Floats = np.array(starts)
    away = (
        len(first) > 0
        and (np.abs(first) > 5 * np.median(spreads)).all()
        and (np.sign(first) == np.sign(first[0])).all()
    )
    return "relative" if away else "offset"


def _config(train: Fleet, recipe: FleetRecipe, features: FeaturesConfig, limit: Limit | None) -> MaintenanceConfig:
    edges = recipe.edges or _edges(train, features.interval)
    shared: dict[str, Any] = {
        "d_model": recipe.d_model,
        "mixer": recipe.mixer,
        "window": recipe.window,
        "dropout": recipe.dropout,
    }
    n, f = features.n_channels, features.n_features
    return MaintenanceConfig(
        channels=train.channels,
        time_unit=train.time_unit,
        features=features,
        forecaster=ForecasterConfig(n_features=f, n_channels=n, **(shared | {"dropout": 0.1})),
        autoencoder=AutoencoderConfig(n_channels=n, window=recipe.ae_window),
        life=LifeConfig(
            n_features=f, edges=edges, n_members=recipe.n_members, mean_weight=recipe.mean_weight, **shared
        ),
        alarm=AlarmConfig(),
        limit=limit,
    )


def _edges(train: Fleet, interval: float) -> tuple[float, ...]:
    """Sixteen on a log scale, from twice the usual interval to the longest life seen."""
    longest = max(float((s.failure or s.times[-1]) - s.times[0]) for s in train if len(s))
    return tuple(float(e) for e in np.geomspace(2 * interval, max(longest, 20 * interval), 16))
