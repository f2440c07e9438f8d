"""`rapport bench mixers`: what each mixer costs beside softmax attention, in one run, at one width."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.bench.decode import decoding
from dialog.bench.kept import Kept, Row
from dialog.bench.recall import check_equal, recall_rows
from dialog.bench.timing import kept_bytes, suite
from dialog.evaluation.recall import COMPARED, TIERS
from models.device import Where, choose_device
from models.mixers import MIXERS
from models.mixers.base import SequenceMixer

LENGTHS = (256, 1024, 4096, 16_384)
PEER = "torch SDPA"
PEER_UP_TO = 16_384
"""Tokens up to which the peer runs beside; from there on a mixer is compared with itself at fewer tokens."""

MOST_KEPT = 2**31
"""Bytes: where the backward pass would keep more than that, a row is of the forward pass alone."""


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
    equal: Sequence[str] = (),
    decode: Sequence[int] = (),
    keep: Path | None = None,
    device: Where = None,
) -> dict[str, Any]:
    """The object of `rapport bench mixers --json`.

    One row a mixer and length, batch 1, float32: seconds of a forward pass in evaluation, of forward and backward in
    training, and of one step after that many tokens, each with its ratio to the peer's; parameters, bytes of state
    after that many tokens, and bytes kept for the backward pass. On a CPU seconds are the processor's, which other work
    does not lengthen. `ratio` is that of forward and backward. Past 16,384 tokens no peer runs beside. A mixer whose
    forward takes more than `longest` seconds is not asked for its backward pass there, nor for longer sequences; nor
    for a backward pass that would keep more than 2 GB. `recall` names tiers of `dialog.evaluation.recall`: then every
    mixer, and the sheet's variants, is trained on them, which takes minutes each; with `equal` ("parameters", "state")
    at widths at which they are equal in that. `decode` names positions: see `dialog.bench.decode`. `keep` is a file for
    the rows: those it has are not measured again, so that a run may be cut and gone on with, or be made mixer by mixer.
    """
    where = choose_device(device)
    names = list(MIXERS) if mixers is None else list(mixers)
    unknown = sorted(set(names) - set(MIXERS) - set(COMPARED))
    if unknown:
        raise ValueError(f"there is no mixer {', '.join(unknown)}; there are {', '.join(MIXERS)}")
    if not set(recall) <= set(TIERS):
        raise ValueError(f"there is no tier {', '.join(set(recall) - set(TIERS))}; there are {', '.join(TIERS)}")
    check_equal(equal, recall)
    if min((*lengths, *decode), default=1) < 1:
        raise ValueError(f"a sequence has at least one token, got a length of {min((*lengths, *decode))}")
    common = {"suite": "mixers", "d_model": d_model, "device": where.type, "threads": torch.get_num_threads()}
    kept = Kept(keep, common)
    torch.manual_seed(0)
    plain = PlainAttention(d_model, n_heads).to(where)
    rows: list[Row] = []
    for name in names:
        if name in MIXERS:
            rows += _costs(name, plain, sorted(lengths), d_model, repeats, longest, where, kept)
    for name in names:
        if decode and name in MIXERS and MIXERS[name][1](MIXERS[name][0](d_model=d_model)).streams:
            rows += decoding(name, decode, d_model, repeats, longest, where, kept)
    for tier in recall:
        variants = COMPARED if mixers is None else ()
        rows += recall_rows(tier, [*variants, *names], equal, where, kept)
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
    kept: Kept,
) -> Iterable[Row]:
    config, mixer_class = MIXERS[name]
    mixer = mixer_class(config(d_model=d_model)).to(device)
    before: list[Row] = []
    for n_tokens in lengths:
        measured = partial(_cost, name, mixer, plain, n_tokens, d_model, repeats, longest, device, before)
        before.append(kept.row(f"{name}, T = {n_tokens}", measured))
        yield before[-1]
        if before[-1]["forward_seconds"] > longest:
            return


def _cost(
    name: str,
    mixer: SequenceMixer[Any],
    plain: PlainAttention,
    n_tokens: int,
    d_model: int,
    repeats: int,
    longest: float,
    device: torch.device,
    before: Sequence[Row],
) -> Row:
    """One mixer at one length; `before` are its rows at shorter ones."""
    x = torch.randn(1, n_tokens, d_model, device=device)
    ids = torch.randint(3, (1, n_tokens), device=device) if mixer.takes_ids else None
    ours: Callable[[], Tensor] = partial(_first, mixer, x, ids)
    theirs: Callable[[], Tensor] | None = partial(plain, x) if n_tokens <= PEER_UP_TO else None
    row: Row = {"mixer": name, "T": n_tokens, "parameters": sum(p.numel() for p in mixer.parameters())}
    row["state_bytes"] = 4 * mixer.state_floats(n_tokens) if mixer.streams else None
    mixer.eval()  # what looks into few blocks, or learns its clusters, does so in one of the two alone
    with torch.no_grad():
        row |= _named("forward_", *_beside(ours, theirs, repeats, device))
    mixer.train()
    if row["forward_seconds"] <= longest and _will_keep(n_tokens, before) <= MOST_KEPT:
        row["kept_bytes"] = kept_bytes(ours, without=mixer.parameters())
        both = _beside(
            partial(_train, mixer, ours), None if theirs is None else partial(_train, plain, theirs), repeats, device
        )
        row |= _named("", *both)
    if theirs is not None:
        row["peer"] = PEER
    mixer.eval()
    if mixer.streams:
        row |= _named("step_", *_step(mixer, None if theirs is None else plain, x, ids, repeats, device))
    return row


def _named(prefix: str, ours: float, theirs: float | None) -> Row:
    """Seconds, and the ratio where a peer ran beside."""
    if theirs is None:
        return {f"{prefix}seconds": ours}
    return {f"{prefix}seconds": ours, f"{prefix}peer_seconds": theirs, f"{prefix}ratio": ours / theirs}


def _will_keep(n_tokens: int, before: Sequence[Row]) -> float:
    """Bytes to expect for the backward pass, as they have grown so far; squared where there is one row alone."""
    known = [(row["T"], row["kept_bytes"]) for row in before if "kept_bytes" in row]
    if not known:
        return 0.0 if not before else math.inf
    (T, size), power = known[-1], 2.0
    if len(known) > 1:
        power = math.log(size / known[-2][1]) / math.log(T / known[-2][0])
    return float(size * (n_tokens / T) ** power)


def _first(mixer: SequenceMixer[Any], x: Tensor, ids: Tensor | None) -> Tensor:
    return mixer(x, ids=ids)[0]


def _train(module: nn.Module, forward: Callable[[], Tensor]) -> None:
    module.zero_grad(set_to_none=True)
    forward().square().mean().backward()


@torch.no_grad()
def _step(
    mixer: SequenceMixer[Any],
    plain: PlainAttention | None,
    x: Tensor,
    ids: Tensor | None,
    repeats: int,
    device: torch.device,
) -> tuple[float, float | None]:
    """Seconds of one token after x, ours and the peer's."""
    _, state = mixer(x, ids=ids)
    ids_t = None if ids is None else ids[:, -1]
    theirs: Callable[[], Any] | None = None
    if plain is not None:
        _, k, v = plain.heads(x)
        theirs = partial(plain.step, x[:, -1], k, v)
    return _beside(lambda: mixer.step(x[:, -1], state, ids_t=ids_t), theirs, 4 * repeats, device)


def _beside(
    ours: Callable[[], Any], theirs: Callable[[], Any] | None, repeats: int, device: torch.device
) -> tuple[float, float | None]:
    """Median seconds of both, taking turns. The first call does not count, unless it took above a second."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    runs = [ours] if theirs is None else [ours, theirs]
    taken: list[list[float]] = [[] for _ in runs]
    for i in range(repeats + 1):
        for run, seconds in zip(runs, taken, strict=True):
            if i == repeats and len(seconds) == repeats:
                continue
            _wait(device)
            start = clock()
            run()
            _wait(device)
            spent = clock() - start
            if i or spent > 1.0:
                seconds.append(spent)
    medians = [sorted(seconds)[len(seconds) // 2] for seconds in taken]
    return medians[0], medians[1] if theirs is not None else None


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
