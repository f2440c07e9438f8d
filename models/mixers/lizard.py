"""Lizard: gated linear attention over learned features, and a window of softmax with sinks, added."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.gla import gated_linear_attention
from models.mixers.attention import norm_of
from models.mixers.base import SequenceMixer
from models.mixers.cache import last
from models.mixers.grouped import GroupedConfig, per_query_head
from models.mixers.window import window_attention


@dataclass(frozen=True, kw_only=True, slots=True)
class LizardConfig(GroupedConfig):
    n_features: int | None = None
    """F: phi has 2 F entries. None is half a head's width, so that phi is as wide as the head."""
    features: Literal["softmax", "exp"] = "softmax"
    """The paper's table says softmax, its section 4 exp; they are not the same kernel."""
    norm: Literal["row", "none"] = "row"
    """With a denominator (its section 3.1) or without (its recurrent form)."""
    gate: Literal["token", "head", "channel", "key", "none"] = "token"
    """One scalar for all heads; the paper's ablations: one a head (Mamba-2), one a feature from a low rank (GLA), made
    of the key without parameters (Liger's; it wants 2 F to be a head's width), or none."""
    gate_bias: float = 4.0
    """gamma starts at sigmoid of it: 4 remembers about 55 tokens, 0 two."""
    gate_rank: int = 16
    gate_temperature: float = 16.0
    """Divides the log gates of kinds "channel" and "key", as GLA and Liger have it."""
    window: int = 128
    """w, keys a query sees in the softmax branch, its own among them."""
    n_sinks: int = 4
    """Scores in the window's denominator that have no value; 0 is plain softmax."""
    branches: Literal["both", "linear", "window"] = "both"
    qk_norm: Literal["layer", "rms", "none"] = "none"
    """Of each head's queries and keys, before anything is made of them; decoders that have one keep it."""

    def __post_init__(self) -> None:
        GroupedConfig.__post_init__(self)
        if self.d_phi < 2 or self.window < 1 or self.n_sinks < 0:
            raise ValueError(
                f"features {self.d_phi // 2} and window {self.window} must be positive, "
                f"n_sinks {self.n_sinks} not negative"
            )
        if self.gate == "key" and self.d_phi != self.d_head:
            raise ValueError(f"a gate made of the key has {self.d_head} channels, and phi {self.d_phi}")
        for name, allowed in (
            ("features", ("softmax", "exp")),
            ("norm", ("row", "none")),
            ("gate", ("token", "head", "channel", "key", "none")),
            ("branches", ("both", "linear", "window")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(allowed)}")

    @property
    def d_phi(self) -> int:
        return 2 * (self.d_head // 2 if self.n_features is None else self.n_features)


class LizardState(NamedTuple):
    S: Tensor  # (B, H_kv, 2F, d), float32 or wider, and with the row norm a last column, the sum of features
    k: Tensor  # (B, w-1, H_kv, d): the last keys
    v: Tensor  # (B, w-1, H_kv, d)
    position: Tensor  # (B,) long: tokens seen


class Lizard(SequenceMixer[LizardState]):
    """y_i = yg_i + a ya_i, a learned from 1   (Van Nguyen et al. 2025, sections 3.1 and 3.2)

    yg_i = sum_t G_it phi(q_i) . phi(k_t) v_t / sum_t G_it phi(q_i) . phi(k_t), G_it the product of gamma_l, t < l <= i,
    gamma_l = sigmoid(w . x_l + b), phi(x) = [softmax(x W); softmax(-x W)], W of each head, apart for q and k;
    ya_i = softmax over the last w keys, with sum_j exp(t_j) in the denominator besides. Nothing is rotated: decay is
    the position.

    The paper contradicts itself on the denominator and on phi; both readings are options. Exponential features are held
    to e^{+-30}, where products still fit float32. b is ours: without it gamma starts at 0.5, a memory of two tokens.
    Sinks start spread out, since equal ones would stay equal for ever. Tokens in the window count in both branches.
    The state is H_kv (2F (d + 1) + 2 (w-1) d) + 1 numbers.
    """

    def __init__(self, config: LizardConfig) -> None:
        super().__init__()
        self.config = c = config
        self.query = nn.Linear(c.d_model, c.n_heads * c.d_head, bias=False)
        self.key = nn.Linear(c.d_model, c.kv_heads * c.d_head, bias=False)
        self.value = nn.Linear(c.d_model, c.kv_heads * c.d_head, bias=False)
        self.out = nn.Linear(c.n_heads * c.d_head, c.d_model, bias=False)
        for linear in (self.query, self.key, self.value, self.out):
            nn.init.normal_(linear.weight, std=0.02)
        self.q_norm, self.k_norm = norm_of(c.qk_norm, c.d_head), norm_of(c.qk_norm, c.d_head)
        if c.branches != "window":
            self.query_features = nn.Parameter(0.02 * torch.randn(c.n_heads, c.d_head, c.d_phi // 2))
            self.key_features = nn.Parameter(0.02 * torch.randn(c.kv_heads, c.d_head, c.d_phi // 2))
            self.forget = self._gate()
        if c.branches != "linear":
            self.sinks = nn.Parameter(torch.empty(c.n_sinks)) if c.n_sinks else None
            if self.sinks is not None:
                self.sinks.data.copy_(torch.linspace(-0.5, 0.5, c.n_sinks))
        if c.branches == "both":
            self.window_share = nn.Parameter(torch.ones(()))

    def _gate(self) -> nn.Module | None:
        c = self.config
        if c.gate in ("key", "none"):
            return None
        if c.gate == "channel":
            first = nn.Linear(c.d_model, c.gate_rank, bias=False)
            nn.init.normal_(first.weight, std=0.02)
            last_one = nn.Linear(c.gate_rank, c.kv_heads * c.d_phi)
            nn.init.normal_(last_one.weight, std=0.02)
            gate: nn.Module = nn.Sequential(first, last_one)
        else:
            gate = last_one = nn.Linear(c.d_model, 1 if c.gate == "token" else c.kv_heads)
            nn.init.zeros_(last_one.weight)
        nn.init.constant_(last_one.bias, c.gate_bias)
        return gate

    def initial_state(self, batch: int) -> LizardState:
        c, weight = self.config, self.out.weight
        wide = torch.promote_types(weight.dtype, torch.float32)
        heads = 0 if c.branches == "window" else c.kv_heads
        columns = c.d_head + (c.norm == "row")
        S = torch.zeros(batch, heads, c.d_phi, columns, dtype=wide, device=weight.device)
        k = weight.new_zeros(batch, 0 if c.branches == "linear" else c.window - 1, c.kv_heads, c.d_head)
        return LizardState(S, k, k.clone(), torch.zeros(batch, dtype=torch.long, device=weight.device))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: LizardState | None = None
    ) -> tuple[Tensor, LizardState]:
        self.refuse_ids(ids)
        c, n_tokens = self.config, x.shape[1]
        state = self.initial_state(len(x)) if state is None else state
        lengths = None if mask is None else mask.sum(1)
        q, k, v = (f(x).unflatten(-1, (-1, c.d_head)) for f in (self.query, self.key, self.value))  # (B, T, H, d)
        q, k = self.q_norm(q), self.k_norm(k)
        S, keys, values, found = state.S, state.k, state.v, []
        if c.branches != "window":
            linear, S = self._linear(x, q, k, v, mask, S)
            found.append(linear)
        if c.branches != "linear":
            keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
            near = self._window(q, keys, values, state.position)
            found.append(self.window_share * near if c.branches == "both" else near)
            keys, values = (last(z, c.window - 1, n_tokens, lengths) for z in (keys, values))
        y = self.out(sum(found[1:], found[0]).flatten(2))
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, LizardState(S, keys, values, state.position + (n_tokens if lengths is None else lengths))

    def log_gate(self, x: Tensor, k: Tensor) -> Tensor:
        """log gamma (B, T, H_kv or 1, 2F or 1), float32 or wider: of half logits, 1 - gamma would be off by 6 %."""
        c = self.config
        wide = torch.promote_types(x.dtype, torch.float32)
        if self.forget is None:
            return F.logsigmoid(k.to(wide)) / c.gate_temperature if c.gate == "key" else x.new_zeros((), dtype=wide)
        log_f = F.logsigmoid(self.forget(x).to(wide))
        if c.gate == "channel":
            y: Tensor = log_f.unflatten(-1, (c.kv_heads, -1)) / c.gate_temperature
            return y
        return log_f[..., None]

    def _linear(
        self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, S: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The gated branch (B, T, H, d) and its state."""
        c = self.config
        features = self._phi(k, self.key_features)  # (B, T, H_kv, 2F)
        log_f = self.log_gate(x, k)
        log_f = log_f.expand(*features.shape[:3], log_f.shape[-1] if log_f.dim() else 1)
        if mask is not None:
            # A padded step must leave S alone: forget nothing (log gamma = 0), write nothing (phi = 0).
            pad = ~mask[:, :, None, None]
            log_f, features = log_f.masked_fill(pad, 0.0), features.masked_fill(pad, 0.0)
        if c.norm == "row":
            v = torch.cat([v, torch.ones_like(v[..., :1])], -1)
        q, features, v, log_f = (
            z.transpose(1, 2) for z in (self._phi(q, self.query_features), features, v, log_f)
        )  # (B, H, T, ...)
        o, S = gated_linear_attention(q, features, v, log_f, S)
        o = o.transpose(1, 2)
        if c.norm == "row":
            # Where nothing was seen 0 / 0 is 0; and the total's square, which the gradient divides by, stays a number.
            o = o.to(S.dtype)
            o = (o[..., :-1] / o[..., -1:].clamp_min(torch.finfo(o.dtype).tiny ** 0.5)).to(x.dtype)
        return o, S

    def _phi(self, x: Tensor, weight: Tensor) -> Tensor:
        """(B, T, H, d) to (B, T, H, 2F), positive."""
        logits = torch.einsum("bthd,hdf->bthf", x, weight)
        if self.config.features == "softmax":
            return torch.cat([logits.softmax(-1), (-logits).softmax(-1)], -1)
        logits = logits.clamp(-30.0, 30.0)
        return torch.cat([logits.exp(), (-logits).exp()], -1)

    def _window(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        c = self.config
        n = c.n_heads // c.kv_heads
        k, v = per_query_head(n, keys.transpose(1, 2), values.transpose(1, 2))
        start = (c.window - 1 - position).clamp(min=0)
        return window_attention(q.transpose(1, 2), k, v, start, self.sinks).transpose(1, 2)
