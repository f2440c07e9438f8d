"""Claims that want no training: of ops and mixers as they start, on streams made here, in seconds."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.gla import gated_linear_attention
from kernels.local_polynomial import local_polynomial_attention
from kernels.neural_memory import NO_MOMENTUM, Fast, Gates, Huber, Rule, Squared, neural_memory
from kernels.ridge import ridge_regression
from kernels.taylor import taylor_attention
from models.mixers import build_mixer

Figures = Mapping[str, float]
Gradient = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a paper says of its mixer, what is measured, and by which of the figures it holds."""

    paper: str
    says: str
    measure: Callable[[int], Figures]
    """Of a seed."""
    holds: Callable[[Figures], bool]


def outliers(seed: int) -> Figures:
    """Mean squared error of a matrix's recall, where 5 % of the values it was shown were 20 times too large."""
    random = torch.Generator().manual_seed(seed)
    keys, values, which = _stream(random, n_keys=16, d=32, n=480)
    outlier = torch.rand(len(which), 1, generator=random, dtype=torch.float64) < 0.05
    shown = torch.where(outlier, 20 * values[which], values[which])
    errors: dict[str, Gradient] = {"squared loss": Squared(1.0), "Huber's loss": Huber(0.5)}
    return {name: _remembered(Rule(error=e), keys[which], shown, 0.3, keys, values) for name, e in errors.items()}


def collisions(seed: int) -> Figures:
    """The same error where every key has a near double (cosine 0.9) with another value, by the loss's power.

    Steps are of one mean length: each power's gradient is divided by what it is at an error of 1."""
    random = torch.Generator().manual_seed(seed)
    keys, values, which = _stream(random, n_keys=16, d=32, n=640)
    off = F.normalize(torch.randn(16, 32, generator=random, dtype=torch.float64), dim=-1)
    keys[1::2] = F.normalize(0.9 * keys[::2] + 0.44 * off[::2], dim=-1)

    def cubed(prediction: Tensor, v: Tensor) -> Tensor:
        e = prediction - v
        longer: Tensor = e * torch.linalg.vector_norm(e, dim=-1, keepdim=True)
        return longer

    errors: dict[str, Gradient] = {"p = 2": Squared(1.0), "p = 3": cubed}
    return {
        name: _remembered(Rule(error=e), keys[which], values[which], 0.3, keys, values) for name, e in errors.items()
    }


def _stream(random: torch.Generator, n_keys: int, d: int, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Keys of length 1, values of about 1, (n_keys, d), and which of them comes when, each at least once."""
    keys = F.normalize(torch.randn(n_keys, d, generator=random, dtype=torch.float64), dim=-1)
    values = torch.randn(n_keys, d, generator=random, dtype=torch.float64) / d**0.5
    return keys, values, torch.cat([torch.arange(n_keys), torch.randint(n_keys, (n - n_keys,), generator=random)])


def _remembered(rule: Rule, k: Tensor, v: Tensor, step: float, asked: Tensor, wanted: Tensor) -> float:
    """Mean squared error of what a matrix answers after a stream of pairs k, v (T, d), nothing forgotten."""
    n, d = k.shape
    zero = (torch.zeros(1, 1, d, d, dtype=k.dtype),)
    gate = torch.zeros(1, 1, n, dtype=k.dtype)
    gates = Gates(gate + step, gate, gate + NO_MOMENTUM)
    state = Fast(zero, zero, zero, torch.zeros(1, dtype=torch.long))
    _, after = neural_memory(k[None, None], k[None, None], v[None, None], gates, state, rule)
    return float((asked @ after.weights[0][0, 0].T - wanted).square().mean())


def capacity(seed: int) -> Figures:
    """Per cent of N random pairs told apart by one matrix of 64 x 64 each, without training: the sum, least squares."""
    random, d, found = torch.Generator().manual_seed(seed), 64, {}
    for n in (32, 64, 128):
        k = F.normalize(torch.randn(1, 1, n, d, generator=random, dtype=torch.float64), dim=-1)
        v = torch.randn(1, 1, n, d, generator=random, dtype=torch.float64)
        summed, ridged = _matrices(k, v)
        for name, matrix in (("sum", summed), ("least squares", ridged)):
            right = (k[0, 0] @ matrix @ v[0, 0].T).argmax(-1) == torch.arange(n)
            found[f"{name}, {n} pairs"] = 100 * float(right.double().mean())
    return found


def _matrices(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """(K, V) of linear attention and of ridge regression, after all pairs."""
    flat = torch.zeros_like(k[..., 0])
    _, S = gated_linear_attention(k, k, v, flat[..., None])
    d = k.shape[-1]
    none = k.new_zeros(1, 1, d, d), k.new_zeros(1, 1, d, v.shape[-1])
    ridge = k.new_full((1, d), 1e-3)
    _, (gram, N) = ridge_regression(k, k, v, flat, flat + 1, ridge, none)
    return S[0, 0], torch.linalg.solve(gram[0, 0] + torch.diag(ridge[0]), N[0, 0])


def piecewise(seed: int) -> Figures:
    """Squared error, relative to the values' variance, of predicting v = max(A k, 0) at a new key from 255 pairs,
    untrained: linear attention and least squares, each one matrix; softmax and a local line, each at the best of six
    temperatures."""
    random, d, n, asked = torch.Generator().manual_seed(seed), 4, 256, 64
    k = F.normalize(torch.randn(asked, 1, n, d, generator=random, dtype=torch.float64), dim=-1)
    v = (k @ torch.randn(d, d, generator=random, dtype=torch.float64)).clamp(min=0)
    seen_k, seen_v, q, wanted = k[:, :, :-1], v[:, :, :-1], k[:, :, -1:], v[:, :, -1]
    scatter = float(v.flatten(0, 2).var(0).sum())

    def error(o: Tensor) -> float:
        return float((o - wanted).square().sum(-1).mean()) / scatter

    flat = torch.zeros_like(seen_k[..., 0])
    linear = torch.einsum("bhk,bhtk,bhtv->bhv", q[:, :, 0], seen_k, seen_v) * d / (n - 1)
    none = k.new_zeros(asked, 1, d, d), k.new_zeros(asked, 1, d, d)
    _, (gram, N) = ridge_regression(seen_k, seen_k, seen_v, flat, flat + 1, k.new_full((1, d), 1e-3), none)
    exact = torch.einsum("bhk,bhkv->bhv", torch.linalg.solve(gram, q[..., 0, :, None])[..., 0], N)
    found = {"linear attention": error(linear), "least squares": error(exact)}
    start = torch.zeros(asked, dtype=torch.long)
    orders: tuple[tuple[Literal[0, 1], str], ...] = ((0, "softmax"), (1, "a local line"))
    for order, name in orders:
        local = partial(local_polynomial_attention, q, seen_k, seen_v, ridge=k.new_full((1,), 1e-3), start=start)
        answers = (local(scale=k.new_full((1,), 2.0**i), order=order) for i in range(1, 7))
        found[name] = min(error(o[:, :, 0]) for o in answers)
    return found


def series(seed: int) -> Figures:
    """The largest error of attention with the exponential's series up to z^P, beside softmax, scores within 3."""
    random, n = torch.Generator().manual_seed(seed), 64
    q = (2 * torch.rand(1, 1, n, 1, generator=random, dtype=torch.float64) - 1) * 3
    k = 2 * torch.rand(1, 1, n, 1, generator=random, dtype=torch.float64) - 1
    v = torch.randn(1, 1, n, 8, generator=random, dtype=torch.float64)
    exact = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
    found = {}
    for order in (2, 4, 8, 16, 24):
        N, _ = taylor_attention(q, k, torch.cat([v, torch.ones_like(v[..., :1])], -1), order=order)
        found[f"P = {order}"] = float((N[..., :-1] / N[..., -1:] - exact).abs().max())
    return found


def lengths(seed: int) -> Figures:
    """The power of T by which a last answer's length grows from 64 to 512 tokens, at the start: without a bias and
    with one of -log of the keys seen; tokens that share a direction, and independent ones."""
    found = {}
    for tokens, shared in (("alike", 1.0), ("independent", 0.0)):
        for name, fields in (("no bias", {"score_bias": "static", "n_keys": 1}), ("bias", {"score_bias": "visible"})):
            torch.manual_seed(seed)
            mixer = build_mixer("sigmoid", d_model=64, positions="none", **fields)
            x = shared * torch.randn(64) + torch.randn(4, 512, 64)
            with torch.no_grad():
                short, long = (mixer(x[:, :T])[0][:, -1].norm(dim=-1).log().mean() for T in (64, 512))
            found[f"{name}, {tokens}"] = float(long - short) / math.log(8)
    return found


def shuffled(seed: int) -> Figures:
    """The largest difference between the answers to shuffled tokens and the shuffled answers."""
    torch.manual_seed(seed)
    x, order = torch.randn(1, 33, 32), torch.randperm(33)
    found = {}
    with torch.no_grad():
        for name in ("activator", "softmax"):
            mixer = build_mixer(name, d_model=32)
            found[name] = float((mixer(x[:, order])[0] - mixer(x)[0][:, order]).abs().max())
    return found


def reach(seed: int) -> Figures:
    """How many tokens back gated associative memory of width 3 hears a change, and softmax."""
    torch.manual_seed(seed)
    x = torch.randn(1, 40, 32)
    other = x.clone()
    other[:, 0] += 1.0
    found: dict[str, float] = {}
    with torch.no_grad():
        for name, fields in (("gam", {"width": 3}), ("softmax", {})):
            mixer: Any = build_mixer(name, d_model=32, **fields)
            changed = (mixer(x)[0] - mixer(other)[0]).abs().amax((0, 2)) > 0
            found[name] = float(changed.nonzero().max())
    return found


PLAIN: tuple[Claim, ...] = (
    Claim(
        paper="Miras (Yaad)",
        says="Huber's loss keeps outliers from ruining a memory: below a fifth of the squared loss's error",
        measure=outliers,
        holds=lambda f: f["Huber's loss"] < f["squared loss"] / 5,
    ),
    Claim(
        paper="Miras (Moneta)",
        says="where keys nearly collide, a loss of power 3 remembers better than the square",
        measure=collisions,
        holds=lambda f: f["p = 3"] < f["p = 2"],
    ),
    Claim(
        paper="Test-time regression",
        says="a matrix of sums tells as many pairs as it is wide and fails beyond; least squares stays better",
        measure=capacity,
        holds=lambda f: (
            f["sum, 64 pairs"] > 95
            and f["sum, 128 pairs"] < f["sum, 64 pairs"]
            and f["least squares, 128 pairs"] >= f["sum, 128 pairs"]
        ),
    ),
    Claim(
        paper="Test-time regression",
        says="on a map with a kink: linear attention worse than least squares, softmax better, a local line best",
        measure=piecewise,
        holds=lambda f: f["linear attention"] > f["least squares"] > f["softmax"] > f["a local line"],
    ),
    Claim(
        paper="Softmax as an RNN",
        says="a series of 24 terms is softmax to a millionth where scores stay within 3",
        measure=series,
        holds=lambda f: f["P = 24"] < 1e-6,
    ),
    Claim(
        paper="Sigmoid attention",
        says="without a bias answers grow as T, with -log n they do not",
        measure=lengths,
        holds=lambda f: f["no bias, alike"] > 0.8 and abs(f["bias, alike"]) < 0.2,
    ),
    Claim(
        paper="Activator",
        says="in attention's place: shuffled tokens give shuffled answers, so it mixes nothing",
        measure=shuffled,
        holds=lambda f: f["activator"] < 1e-5 < f["softmax"],
    ),
    Claim(
        paper="Gated associative memory",
        says="hears nothing further back than its convolution",
        measure=reach,
        holds=lambda f: f["gam"] == 2,
    ),
)
