"""`rapport bench mixers`: what each mixer costs beside softmax attention, in one run, at one width."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.bench.decode import decoding
from dialog.bench.timing import suite
from dialog.evaluation.recall import COMPARED, TIERS, train_recall
from models.device import Where, choose_device
from models.mixers import MIXERS
from models.mixers.base import SequenceMixer

LENGTHS = (256, 1024, 4096, 16_384)
PEER = "torch SDPA"


class PlainAttention(nn.Module):
    """The peer: causal multi-head attention as PyTorch has it, with a key cache for its step."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.project = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = (z.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for z in self.project(x).chunk(3, -1))
        return q, k, v

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.heads(x)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out

    def step(self, x_t: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k_t, v_t = self.heads(x_t[:, None])
        k, v = torch.cat([k, k_t], 2), torch.cat([v, v_t], 2)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).flatten(2))[:, 0], k, v


def measure(
    *,
    mixers: Sequence[str] | None = None,
    lengths: Sequence[int] = LENGTHS,
    d_model: int = 128,
    n_heads: int = 4,
    repeats: int = 5,
    longest: float = 5.0,
    recall: Sequence[str] = (),
    decode: Sequence[int] = (),
    device: Where = None,
) -> dict[str, Any]:
    """The object of `rapport bench mixers --json`.

    One row a mixer and length, batch 1, float32: seconds of a forward pass, of forward and backward, and of one step
    after that many tokens, each with its ratio to the peer's; parameters, bytes of state after that many tokens, and
    bytes kept for the backward pass. On a CPU seconds are the processor's, which other work does not lengthen. `ratio`
    is that of forward and backward. A mixer whose forward takes more than `longest` seconds is not asked for longer
    ones. `recall` names tiers of `dialog.evaluation.recall`: then every mixer, and the sheet's variants, is trained on
    them, which takes minutes each. `decode` names positions: see `dialog.bench.decode`.
    """
    where = choose_device(device)
    names = list(MIXERS) if mixers is None else list(mixers)
    unknown = sorted(set(names) - set(MIXERS) - set(COMPARED))
    if unknown:
        raise ValueError(f"there is no mixer {', '.join(unknown)}; there are {', '.join(MIXERS)}")
    if not set(recall) <= set(TIERS):
        raise ValueError(f"there is no tier {', '.join(set(recall) - set(TIERS))}; there are {', '.join(TIERS)}")
    if min((*lengths, *decode), default=1) < 1:
        raise ValueError(f"a sequence has at least one token, got a length of {min((*lengths, *decode))}")
    torch.manual_seed(0)
    plain = PlainAttention(d_model, n_heads).to(where)
    rows: list[dict[str, Any]] = []
    for name in names:
        if name in MIXERS:
            rows += _costs(name, plain, lengths, d_model, repeats, longest, where)
    for name in names:
        if decode and name in MIXERS and MIXERS[name][1](MIXERS[name][0](d_model=d_model)).streams:
            rows += decoding(name, decode, d_model, repeats, longest, where)
    for tier in recall:
        rows += _recall(tier, names, where)
    clock = {"clock": "processor seconds"} if where.type == "cpu" else {}
    return suite("mixers", rows, where=where, **clock)


def _costs(
    name: str,
    plain: PlainAttention,
    lengths: Sequence[int],
    d_model: int,
    repeats: int,
    longest: float,
    device: torch.device,
) -> Iterable[dict[str, Any]]:
    config, mixer_class = MIXERS[name]
    mixer = mixer_class(config(d_model=d_model)).to(device)
    for n_tokens in lengths:
        x = torch.randn(1, n_tokens, d_model, device=device)
        ids = torch.randint(3, (1, n_tokens), device=device) if mixer.takes_ids else None
        runs: list[Callable[[], Tensor]] = [partial(_first, mixer, x, ids), partial(plain, x)]
        forward = _beside(runs[0], runs[1], repeats, device)
        both = _beside(partial(_train, mixer, runs[0]), partial(_train, plain, runs[1]), repeats, device)
        row = {
            "name": f"{name}, T = {n_tokens}",
            "mixer": name,
            "T": n_tokens,
            "forward_seconds": forward[0],
            "forward_ratio": forward[0] / forward[1],
            "seconds": both[0],
            "peer": PEER,
            "peer_seconds": both[1],
            "ratio": both[0] / both[1],
            "parameters": sum(p.numel() for p in mixer.parameters()),
            "state_bytes": 4 * mixer.state_floats(n_tokens) if mixer.streams else None,
            "kept_bytes": _kept(runs[0], mixer),
        }
        if mixer.streams:
            step = _step(mixer, plain, x, ids, repeats, device)
            row |= {"step_seconds": step[0], "step_ratio": step[0] / step[1]}
        yield row
        if forward[0] > longest:
            return


def _first(mixer: SequenceMixer[Any], x: Tensor, ids: Tensor | None) -> Tensor:
    return mixer(x, ids=ids)[0]


def _train(module: nn.Module, forward: Callable[[], Tensor]) -> None:
    module.zero_grad(set_to_none=True)
    forward().square().mean().backward()


def _kept(forward: Callable[[], Tensor], module: nn.Module) -> int:
    """Bytes of the tensors that the backward pass of a call keeps, the parameters not counted."""
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    kept: dict[int, int] = {}

    def keep(z: Tensor) -> Tensor:
        kept[z.untyped_storage().data_ptr()] = z.untyped_storage().nbytes()
        return z

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda z: z):
        y = forward()
    del y
    return sum(size for place, size in kept.items() if place not in own)


@torch.no_grad()
def _step(
    mixer: SequenceMixer[Any], plain: PlainAttention, x: Tensor, ids: Tensor | None, repeats: int, device: torch.device
) -> tuple[float, float]:
    """Seconds of one token after x, ours and the peer's."""
    _, state = mixer(x, ids=ids)
    _, k, v = plain.heads(x)
    ids_t = None if ids is None else ids[:, -1]
    return _beside(
        lambda: mixer.step(x[:, -1], state, ids_t=ids_t), lambda: plain.step(x[:, -1], k, v), 4 * repeats, device
    )


def _beside(
    ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int, device: torch.device
) -> tuple[float, float]:
    """Median seconds of both, taking turns; once each before the clock starts."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    taken: tuple[list[float], list[float]] = ([], [])
    for i in range(repeats + 1):
        for run, seconds in zip((ours, theirs), taken, strict=True):
            _wait(device)
            start = clock()
            run()
            _wait(device)
            if i:
                seconds.append(clock() - start)
    return sorted(taken[0])[repeats // 2], sorted(taken[1])[repeats // 2]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _recall(tier: str, names: Sequence[str], device: Where) -> Iterable[dict[str, Any]]:
    """Recall of each mixer that can be asked, per cent, with softmax's in the same run."""
    asked = ["softmax"]
    for name in [*COMPARED, *names]:
        if name in COMPARED or (MIXERS[name][1].streams and not MIXERS[name][1].takes_ids):
            asked += [name] if name not in asked else []
    peer = 0.0
    for name in asked:
        trained = train_recall(name, TIERS[tier], device=device)
        peer = peer or trained.accuracy
        yield {
            "name": f"{name}, recall at {tier}",
            "mixer": name,
            "recall": trained.accuracy,
            "by_task": dict(trained.by_task),
            "reached_at_step": trained.reached_at,
            "steps": trained.steps,
            "seconds": trained.seconds,
            "state_floats": trained.model.backbone.state_floats(max(t.T for t in TIERS[tier].test)),
            "parameters": sum(p.numel() for p in trained.model.parameters()),
            "peer": "softmax",
            "ratio": trained.accuracy / max(peer, 1e-9),
        }
