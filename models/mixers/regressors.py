"""What is fitted at test time, and by which solver: one class a way to find the least, each on an op of its own."""

from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.attention import Pattern, Structure, attention
from kernels.gla import gated_linear_attention
from kernels.local_polynomial import local_polynomial_attention
from kernels.neural_memory import NO_MOMENTUM, Fast, Gates, Rule, neural_memory
from kernels.ridge import kernel_ridge, ridge_regression
from models.mixers.cache import last

LEAST_RIDGE = 0.25
"""Of the Mesa layer, as in fla's."""
LEAST_LOCAL_RIDGE = 1e-3


class Choices(Protocol):
    """What is read of a mixer's config here."""

    @property
    def d_model(self) -> int: ...
    @property
    def n_heads(self) -> int: ...
    @property
    def d_head(self) -> int: ...
    @property
    def regressor(self) -> str: ...
    @property
    def weights(self) -> str: ...
    @property
    def solver(self) -> str: ...
    @property
    def order(self) -> Literal[0, 1, 2]: ...
    @property
    def quadratic(self) -> Literal["diagonal", "full"]: ...
    @property
    def qk_norm(self) -> str: ...
    @property
    def n_steps(self) -> int: ...
    @property
    def expansion(self) -> float: ...
    @property
    def max_step(self) -> float: ...


class Tokens(NamedTuple):
    """One call's tokens: x (B, T, D), q (B, H, T, K), k, v (B, H n_steps, T, K), mask, and each row's length by it."""

    x: Tensor
    q: Tensor
    k: Tensor
    v: Tensor
    mask: Tensor | None
    lengths: Tensor | None


class Regressor(nn.Module, ABC):
    """Answers queries from what it was shown; its state is a tuple of tensors, batch first."""

    grows = False
    """True where all keys and values are kept."""

    keep: nn.Linear
    """The logits of what is kept of old pairs, where weights decay."""

    def __init__(self, config: Choices) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def initial_state(self, batch: int, weight: Tensor) -> tuple[Tensor, ...]:
        """Of a model whose weights are like `weight`."""

    @abstractmethod
    def forward(
        self, tokens: Tokens, state: tuple[Tensor, ...], position: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]: ...

    def gates(self, n: int, start: float) -> nn.Linear:
        """n numbers a token, whatever it says at first."""
        linear = nn.Linear(self.config.d_model, n)
        nn.init.zeros_(linear.weight)
        nn.init.constant_(linear.bias, start)
        return linear

    def phi(self, z: Tensor) -> Tensor:
        return F.elu(z) + 1 if self.config.regressor == "feature" else z

    def log_keep(self, tokens: Tokens, wide: torch.dtype) -> Tensor:
        """(B, H, T), 0 at padding, where nothing may be forgotten."""
        if self.config.weights != "decay":
            return tokens.q.new_zeros(tokens.q.shape[:3], dtype=wide)
        logits: Tensor = self.keep(tokens.x)
        log_f = F.logsigmoid(logits.to(wide)).transpose(1, 2)
        return log_f if tokens.mask is None else log_f.masked_fill(~tokens.mask[:, None], 0.0)


def _wide(weight: Tensor) -> torch.dtype:
    return torch.promote_types(weight.dtype, torch.float32)


class Hebb(Regressor):
    """M_t = sum_i gamma_i v_i phi(k_i)^T: the least if keys were orthogonal; linear attention without a denominator."""

    def __init__(self, config: Choices) -> None:
        super().__init__(config)
        if config.weights == "decay":
            self.keep = self.gates(config.n_heads, 3.0)

    def initial_state(self, batch: int, weight: Tensor) -> tuple[Tensor, ...]:
        c = self.config
        return (weight.new_zeros(batch, c.n_heads, c.d_head, c.d_head, dtype=_wide(weight)),)

    def forward(self, tokens: Tokens, state: tuple[Tensor, ...], position: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        k = self.phi(tokens.k)
        if tokens.mask is not None:
            k = k.masked_fill(~tokens.mask[:, None, :, None], 0.0)
        log_f = self.log_keep(tokens, state[0].dtype)
        o, S = gated_linear_attention(self.phi(tokens.q), k, tokens.v, log_f[..., None], state[0])
        return o, (S,)


class Descent(Regressor):
    """W_t = keep_t W_{t-1} - step_t (W k_t - v_t) k_t^T, n_steps of them a token, and the same for a network's layers.

    The error is taken on the weights once they have decayed, as Gated DeltaNet does where there is one matrix. Solver
    "implicit" divides the step by 1 + step |k|^2. A matrix starts at 0, a network at weights that are learned.
    """

    def __init__(self, config: Choices) -> None:
        super().__init__(config)
        heads, d = config.n_heads, config.d_head
        self.step = self.gates(heads * config.n_steps, 0.0)
        if config.weights == "decay":
            self.keep = self.gates(heads, 5.0)
        if config.regressor == "mlp":
            hidden = int(config.expansion * d)
            self.start = nn.ParameterList(nn.Parameter(torch.empty(heads, *s)) for s in ((hidden, d), (d, hidden)))
            for layer in self.start:
                for head in layer:
                    nn.init.xavier_uniform_(head)
        plain = config.regressor == "mlp"
        self.rule = Rule(name=f"descent, {plain}", error=lambda prediction, v: prediction - v, decay_first=not plain)

    def initial_state(self, batch: int, weight: Tensor) -> tuple[Tensor, ...]:
        c = self.config
        if c.regressor == "mlp":
            return tuple(w.to(_wide(weight)).expand(batch, *w.shape) for w in self.start)
        return (weight.new_zeros(batch, c.n_heads, c.d_head, c.d_head, dtype=_wide(weight)),)

    def forward(self, tokens: Tokens, state: tuple[Tensor, ...], position: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        c, n = self.config, self.config.n_steps
        wide = state[0].dtype
        k, v = (z.unflatten(1, (-1, n)).transpose(2, 3).flatten(2, 3) for z in (self.phi(tokens.k), tokens.v))
        q = self.phi(tokens.q).repeat_interleave(n, 2)  # (B, H, T n, K): read after each step, the last one counts
        step = c.max_step * self.step(tokens.x).to(wide).sigmoid()  # (B, T, H n)
        step = step.unflatten(-1, (-1, n)).permute(0, 2, 1, 3).flatten(2)
        if c.solver == "implicit":
            step = step / (1 + step * k.to(wide).square().sum(-1))
        log_keep = F.pad(self.log_keep(tokens, wide)[..., None], (0, n - 1)).flatten(2)  # at a token's first step
        gates = Gates(step, log_keep, torch.full_like(step, NO_MOMENTUM))
        momentum = tuple(torch.zeros_like(w) for w in state)
        fast = Fast(state, momentum, state, torch.zeros_like(position))
        mask = None if tokens.mask is None else tokens.mask.repeat_interleave(n, 1)
        o, fast = neural_memory(q, k, v, gates, fast, self.rule, mask)
        return o[:, :, n - 1 :: n], fast.weights


class Ridge(Regressor):
    """M_t = (sum_i gamma_i v_i k_i^T) (sum_i gamma_i k_i k_i^T + ridge)^{-1}, weights gates, ridge learned."""

    def __init__(self, config: Choices) -> None:
        super().__init__(config)
        self.weight = self.gates(config.n_heads, 0.0)
        if config.weights == "decay":
            self.keep = self.gates(config.n_heads, 5.0)
        start = torch.tensor(1.0 - LEAST_RIDGE).expm1().log()  # softplus of this and the least make 1
        self.ridge = nn.Parameter(torch.full((config.n_heads, config.d_head), float(start)))

    def initial_state(self, batch: int, weight: Tensor) -> tuple[Tensor, ...]:
        c = self.config
        S = weight.new_zeros(batch, c.n_heads, c.d_head, c.d_head, dtype=_wide(weight))
        return S, S.clone()

    def forward(self, tokens: Tokens, state: tuple[Tensor, ...], position: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        wide = state[0].dtype
        weight = self.weight(tokens.x).to(wide).sigmoid().transpose(1, 2)
        if tokens.mask is not None:
            weight = weight.masked_fill(~tokens.mask[:, None], 0.0)
        ridge = LEAST_RIDGE + F.softplus(self.ridge.to(wide))
        q, k, (S, N) = self.phi(tokens.q), self.phi(tokens.k), state
        return ridge_regression(q, k, tokens.v, self.log_keep(tokens, wide), weight, ridge, (S, N))


class Cached(Regressor):
    """Those that need all keys and values at every query."""

    grows = True

    def __init__(self, config: Choices) -> None:
        super().__init__(config)
        if config.qk_norm == "l2":
            self.log_scale = nn.Parameter(torch.full((config.n_heads,), 0.5).mul(torch.tensor(config.d_head).log()))

    def initial_state(self, batch: int, weight: Tensor) -> tuple[Tensor, ...]:
        k = weight.new_zeros(batch, 0, self.config.n_heads, self.config.d_head)
        return k, k.clone()

    def scale(self, like: Tensor) -> Tensor:
        """Of the scores, (H,): what a head's queries and keys of length 1 are multiplied by is learned."""
        c = self.config
        if c.qk_norm == "l2":
            return self.log_scale.exp().to(_wide(like))
        return like.new_full((c.n_heads,), c.d_head**-0.5, dtype=_wide(like))

    def forward(self, tokens: Tokens, state: tuple[Tensor, ...], position: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        n_tokens = tokens.x.shape[1]
        k, v = (
            torch.cat([old, new.transpose(1, 2).to(old.dtype)], 1)
            for old, new in zip(state, (tokens.k, tokens.v), strict=True)
        )
        before = k.shape[1] - n_tokens
        o = self.answer(tokens.q.to(k.dtype), k.transpose(1, 2), v.transpose(1, 2), (before - position).clamp(min=0))
        return o, tuple(last(z, k.shape[1], n_tokens, tokens.lengths) for z in (k, v))

    @abstractmethod
    def answer(self, q: Tensor, k: Tensor, v: Tensor, start: Tensor) -> Tensor:
        """(B, H, T, K), of slots from start (B,) on."""


class KernelSum(Cached):
    """o_t = sum_i exp(scale (q_t . k_i - 1)) v_i: softmax without its denominator, Gaussian on keys of length 1."""

    def answer(self, q: Tensor, k: Tensor, v: Tensor, start: Tensor) -> Tensor:
        scale = self.scale(q)
        q = (q.to(scale.dtype) * scale[:, None, None]).to(k.dtype)
        pattern = Pattern(kind="exp", scale=1.0, ceiling=1.0)  # never reached: a score is at most 0
        return attention(q, k, v, pattern, Structure(start=start, offset=-scale[None, :, None]))


class KernelRidge(Cached):
    """The same with the keys' likeness to each other taken out: kernel ridge regression, "Intention"."""

    def __init__(self, config: Choices) -> None:
        super().__init__(config)
        self.ridge = nn.Parameter(torch.full((config.n_heads,), 0.5))

    def answer(self, q: Tensor, k: Tensor, v: Tensor, start: Tensor) -> Tensor:
        scale = self.scale(q)
        return kernel_ridge(q, k, v, scale, LEAST_LOCAL_RIDGE + F.softplus(self.ridge.to(scale.dtype)), start)


class Local(Cached):
    """A polynomial about each query, in closed form; order 0 is softmax attention."""

    def __init__(self, config: Choices) -> None:
        super().__init__(config)
        if config.order:
            self.ridge = nn.Parameter(torch.full((config.n_heads,), 0.54))  # softplus makes it 1

    def answer(self, q: Tensor, k: Tensor, v: Tensor, start: Tensor) -> Tensor:
        c, scale = self.config, self.scale(q)
        if c.order == 0:
            q = (q.to(scale.dtype) * scale[:, None, None]).to(k.dtype)
            return attention(q, k, v, Pattern(scale=1.0), Structure(start=start))
        ridge = LEAST_LOCAL_RIDGE + F.softplus(self.ridge.to(scale.dtype))
        return local_polynomial_attention(q, k, v, scale, ridge, start, order=c.order, quadratic=c.quadratic)


EVEN = ("uniform", "decay")
REGRESSORS: dict[tuple[Any, Any], tuple[type[Regressor], tuple[str, ...]]] = {
    ("linear", "hebb"): (Hebb, EVEN),
    ("feature", "hebb"): (Hebb, EVEN),
    ("linear", "sgd"): (Descent, EVEN),
    ("feature", "sgd"): (Descent, EVEN),
    ("mlp", "sgd"): (Descent, EVEN),
    ("linear", "implicit"): (Descent, EVEN),
    ("feature", "implicit"): (Descent, EVEN),
    ("linear", "ridge"): (Ridge, EVEN),
    ("feature", "ridge"): (Ridge, EVEN),
    ("kernel", "hebb"): (KernelSum, ("uniform",)),
    ("kernel", "ridge"): (KernelRidge, ("uniform",)),
    ("local", "closed"): (Local, ("kernel",)),
}
"""(regressor, solver) -> what does it, and the weights it has."""
