"""The ops `rapport bench kernels` measures, each at one size, with what it could be compared with."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.attention import Pattern, Structure, attention
from kernels.backend import Backend
from kernels.crf import linear_chain, log_partition, skip_chain, viterbi
from kernels.gla import gated_linear_attention, value_gated_attention
from kernels.landmark import Blocks, landmark_attention
from kernels.neural_memory import Fast, Gates, Rule, Squared, neural_memory
from kernels.prefix_softmax import prefix_softmax
from kernels.rat import chunk_attention, chunk_scan
from kernels.rnn import dialog_gru, gru, highway, link, no_turns
from kernels.scan import linear_scan
from kernels.taps import taps
from kernels.taylor import n_features, taylor_attention

Run = Callable[..., Any]
NOTHING_MORE = Structure()


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    name: str
    shape: str
    inputs: tuple[Tensor, ...]
    """What `ours` and every peer is called with; those that want a gradient say so."""
    ours: Callable[[Backend], Run]
    peers: Mapping[str, Run]
    """On a GPU, beside the compiled PyTorch version: by name. The quickest of all is the row's peer."""
    n_bytes: float
    """Least traffic of a forward pass: every input read and every output written once."""
    flops: float
    """Of a forward pass, as the op's own chunked form does them."""
    beside: Mapping[str, Run] = field(default_factory=dict)
    """On a CPU, in the reference's place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How large the sequence ops are run."""

    B: int
    H: int
    T: int
    K: int
    dtype: torch.dtype
    device: torch.device

    @property
    def shape(self) -> str:
        return f"B={self.B} H={self.H} T={self.T} K={self.K} {str(self.dtype).removeprefix('torch.')}"

    def randn(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.randn(*shape, dtype=dtype or self.dtype, device=self.device).requires_grad_()

    def heads(self, n: int) -> list[Tensor]:
        """(B, H, T, K) tensors."""
        return [self.randn(self.B, self.H, self.T, self.K) for _ in range(n)]

    @property
    def numbers(self) -> int:
        """In one of those."""
        return self.B * self.H * self.T * self.K


def cases(size: Size) -> Iterator[Case]:
    """Every op, in the order of the tree."""
    yield from _attention(size)
    yield from _recurrences(size)
    yield from _rat(size)
    yield from _memories(size)
    yield from _networks(size)
    yield from _dialogues(size)


def _attention(s: Size) -> Iterator[Case]:
    q, k, v = s.heads(3)
    element = q.element_size()
    ids = torch.randint(3, (s.B, s.T), device=s.device)
    whole = 4 * s.numbers * s.T / 2  # two matmuls over half of the scores
    window = min(128, s.T // 2)

    def of(pattern: Pattern, structure: Structure = NOTHING_MORE) -> Callable[[Backend], Run]:
        return lambda backend: lambda q, k, v: attention(q, k, v, pattern, structure, backend=backend)

    def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    common: dict[str, Any] = {"inputs": (q, k, v), "shape": s.shape, "n_bytes": 4.0 * s.numbers * element}
    yield Case(name="softmax, causal", ours=of(Pattern()), peers={"torch SDPA": sdpa}, flops=whole, **common)
    yield Case(
        name=f"softmax, window {window}",
        ours=of(Pattern(window=window)),
        peers={} if s.device.type == "cpu" else {"FlexAttention": _flex(s, window, None)},
        flops=4 * s.numbers * window,
        **common,
    )
    yield Case(
        name="softmax, same id",
        ours=of(Pattern(only="same"), Structure(ids=ids)),
        peers={} if s.device.type == "cpu" else {"FlexAttention": _flex(s, None, ids)},
        flops=whole,
        **common,
    )
    bias = torch.full((1, 1, 1), -math.log(s.T), device=s.device)
    yield Case(
        name="sigmoid, bias -log n",
        ours=of(Pattern(kind="sigmoid"), Structure(offset=bias)),
        peers={},
        flops=whole,
        **common,
    )


def _flex(s: Size, window: int | None, ids: Tensor | None) -> Run:
    """PyTorch's FlexAttention with the same mask."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def seen(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        allowed = i >= j
        if window is not None:
            allowed = allowed & (i - j <= window)
        if ids is not None:
            allowed = allowed & (ids[b, i] == ids[b, j])
        return allowed

    mask = create_block_mask(seen, s.B if ids is not None else None, None, s.T, s.T, device=str(s.device))
    compiled = torch.compile(flex_attention)
    return lambda q, k, v: compiled(q, k, v, block_mask=mask)


def _recurrences(s: Size) -> Iterator[Case]:
    width = s.H * s.K
    a = torch.rand(s.B, s.T, width, device=s.device).requires_grad_()
    yield Case(
        name="linear scan",
        shape=f"B={s.B} T={s.T} D={width} float32",
        inputs=(a, s.randn(s.B, s.T, width, dtype=torch.float32)),
        ours=lambda backend: lambda a, b: linear_scan(a, b, backend=backend),
        peers={},
        n_bytes=12.0 * a.numel(),
        flops=2.0 * a.numel(),
    )
    q, k, v = s.heads(3)
    element = q.element_size()
    chunk = 64
    for name, channels in (("a channel", s.K), ("a head", 1)):
        log_f = F.logsigmoid(torch.randn(s.B, s.H, s.T, channels, device=s.device)).div(16).requires_grad_()
        peers: dict[str, Run] = {}
        if s.device.type == "cuda" and channels > 1 and find_spec("fla"):
            chunk_gla = import_module("fla.ops.gla").chunk_gla  # the public kernel, where somebody has installed it
            peers["flash-linear-attention"] = lambda q, k, v, f, g=chunk_gla: g(
                *(z.transpose(1, 2) for z in (q, k, v, f)), scale=1.0
            )
        yield Case(
            name=f"gated linear attention, a gate {name}",
            shape=s.shape,
            inputs=(q, k, v, log_f),
            ours=lambda backend: lambda q, k, v, f: gated_linear_attention(q, k, v, f, backend=backend)[0],
            peers=peers,
            n_bytes=4.0 * s.numbers * element + 4.0 * log_f.numel(),
            flops=s.numbers * (4.0 * s.K + 2.0 * chunk),
        )
    log_g = F.logsigmoid(torch.randn(s.B, s.H, s.T, s.K, device=s.device)).div(16).requires_grad_()
    yield Case(
        name="linear attention, a gate a value channel",
        shape=s.shape,
        inputs=(q, k, v, log_g),
        ours=lambda backend: lambda q, k, v, g: value_gated_attention(q, k, v, g, backend=backend)[0],
        peers={},
        n_bytes=4.0 * s.numbers * element + 4.0 * log_g.numel(),
        flops=s.numbers * (4.0 * s.K + 2.0 * chunk),
    )
    one = [z[:, :, :1].detach() for z in (q, k, v)]
    S = torch.randn(s.B, s.H, s.K, s.K, device=s.device)
    yield Case(
        name="gated linear attention, one step",
        shape=f"B={s.B} H={s.H} K={s.K}",
        inputs=(*one, -torch.rand(s.B, s.H, 1, s.K, device=s.device), S),
        ours=lambda backend: lambda *args: gated_linear_attention(*args, backend=backend)[0],
        peers={},
        n_bytes=8.0 * S.numel(),
        flops=5.0 * S.numel(),
    )
    scores = s.randn(s.B, s.H, s.T, dtype=torch.float32)
    yield Case(
        name="prefix softmax",
        shape=s.shape,
        inputs=(scores, v),
        ours=lambda backend: lambda scores, v: prefix_softmax(scores, v, backend=backend)[0],
        peers={},
        n_bytes=2.0 * s.numbers * element + 4.0 * scores.numel(),
        flops=2.0 * chunk * s.numbers,
    )
    narrow = 16  # keys, as `softmax_rnn` has them
    q, k = (s.randn(s.B, s.H, s.T, narrow) for _ in range(2))
    yield Case(
        name="Taylor attention, order 2",
        shape=f"B={s.B} H={s.H} T={s.T} K={narrow} V={s.K} {str(s.dtype).removeprefix('torch.')}",
        inputs=(q, k, v),
        ours=lambda backend: lambda q, k, v: taylor_attention(q, k, v, order=2, backend=backend)[0],
        peers={},
        n_bytes=2.0 * s.numbers * element + 2.0 * q.numel() * element,
        flops=s.numbers * (4.0 * n_features(narrow, 2) + chunk),
    )


def _rat(s: Size) -> Iterator[Case]:
    size = 16
    k, v, g = (s.randn(s.B, s.T, s.H, s.K) for _ in range(3))
    element = v.element_size()
    phase = torch.zeros(s.B, dtype=torch.long, device=s.device)
    before = torch.zeros(s.B, s.H, s.K, device=s.device)
    yield Case(
        name=f"RAT, averages in chunks of {size}",
        shape=s.shape,
        inputs=(k, v, g),
        ours=lambda backend: (
            lambda k, v, g: torch.cat(chunk_scan(k, v, g.sigmoid(), size, phase, before, before, backend=backend), 2)
        ),
        peers={},
        n_bytes=s.numbers * (3.0 * element + 8.0),
        flops=8.0 * s.numbers,
    )
    q, k_own, v_own = (s.randn(s.B, s.T, s.H, s.K) for _ in range(3))
    k_ends, v_ends = (s.randn(s.B, s.T // size, s.H, s.K) for _ in range(2))
    end = (torch.arange(s.T, device=s.device) // size).expand(s.B, -1)
    yield Case(
        name=f"RAT, attention between chunks of {size}",
        shape=s.shape,
        inputs=(q, k_own, v_own, k_ends, v_ends),
        ours=lambda backend: lambda q, k, v, ks, vs: chunk_attention(q, k, v, ks, vs, phase, end, backend=backend),
        peers={},
        n_bytes=s.numbers * element * (4.0 + 2.0 / size),
        flops=4.0 * s.numbers * s.T / size / 2,
    )


def _memories(s: Size) -> Iterator[Case]:
    """What reads in blocks, what learns as it reads, and what hears a few frames back."""
    q, k, v = s.heads(3)
    block, chunk = min(32, s.T), min(16, s.T)
    marks, place = s.randn(s.B, s.H, s.T, s.T // block), torch.arange(s.T, device=s.device).expand(s.B, -1)
    element = q.element_size()
    yield Case(
        name=f"landmark attention, blocks of {block}",
        shape=s.shape,
        inputs=(q, k, v, marks),
        ours=lambda backend: (
            lambda q, k, v, marks: landmark_attention(q, k, v, marks, place, Blocks(block), backend=backend)
        ),
        peers={},
        n_bytes=4.0 * s.numbers * element + marks.numel() * element,
        flops=2.0 * s.numbers * s.T,
    )
    first = [torch.randn(s.B, s.H, s.K, s.K, device=s.device) * s.K**-0.5 for _ in range(2)]
    zeros, start = (torch.zeros_like(w) for w in first), torch.zeros(s.B, dtype=torch.long, device=s.device)
    memory = Fast((first[0], first[1]), tuple(zeros), (first[0], first[1]), start)
    gates = Gates(*(-torch.rand(s.B, s.H, s.T, device=s.device) / 16 for _ in range(3)))
    gates = gates._replace(step=-gates.step)
    rule = Rule(error=Squared(), chunk=chunk)
    yield Case(
        name=f"neural memory of two layers, chunks of {chunk}",
        shape=s.shape,
        inputs=(q, k, v),
        # The gates go in the state's dtype, and the state in the inputs' or wider.
        ours=lambda backend: lambda q, k, v: neural_memory(q, k, v, gates, _as(memory, q), rule, backend=backend)[0],
        peers={},
        n_bytes=4.0 * s.numbers * element,
        flops=s.numbers * (20.0 * s.K + 8.0 * chunk),
    )
    width, n_taps = s.H * s.K, 5
    frames = s.randn(s.B, s.T, width)
    yield Case(
        name="dilated taps",
        shape=f"B={s.B} T={s.T} D={width} taps={n_taps} dilation=2 {str(s.dtype).removeprefix('torch.')}",
        inputs=(frames, s.randn(width, n_taps)),
        ours=lambda backend: lambda u, w: taps(u, w, 2, backend=backend),
        peers={"cuDNN": lambda u, w: F.conv1d(u.mT, w[:, None], dilation=2, groups=len(w)).mT},
        n_bytes=2.0 * frames.numel() * element,
        flops=2.0 * n_taps * frames.numel(),
    )


def _as(memory: Fast, x: Tensor) -> Fast:
    wide = torch.promote_types(x.dtype, torch.float32)
    weights, momentum, anchor = (tuple(z.to(wide) for z in part) for part in memory[:3])
    return Fast(weights, momentum, anchor, memory.phase)


def _networks(s: Size) -> Iterator[Case]:
    """Recurrences that no scan gives."""
    width, depth = s.H * s.K, 3
    start = torch.zeros(s.B, width, device=s.device)
    recurrent, bias = recurrent_weights(s, 3), torch.zeros(width, device=s.device).requires_grad_()
    peer = nn.GRU(width, width, batch_first=True).to(s.device)
    x = torch.randn(s.B, s.T, width, device=s.device)
    common: dict[str, Any] = {"shape": f"B={s.B} T={s.T} N={width} float32", "n_bytes": 4.0 * s.B * s.T * width * 4}
    yield Case(
        name="GRU's recurrence",
        inputs=(s.randn(s.B, s.T, 3 * width, dtype=torch.float32), recurrent, bias),
        ours=lambda backend: lambda u, w, b: gru(u, w, b, start, backend=_plain(backend)),
        peers={"cuDNN GRU": lambda *_: peer(x)[0]} if s.device.type == "cuda" else {},
        flops=6.0 * s.B * s.T * width * width,
        **common,
    )
    layers = torch.stack([recurrent_weights(s, 2) for _ in range(depth)]).detach().requires_grad_()
    biases = torch.zeros(depth - 1, 2 * width, device=s.device).requires_grad_()
    yield Case(
        name=f"highway of {depth} layers a step",
        inputs=(s.randn(s.B, s.T, 2 * width, dtype=torch.float32), layers, biases),
        ours=lambda backend: lambda u, w, b: highway(u, w, b, start, backend=_plain(backend)),
        peers={},
        flops=4.0 * depth * s.B * s.T * width * width,
        **common,
    )


def _plain(backend: Backend) -> Backend:
    """For ops without a kernel."""
    return "torch" if backend == "triton" else backend


def recurrent_weights(s: Size, n: int) -> Tensor:
    """(n N, N), as long as a start keeps them: orthogonal blocks."""
    width = s.H * s.K
    blocks = [nn.init.orthogonal_(torch.empty(width, width)) for _ in range(n)]
    return torch.cat(blocks).to(s.device).requires_grad_()


def _dialogues(s: Size) -> Iterator[Case]:
    """The conversation ops, at a conversation's size: 64 utterances, as many rows as the sequence ops have heads."""
    B, T, width, n_labels = s.B * s.H, 64, 128, 7
    device = s.device
    ids = torch.randint(3, (B, T), device=device)
    lengths = torch.full((B,), T, device=device)
    links, _, _ = link(ids, lengths, no_turns(B, 2, device))

    def random(*shape: int) -> Tensor:
        made: Tensor = torch.randn(*shape, device=device) * width**-0.5
        return made.requires_grad_()

    peer = nn.GRU(width, width, batch_first=True).to(device)
    x = torch.randn(B, T, width, device=device)
    weights = (random(3 * width, width), random(3 * width), random(3 * width, width), random(3 * width))
    p_inertia, p_contagion = links.inertia.float(), links.contagion.float()
    memory = torch.zeros(B, 2, width, device=device)

    def recurrence(backend: Backend) -> Run:
        def run(gates: Tensor, w_c: Tensor, b_c: Tensor, w_i: Tensor, b_i: Tensor) -> Tensor:
            where = (links.source, p_inertia, p_contagion, memory)
            return dialog_gru(gates, w_c, b_c, w_i, b_i, *where, backend=backend)

        return run

    yield Case(
        name="DialogGRU's recurrence",
        shape=f"B={B} T={T} H={width} float32",
        inputs=(random(B, T, 4 * width), *weights),
        ours=recurrence,
        # A plain GRU, the easier problem: no second state, no links.
        peers={"cuDNN GRU": lambda *_: peer(x)[0]} if device.type == "cuda" else {},
        n_bytes=4.0 * B * T * width * 5,
        flops=2.0 * B * T * 6 * width * width,
    )
    emissions = torch.randn(B, T, n_labels, device=device).requires_grad_()
    mask = torch.ones(B, T, dtype=torch.bool, device=device)
    start, last = torch.randn(n_labels, device=device), torch.randn(n_labels, device=device)
    same, other = (torch.randn(n_labels, n_labels, device=device) for _ in range(2))
    chains = {
        "skip-chain": skip_chain(ids, mask, start, last, same, other),
        "linear-chain": linear_chain(mask, start, last, same),
    }
    for name, chain in chains.items():
        cubes = n_labels ** (3 if name == "skip-chain" else 2)
        common: dict[str, Any] = {
            "shape": f"B={B} N={T} L={n_labels}",
            "peers": {},
            "n_bytes": 4.0 * emissions.numel(),
            "flops": 3.0 * B * T * cubes,
        }
        yield Case(
            name=f"{name} CRF, log-partition",
            inputs=(emissions,),
            ours=lambda backend, c=chain: lambda e: log_partition(e, c, backend=backend),  # type: ignore[misc]
            **common,
        )
        yield Case(
            name=f"{name} CRF, Viterbi",
            inputs=(emissions.detach(),),
            ours=lambda backend, c=chain: lambda e: viterbi(e, c, backend=backend)[1],  # type: ignore[misc]
            **common,
        )
