"""Attention under every structure: block by block, and in Triton, against the reference."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.attention import Pattern, Structure, attention, blockwise
from kernels.backend import Backend, BackendUnavailable, use_backend
from tests.kernels.accuracy import assert_as_accurate

BATCH, WIDTH, V_WIDTH = 2, 6, 5


def arguments(
    n_queries: int, n_keys: int, *structure: str, n_heads: int = 2, n_groups: int = 2, causal: bool = True
) -> dict[str, Tensor]:
    """q, k, v and the parts of structure that are named, float64."""
    shapes = {
        "q": (BATCH, n_heads, n_queries, WIDTH),
        "k": (BATCH, n_groups, n_keys, WIDTH),
        "v": (BATCH, n_groups, n_keys, V_WIDTH),
        "k_other": (BATCH, n_groups, n_keys, WIDTH),
        "relative": (2 if "ids" in structure else 1, n_heads, 6 if causal else 9),
        "bias": (1, n_heads, n_queries, n_keys),
        "offset": (BATCH, 1, n_queries),
    }
    parts = {name: torch.randn(shapes[name], dtype=torch.float64) for name in ("q", "k", "v")}
    for name in structure:
        if name == "ids":
            parts[name] = torch.randint(0, 2, (BATCH, n_keys)) * 2**40
        elif name == "start":
            parts[name] = torch.tensor([0, min(3, n_keys - 1)])
        elif name == "end":
            parts[name] = torch.tensor([n_keys, max(1, n_keys - 4)])
        elif name == "allowed":
            parts[name] = torch.rand(BATCH, 1, n_queries, n_keys) > 0.3
        else:
            parts[name] = torch.randn(shapes[name], dtype=torch.float64)
    return parts


def op(names: list[str], pattern: Pattern, backend: Backend) -> Callable[..., Tensor]:
    """attention as a function of the parts in this order."""

    def run(*parts: Tensor) -> Tensor:
        named = dict(zip(names, parts, strict=True))
        q, k, v = (named.pop(name) for name in ("q", "k", "v"))
        return attention(q, k, v, pattern, Structure(**named), backend=backend)

    return run


def case(name: str, pattern: dict[str, Any], *shape: Any, **sizes: Any) -> Any:
    causal = pattern.get("causal", True)
    return pytest.param(Pattern(**pattern), lambda: arguments(*shape, causal=causal, **sizes), id=name)


IDENTITY = ("ids", "k_other", "relative")
CASES = [
    case("softmax, one token", {}, 1, 1, n_heads=1, n_groups=1),
    case("softmax, a cache not yet full", {}, 1, 7, "start", n_groups=1),
    case("softmax, three blocks", {}, 33, 33, n_heads=1, n_groups=1),
    case("softmax, grouped keys and a ring", {"window": 4}, 7, 11, "start", n_heads=4),
    case("softmax, identity, live", {"window": 5}, 18, 20, *IDENTITY, "start"),
    case("softmax, identity, whole, padded", {"causal": False, "window": 4}, 18, 18, *IDENTITY, "end"),
    case("softmax, everything added", {"scale": 0.3}, 7, 7, "bias", "allowed", "offset", "relative"),
    case("softmax, only others", {"only": "other", "causal": False}, 7, 7, "ids", "end"),
    case("sigmoid", {"kind": "sigmoid"}, 18, 18, "offset", n_groups=1),
    case("sigmoid, one key", {"kind": "sigmoid"}, 1, 1, "offset"),
    case(
        "sigmoid, only the same, whole",
        {"kind": "sigmoid", "only": "same", "causal": False, "window": 5},
        7,
        7,
        "ids",
        "end",
    ),
    case("exp", {"kind": "exp", "ceiling": 1.0}, 7, 7),
    case("softmax, full tiles between a window's edges", {"window": 38}, 34, 52, "start", n_heads=1, n_groups=1),
    case("softmax, far distances that count as one", {"causal": False}, 33, 33, "relative", n_heads=1, n_groups=1),
    case("softmax, a scale below zero", {"scale": -0.5}, 17, 17, n_heads=1, n_groups=1),
    case("exp, whole, padded", {"kind": "exp", "causal": False}, 18, 36, "end", n_heads=1, n_groups=1),
]


@pytest.mark.parametrize(("pattern", "make"), CASES)
@pytest.mark.parametrize("block", [5, 256])
def test_block_by_block_equals_all_at_once(
    monkeypatch: pytest.MonkeyPatch, pattern: Pattern, make: Callable[[], dict[str, Tensor]], block: int
) -> None:
    monkeypatch.setattr(blockwise, "BLOCK", block)
    parts = make()
    leaves = [z.requires_grad_() for z in parts.values() if z.is_floating_point()]
    results = []
    for backend in ("torch", "reference"):
        o = op(list(parts), pattern, backend)(*parts.values())  # type: ignore[arg-type]
        weight = torch.linspace(-1, 1, o.numel(), dtype=o.dtype).view_as(o)
        results.append([o, *torch.autograd.grad((o * weight).sum(), leaves)])
    for fast, plain in zip(*results, strict=True):
        assert fast.isfinite().all()
        torch.testing.assert_close(fast, plain)


@pytest.mark.parametrize(("pattern", "make"), CASES)
def test_the_kernel_is_as_accurate_in_single_precision(
    pattern: Pattern, make: Callable[[], dict[str, Tensor]], device: torch.device
) -> None:
    check(pattern, make(), torch.float32, device)


@pytest.mark.parametrize(("pattern", "make"), CASES[3:6] + CASES[8:9])
def test_the_kernel_is_as_accurate_in_half_precision(
    pattern: Pattern, make: Callable[[], dict[str, Tensor]], device: torch.device
) -> None:
    check(pattern, make(), torch.float16, device)


@pytest.mark.gpu
@pytest.mark.parametrize(("pattern", "make"), CASES)
def test_the_kernel_is_as_accurate_in_bfloat16(
    pattern: Pattern, make: Callable[[], dict[str, Tensor]], device: torch.device
) -> None:
    check(pattern, make(), torch.bfloat16, device)


def check(pattern: Pattern, parts: dict[str, Tensor], dtype: torch.dtype, device: torch.device) -> None:
    values = [z.to(device, dtype) if z.is_floating_point() else z.to(device) for z in parts.values()]
    names = list(parts)
    assert_as_accurate(op(names, pattern, "triton"), op(names, pattern, "reference"), values)


@pytest.mark.parametrize(
    ("pattern", "n_queries", "names"),
    [
        (Pattern(), 1, ()),
        (Pattern(window=60), 3, ("start", "relative")),
        (Pattern(kind="sigmoid"), 2, ("end", "offset")),
        (Pattern(causal=False, only="other"), 1, ("ids", "k_other")),
    ],
    ids=["softmax", "a window", "sigmoid", "identity"],
)
def test_few_queries_split_their_keys_over_programs(
    monkeypatch: pytest.MonkeyPatch, pattern: Pattern, n_queries: int, names: tuple[str, ...], device: torch.device
) -> None:
    from kernels.attention import triton_kernel

    monkeypatch.setattr(triton_kernel, "LEAST_BLOCKS", 1)
    parts = arguments(n_queries, 75, *names, n_groups=1)
    if "start" in names:
        parts["start"] = torch.tensor([0, 70])  # the first parts of the second row hold nothing
    split, base, span = triton_kernel._split(parts["q"], parts["k"], pattern, 4, 16)
    assert split >= 2
    assert base + split * span >= 75
    check(pattern, parts, torch.float32, device)


def test_a_query_whose_every_part_holds_nothing_answers_zero(
    monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    from kernels.attention import triton_kernel

    monkeypatch.setattr(triton_kernel, "LEAST_BLOCKS", 1)
    q, k, v = (z.to(device, torch.float32) for z in arguments(1, 40).values())
    end = torch.tensor([0, 40], device=device)
    o = attention(q, k, v, structure=Structure(end=end), backend="triton")
    assert not o[0].any()
    torch.testing.assert_close(o[1], attention(q, k, v, structure=Structure(end=end), backend="reference")[1])


@pytest.mark.parametrize("backend", ["torch", "reference", "triton"])
def test_a_query_that_sees_nobody_answers_zero(backend: Backend) -> None:
    parts = {name: z.float() for name, z in arguments(3, 3).items()}
    q = parts.pop("q").requires_grad_()
    allowed = torch.ones(1, 1, 3, 3, dtype=torch.bool)
    allowed[:, :, 1] = False
    o = attention(q, **parts, structure=Structure(allowed=allowed), backend=backend)
    assert not o[:, :, 1].any()
    o.sum().backward()
    assert q.grad is not None
    assert q.grad.isfinite().all()
    assert not q.grad[:, :, 1].any()


def test_the_kernel_says_what_it_lacks() -> None:
    parts = arguments(3, 3)
    with pytest.raises(BackendUnavailable, match="float64"):
        attention(**parts, backend="triton")
    wide = {name: torch.zeros(1, 1, 1, 300) for name in parts}
    with pytest.raises(BackendUnavailable, match="300"), use_backend("triton"):
        attention(**wide)


@pytest.mark.parametrize(("kind", "n_groups"), [("softmax", 1), ("sigmoid", 2)])
def test_the_kernel_drops_weights_and_its_gradients_know_which(kind: Any, n_groups: int, device: torch.device) -> None:
    """Values of an identity matrix show which weights were kept; the gradients are those of attention with them."""
    n = 18
    q = torch.randn(BATCH, 2, n, WIDTH, device=device)
    k = torch.randn(BATCH, n_groups, n, WIDTH, device=device)
    pattern = Pattern(kind=kind, dropout=0.4)

    def dropped(q: Tensor, k: Tensor, v: Tensor, seed: int = 3) -> Tensor:
        torch.manual_seed(seed)
        return attention(q, k, v, pattern, backend="triton")

    seen = torch.eye(n, device=device).expand(BATCH, n_groups, -1, -1)
    weights = attention(q, k, seen, Pattern(kind=kind), backend="reference")
    keep = (dropped(q, k, seen) / weights.masked_fill(weights == 0, 1.0)).detach()  # (B, H, T, S)
    real = torch.ones(n, n, dtype=torch.bool, device=device).tril()
    at_zero = keep[..., real].abs() < 1e-3
    assert ((keep[..., real] - 1 / 0.6).abs() < 1e-3)[~at_zero].all()
    assert at_zero.float().mean().item() == pytest.approx(0.4, abs=0.05)
    assert not torch.equal(at_zero[0, 0], at_zero[0, 1])
    assert torch.equal(dropped(q, k, seen), dropped(q, k, seen))
    assert not torch.equal(dropped(q, k, seen), dropped(q, k, seen, seed=4))

    def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.repeat_interleave(2 // n_groups, 1).mT / WIDTH**0.5
        made = scores.masked_fill(~real, -torch.inf).softmax(-1) if kind == "softmax" else scores.sigmoid() * real
        return (made * keep.round(decimals=3).bool() / 0.6) @ v.repeat_interleave(2 // n_groups, 1)

    v = torch.randn(BATCH, n_groups, n, V_WIDTH, device=device)
    assert_as_accurate(dropped, plain, [q, k, v])


def test_what_does_not_fit_is_refused() -> None:
    parts = arguments(3, 4)
    q, k, v = parts.values()
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("2 query heads are not a multiple of 3", {"k": k[:, [0, 0, 0]], "v": v[:, [0, 0, 0]]}),
        ("do not fit together", {"v": v[:, :, 1:]}),
        ("ids is None", {"pattern": Pattern(only="same")}),
        (r"ids is \(2, 3\)", {"structure": Structure(ids=torch.zeros(2, 3))}),
        (r"start is \(3,\)", {"structure": Structure(start=torch.zeros(3))}),
        ("k_other is", {"structure": Structure(ids=torch.zeros(2, 4), k_other=k[:, :, 1:])}),
        ("relative is", {"structure": Structure(relative=torch.zeros(1, 3, 4))}),
        ("odd number", {"structure": Structure(relative=torch.zeros(1, 2, 4)), "pattern": Pattern(causal=False)}),
        ("bias is", {"structure": Structure(bias=torch.zeros(2, 2, 3, 1))}),
        ("offset is", {"structure": Structure(offset=torch.zeros(2, 2, 4))}),
    ]
    for message, changes in wrong:
        with pytest.raises(ValueError, match=message):
            attention(**({"q": q, "k": k, "v": v} | changes))
    with pytest.raises(ValueError, match="4 queries stand at the last of only 3 keys"):
        attention(k, q, v[:, :, :3])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "max"}, "kind is 'max'"),
        ({"only": "me"}, "only is 'me'"),
        ({"window": -1}, "window is -1"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_a_pattern_checks_itself(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pattern(**fields)


def test_no_queries_give_no_answers() -> None:
    parts = arguments(3, 3)
    assert attention(parts["q"][:, :, :0], parts["k"], parts["v"]).shape == (BATCH, 2, 0, V_WIDTH)
