"""A decoder that thinks again about some of its tokens: pass by pass, with low-rank weights from the second on."""

from pathlib import Path
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import checkpoint
from models.decoder.model import Decoder
from models.device import Where
from models.mixers.softmax import SoftmaxAttention
from models.positions import rotary
from models.thinking.attention import Slots, duo_causal_attention
from models.thinking.config import ThinkingConfig
from models.thinking.decider import Decider

Policy = Literal["never", "always", "decider"]
_ADAPTED = ("project", "out", "gate", "up", "down")


class Thought(NamedTuple):
    """What was said of every token, and how long it was thought about."""

    logits: Tensor  # (B, T, V): the sum over the passes a token had
    first: Tensor  # (B, T, V): of the first pass alone
    depth: Tensor  # (B, T) long: passes, 0 at padding
    again: Tensor  # (B, T): the decider's logit after the first pass


class ThinkingState(NamedTuple):
    """Slots by layer and pass, and how many tokens were read; rows that did not think have invalid slots."""

    slots: tuple[tuple[Slots, ...], ...]  # [layer][pass]
    position: Tensor  # (B,) long


class Delta(nn.Module):
    """(alpha / r) B A x, which starts at zero."""

    def __init__(self, like: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.a = nn.Parameter(like.weight.new_empty(rank, like.in_features))
        self.b = nn.Parameter(like.weight.new_zeros(like.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * F.linear(F.linear(x, self.a), self.b)


class ThinkAtHard(nn.Module):
    """Selective passes over a causal softmax decoder   (arXiv 2511.08577; from the authors' code, sheet section 2).

    Pass 0 is the decoder. A token that goes on is read once more: what is embedded is the mean of the likeliest tokens'
    embeddings under what was said so far, the weights have their low-rank part, the keys are those of all passes up to
    this one, and what it says is added to the logits. Parallel over positions: a decision depends on its own token's
    pass alone, and a pass sees no later one.
    """

    def __init__(self, config: ThinkingConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = Decoder(config.decoder)
        self.deltas = nn.ModuleList(
            nn.ModuleDict({name: Delta(linear, config.rank, config.alpha) for name, linear in linears.items()})
            for linears in map(self._linears, range(len(config.decoder.mixers)))
        )
        self.decider = Decider(config)

    @classmethod
    def of(cls, decoder: Decoder, config: ThinkingConfig) -> "ThinkAtHard":
        """With a trained decoder's weights in the first pass's place."""
        model = cls(config)
        model.decoder.load_state_dict(decoder.state_dict())
        return model.to(decoder.embedding.weight.device)

    def initial_state(self, batch: int) -> ThinkingState:
        weight, slots = self.decoder.embedding.weight, []
        for layer in self.decoder.every_layer():
            c = cast(SoftmaxAttention, layer.mixer).config
            k = weight.new_zeros(batch, 0, c.key_heads, c.head_width)
            nothing = Slots(k, k.clone(), torch.zeros_like(k[:, :, 0, 0], dtype=torch.long), k[:, :, 0, 0].bool())
            slots.append((nothing,) * self.config.max_depth)
        return ThinkingState(tuple(slots), torch.zeros(batch, dtype=torch.long, device=weight.device))

    def forward(
        self,
        tokens: Tensor,
        *,
        mask: Tensor | None = None,
        policy: Policy | Tensor = "decider",
        state: ThinkingState | None = None,
    ) -> tuple[Thought, ThinkingState]:
        """tokens (B, T), padded on the right by mask (B, T).

        `policy` says who thinks again: nobody, everybody as long as they may, whom the decider sends, or where it is
        True, a (B, T) bool (an oracle's labels). ValueError for any other.
        """
        batch, n_tokens = tokens.shape
        state = self.initial_state(batch) if state is None else state
        active = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        positions = state.position[:, None] + torch.arange(n_tokens, device=tokens.device)
        place = torch.arange(n_tokens, device=tokens.device).expand(batch, n_tokens)
        x, slots = self.decoder.embed(tokens), [list(layer) for layer in state.slots]
        total: Tensor | None = None
        depth, first, again = torch.zeros_like(tokens), None, None
        for d in range(self.config.max_depth):
            position = positions.gather(1, place)
            y, outputs = self._pass(x, position, active, slots, d)
            said = self.decoder.head(y)
            here = torch.zeros_like(said) if total is None else total
            total = said if total is None else _put(here, place, active, said)
            depth = depth.scatter_add(1, place, active.long())
            if d and d + 1 == self.config.max_depth:
                break
            wish = self.decider(outputs, _at(total, place))
            if first is None:
                first, again = total, wish
            goes_on = active & self._goes_on(policy, wish, place)
            if d + 1 == self.config.max_depth or not bool(goes_on.any()):
                break
            place, active = _packed(place, goes_on)
            x = self._soft(_at(total, place))
        assert total is not None
        assert first is not None
        assert again is not None
        n_read = active.new_full((batch,), n_tokens, dtype=torch.long) if mask is None else mask.sum(1)
        after = ThinkingState(tuple(tuple(layer) for layer in slots), state.position + n_read)
        return Thought(total, first, depth, again), after

    def step(
        self, tokens_t: Tensor, state: ThinkingState, *, policy: Policy | Tensor = "decider"
    ) -> tuple[Thought, ThinkingState]:
        """One token a row, (B,): a `Thought` without its time axis."""
        one = policy[:, None] if isinstance(policy, Tensor) else policy
        thought, state = self(tokens_t[:, None], policy=one, state=state)
        return Thought(*(z[:, 0] for z in thought)), state

    def save(self, folder: Path | str, *, dtype: torch.dtype | None = None) -> Path:
        return checkpoint.save(folder, self, self.config, dtype=dtype)

    @classmethod
    def load(cls, folder: Path | str, *, device: Where = None) -> "ThinkAtHard":
        """Raises CheckpointError."""
        return checkpoint.load(folder, cls, ThinkingConfig, device=device)

    def _goes_on(self, policy: Policy | Tensor, wish: Tensor, place: Tensor) -> Tensor:
        if isinstance(policy, Tensor):
            return policy.gather(1, place)
        if policy == "decider":
            return wish.sigmoid() > self.config.threshold
        if policy not in ("never", "always"):
            raise ValueError(f"policy is {policy!r}, expected never, always, decider, or a mask of tokens")
        return torch.full_like(place, policy == "always", dtype=torch.bool)

    def _soft(self, logits: Tensor) -> Tensor:
        """The mean embedding of the likeliest tokens, in float32 or wider until it is one."""
        wide = torch.promote_types(logits.dtype, torch.float32)
        weight = self.decoder.embedding.weight
        top = logits.to(wide).topk(min(self.config.top_k, logits.shape[-1]), -1)
        p = top.values.softmax(-1).to(weight.dtype).flatten(0, 1)
        # The bag never holds a vector for each of the likeliest: they would be k times the activations.
        x: Tensor = F.embedding_bag(top.indices.flatten(0, 1), weight, per_sample_weights=p, mode="sum")
        x = x.unflatten(0, logits.shape[:2])
        return self.decoder.config.embedding_scale * x

    def _pass(
        self, x: Tensor, position: Tensor, valid: Tensor, slots: list[list[Slots]], d: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Pass d over tokens (B, M, D) at positions (B, M): what the head reads, and the chosen layers' outputs."""
        outputs = []
        for i, layer in enumerate(self.decoder.every_layer()):
            mixer, delta = cast(SoftmaxAttention, layer.mixer), self._delta(i, d)
            c = mixer.config
            h = layer.mixer_norm(x)
            q, k, v = (z.unflatten(-1, (-1, c.head_width)) for z in delta("project", h).split(mixer.widths, -1))
            q, k = mixer.q_norm(q), mixer.k_norm(k)
            if c.positions == "rotary":
                q, k = rotary(q, position, c.rotary_base), rotary(k, position, c.rotary_base)
            slots[i][d] = slots[i][d].followed_by(Slots(k, v, position, valid))
            o = duo_causal_attention(q, position, slots[i][: d + 1])
            x = x + layer.mixer_after(delta("out", o.flatten(2)))
            h = layer.unit_norm(x)
            gate = delta("gate", h)
            gate = F.gelu(gate, approximate="tanh") if layer.unit.tanh else F.silu(gate)
            x = x + layer.unit_after(delta("down", gate * delta("up", h)))
            outputs.append(x)
        return self.decoder.norm(x), [outputs[i] for i in self.config.layers]

    def _linears(self, i: int) -> dict[str, nn.Linear]:
        layer = self.decoder.every_layer()[i]
        mixer = cast(SoftmaxAttention, layer.mixer)
        every = (mixer.project, mixer.out, layer.unit.gate, layer.unit.up, layer.unit.down)
        return dict(zip(_ADAPTED, every, strict=True))

    def _delta(self, i: int, d: int) -> "_Adapted":
        return _Adapted(self._linears(i), cast(nn.ModuleDict, self.deltas[i]) if d else None)


class _Adapted(NamedTuple):
    """A layer's linear parts by name, with their low-rank part in later passes."""

    linears: dict[str, nn.Linear]
    deltas: nn.ModuleDict | None

    def __call__(self, name: str, x: Tensor) -> Tensor:
        y: Tensor = self.linears[name](x)
        return y if self.deltas is None else y + self.deltas[name](x)


def _packed(place: Tensor, goes_on: Tensor) -> tuple[Tensor, Tensor]:
    """The places (B, M) of those that go on, on the left, and which of them are real."""
    n = int(goes_on.sum(1).max())
    order = goes_on.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :n]
    return place.gather(1, order), goes_on.gather(1, order)


def _at(total: Tensor, place: Tensor) -> Tensor:
    """What total (B, T, V) has at the places (B, M)."""
    return total.gather(1, place[..., None].expand(*place.shape, total.shape[-1]))


def _put(total: Tensor, place: Tensor, active: Tensor, said: Tensor) -> Tensor:
    """total (B, T, V) with what was said (B, M, V) added at the places (B, M) that are active."""
    added = said * active[..., None].to(said.dtype)
    return total.scatter_add(1, place[..., None].expand_as(added), added.to(total.dtype))
