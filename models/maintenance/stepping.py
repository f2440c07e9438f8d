"""One sample of one unit without a framework: of thirty-two numbers, calling an operation costs more than doing it.

The same as the networks' own step, which a test holds it to, for what is shipped and trained by default: one layer of a
plain GRU and a survival head, on a processor in float32. For anything else there is none, and the networks step.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.backbone import BackboneState
from models.device import device_of
from models.maintenance.attention import Recent
from models.maintenance.forecaster import Forecaster, ForecastState
from models.maintenance.life import LifeState, Member
from models.maintenance.model import MaintenanceModel
from models.mixers.gru import GRUConfig
from models.mixers.recurrent import RecurrentState

Single = NDArray[np.float32]


class Stepped(NamedTuple):
    """What `Stepper.step` says of a sample."""

    forecast: Tensor  # (1, H, C, 3)
    curve: Single  # (1, K + 1)
    forecast_state: ForecastState
    life_state: LifeState


class _Network:
    """Features (F,) through the GRU, the attention and the head of a forecaster or of a member, (n_out,)."""

    def __init__(self, network: Forecaster | Member) -> None:
        block: Any = network.mixer.blocks[0]
        cell = block.mixer.cells[0]
        self._enter = _linear(network.enter)
        norms: tuple[Any, ...] = (block.mixer_norm, network.mixer.norm)
        self._norms = [(_array(norm.weight), float(norm.eps or _EPS)) for norm in norms]
        self._inputs = _linear(cell.inputs)
        self._recurrent = _array(torch.cat([cell.recurrent.dense(), cell.candidate.dense()]))
        self._candidate_bias = _array(cell.candidate_bias)
        attention = network.attention
        self._keys = np.ascontiguousarray(_array(attention.keys.weight).T)
        self._query, self._score = _linear(attention.query), _array(attention.score.weight)[0]
        self._hidden, self._head = _linear(network.hidden), _linear(network.head)
        self._window = attention.window

    def step(self, x: Single, mixed: BackboneState, recent: Recent) -> tuple[Single, BackboneState, Recent]:
        """The output, and the states after it; those given stay good."""
        held: RecurrentState = mixed.blocks[0]
        h = held.layers[0][0].numpy()[0]
        d = len(h)
        entered = _apply(self._enter, x)
        gates, heard = _apply(self._inputs, _normed(entered, *self._norms[0])), self._recurrent @ h
        r, z = (1.0 / (1.0 + np.exp(-gates[: 2 * d] - heard[: 2 * d]))).reshape(2, d)
        new = np.tanh(gates[2 * d :] + r * (heard[2 * d :] + self._candidate_bias))
        h = new + z * (h - new)
        now = _normed(entered + h, *self._norms[1])
        known = np.concatenate([recent.states.numpy()[0], now[None]])  # (W, D)
        seen = int(recent.seen)
        some = known[self._window - 1 - seen :]  # the others were never seen
        # Within tanh: no exponential of these grows beyond all bounds.
        a: Single = np.exp(np.tanh(some @ self._keys + _apply(self._query, now)) @ self._score)
        found: Single = (a / a.sum()) @ some
        hidden = _apply(self._hidden, np.concatenate([found, now], dtype=np.float32))
        active = np.asarray(hidden / (1.0 + np.exp(-hidden)), np.float32)
        y = _apply(self._head, active)
        layers = ((torch.from_numpy(h[None]),),)
        after = BackboneState((RecurrentState(layers, held.attention, held.found),))
        kept = Recent(torch.from_numpy(known[None, 1:]), torch.full((1,), min(seen + 1, self._window - 1)))
        return y, after, kept


class Stepper:
    """`Stepper.of(model)`, then `step` for each sample."""

    def __init__(self, model: MaintenanceModel) -> None:
        c = model.config
        self._forecaster = _Network(model.forecaster)
        # Where trees tell the life alone nobody asks the network.
        asked = [] if c.life_by == "trees" else list(model.life.members)
        self._members = [_Network(member) for member in asked]  # type: ignore[arg-type]
        self._shape = (len(c.forecaster.horizons), c.forecaster.n_channels, 3)
        self._with_trees = model.with_trees

    @classmethod
    def of(cls, model: MaintenanceModel) -> "Stepper | None":
        """None where the networks are of another kind, or not on the processor."""
        c = model.config
        parts: list[Any] = [model.forecaster, *model.life.members]
        plain = all(
            part.mixer.config.mixers == (GRUConfig(d_model=part.mixer.config.d_model),)
            and part.mixer.config.feedforward is None
            for part in parts
        )
        fits = device_of(model).type == "cpu" and all(p.dtype == torch.float32 for p in model.parameters())
        return cls(model) if plain and fits and c.life.head == "survival" else None

    def step(self, x: Single, values: Single, forecast: ForecastState, life: LifeState) -> Stepped:
        """features (F,) and values (C,) of a sample, and the states of its unit, each of a batch of one."""
        with np.errstate(over="ignore"):  # a gate that is shut
            y, mixed, recent = self._forecaster.step(x, forecast.mixer, forecast.recent)
            low, off, high = np.moveaxis(y.reshape(self._shape), -1, 0)
            median = values + off
            quantiles = np.stack([median - _softplus(low - 1.0), median, median + _softplus(high - 1.0)], -1)
            curve, after = self._life(x, life) if self._members else (None, life)
        told = self._with_trees(curve, torch.from_numpy(x[None])).numpy()
        return Stepped(torch.from_numpy(quantiles[None]), told, ForecastState(mixed, recent), after)

    def _life(self, x: Single, life: LifeState) -> tuple[Tensor, LifeState]:
        """The mean of the members' survival curves (1, K + 1), and their states."""
        curves: list[Single] = []
        members: list[tuple[BackboneState, Recent]] = []
        for network, (own_mixed, own_recent) in zip(self._members, life.members, strict=True):
            logits, own_mixed, own_recent = network.step(x, own_mixed, own_recent)
            curves.append(np.exp(-np.cumsum(_softplus(logits))))
            members.append((own_mixed, own_recent))
        curve = np.concatenate([np.ones(1, np.float32), np.mean(curves, 0)])[None]
        return torch.from_numpy(curve), LifeState(tuple(members))


_EPS = float(torch.finfo(torch.float32).eps)


def _array(weight: Tensor) -> Single:
    return np.ascontiguousarray(weight.detach().numpy())


def _linear(layer: nn.Linear) -> tuple[Single, Single]:
    return _array(layer.weight), _array(layer.bias)


def _apply(layer: tuple[Single, Single], x: Single) -> Single:
    y: Single = layer[0] @ x + layer[1]
    return y


def _normed(x: Single, weight: Single, eps: float) -> Single:
    y: Single = x * (weight / np.float32(np.sqrt(x @ x / len(x) + eps)))
    return y


def _softplus(x: Single) -> Single:
    return np.logaddexp(x, np.float32(0.0))
