"""Gated linear attention: every implementation is the recurrence, whatever the gates and the lengths."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable
from kernels.gla import chunked, gated_linear_attention, reference, value_gated_attention, value_gates
from tests.kernels.accuracy import assert_as_accurate

BACKENDS: list[Backend] = ["torch", "triton"]


def inputs(
    n_tokens: int,
    width: int = 5,
    d_value: int = 6,
    *,
    gates: int | None = None,
    tau: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> list[Tensor]:
    """q, k, v in dtype; log gates and state in float32 or wider; two heads."""
    wide = torch.promote_types(dtype, torch.float32)
    q, k = (torch.randn(1, 2, n_tokens, width, dtype=dtype) for _ in range(2))
    v = torch.randn(1, 2, n_tokens, d_value, dtype=dtype)
    log_f = F.logsigmoid(torch.randn(1, 2, n_tokens, gates or width, dtype=wide)) / tau
    return [q, k, v, log_f, torch.randn(1, 2, width, d_value, dtype=wide)]


@pytest.mark.parametrize("tau", [0.01, 1.0, 16.0])
@pytest.mark.parametrize("gates", [None, 1])
@pytest.mark.parametrize("n_tokens", [1, 7, 33, 64, 150])
def test_chunks_are_the_recurrence_in_double_precision(n_tokens: int, gates: int | None, tau: float) -> None:
    args = inputs(n_tokens, gates=gates, tau=tau)
    assert_as_accurate(chunked.gated_linear_attention, reference.gated_linear_attention, args, floor=1e-13)


@pytest.mark.parametrize("gates", [None, 1])
def test_chunks_have_first_and_second_derivatives(gates: int | None) -> None:
    args = [z.requires_grad_() for z in inputs(9, width=3, d_value=2, gates=gates)]
    assert torch.autograd.gradcheck(chunked.gated_linear_attention, args)
    assert torch.autograd.gradgradcheck(chunked.gated_linear_attention, args)


@pytest.mark.parametrize("gates", [None, 1])
def test_torch_func_differentiates_and_batches_chunks(gates: int | None) -> None:
    q, k, v, log_f, S = inputs(9, gates=gates)

    def loss(k: Tensor) -> Tensor:
        return gated_linear_attention(q, k, v, log_f, S)[0].square().sum()

    several = torch.stack([k, 2 * k])
    plain = [torch.autograd.grad(loss(z), z)[0] for z in (k.clone().requires_grad_(), (2 * k).requires_grad_())]
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(loss))(several), torch.stack(plain))


@pytest.mark.parametrize("gates", [None, 1])
def test_nothing_but_the_inputs_is_kept_for_the_backward(gates: int | None) -> None:
    args = [z.requires_grad_() for z in inputs(130, gates=gates)]
    kept: dict[int, int] = {}

    def keep(z: Tensor) -> Tensor:
        kept[z.untyped_storage().data_ptr()] = z.numel()
        return z

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda z: z):
        chunked.gated_linear_attention(*args)
    assert sum(kept.values()) <= sum(z.numel() for z in args)


@pytest.fixture
def short_chunks(monkeypatch: pytest.MonkeyPatch, device: torch.device) -> None:
    """Two sub-chunks a chunk are enough to go wrong, and the interpreter is slow."""
    if device.type == "cpu":
        from kernels.gla import triton_kernel

        monkeypatch.setattr(triton_kernel, "CHUNK", 32)


@pytest.mark.usefixtures("short_chunks")
@pytest.mark.parametrize(
    ("n_tokens", "width", "d_value", "gates", "tau", "dtype"),
    [
        (1, 4, 4, None, 1.0, torch.float32),
        (7, 20, 6, None, 16.0, torch.float16),
        (33, 5, 40, None, 0.1, torch.float32),
        (40, 5, 6, None, 1.0, torch.float16),
        (40, 1, 6, 1, 1.0, torch.float32),
        (33, 5, 6, 1, 1.0, torch.float16),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_is_as_accurate_as_its_dtype_allows(
    backend: Backend,
    n_tokens: int,
    width: int,
    d_value: int,
    gates: int | None,
    tau: float,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    args = [z.to(device) for z in inputs(n_tokens, width, d_value, gates=gates, tau=tau, dtype=dtype)]
    # In half precision a result is rounded by half a unit of its largest number however wide the sums, and a matmul's
    # operands, decays and all, once more than the definition's.
    half = dtype == torch.float16
    assert_as_accurate(
        lambda *a: gated_linear_attention(*a, backend=backend),
        reference.gated_linear_attention,
        args,
        slack=4.0 if half else 2.0,
        floor=torch.finfo(dtype).eps / 2 if half else 1e-6,
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n_tokens", [1, 3])
def test_a_few_steps_without_gradients_are_the_recurrence(
    backend: Backend, n_tokens: int, device: torch.device
) -> None:
    args = [z.to(device) for z in inputs(n_tokens, width=12, d_value=20, dtype=torch.float32)]
    assert_as_accurate(
        lambda *a: gated_linear_attention(*a, backend=backend), reference.gated_linear_attention, args, gradients=False
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_gates_that_forget_everything_overflow_nowhere(backend: Backend, device: torch.device) -> None:
    q, k, v, _, S = (z.to(device) for z in inputs(18, dtype=torch.float32))
    log_f = torch.full_like(q, -300.0).requires_grad_()
    o, last = gated_linear_attention(q, k, v, log_f, S, backend=backend)
    # Nothing but the token itself is left: o_t = (q_t . k_t) v_t.
    torch.testing.assert_close(o, (q * k).sum(-1, keepdim=True) * v)
    torch.testing.assert_close(last, k[:, :, -1, :, None] * v[:, :, -1, None, :])
    o.sum().backward()
    assert log_f.grad is not None
    assert log_f.grad.isfinite().all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_gates_that_forget_nothing_make_plain_linear_attention(backend: Backend, device: torch.device) -> None:
    q, k, v, log_f, _ = (z.to(device) for z in inputs(20, dtype=torch.float32))
    o, last = gated_linear_attention(q, k, v, torch.zeros_like(log_f), backend=backend)
    torch.testing.assert_close(o, (q @ k.mT).tril() @ v, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(last, k.mT @ v, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_a_sequence_may_be_cut_anywhere(backend: Backend, device: torch.device) -> None:
    q, k, v, log_f, S = (z.to(device) for z in inputs(19, dtype=torch.float32))
    whole, last = gated_linear_attention(q, k, v, log_f, S, backend=backend)
    head, S = gated_linear_attention(q[:, :, :7], k[:, :, :7], v[:, :, :7], log_f[:, :, :7], S, backend=backend)
    tail, S = gated_linear_attention(q[:, :, 7:], k[:, :, 7:], v[:, :, 7:], log_f[:, :, 7:], S, backend=backend)
    torch.testing.assert_close(torch.cat([head, tail], 2), whole, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(S, last, atol=1e-4, rtol=1e-4)


def groups(n_tokens: int, dtype: torch.dtype, gates: int | None = None) -> list[Tensor]:
    """Four query heads of two groups, laid out as (B, T, H, ...), of which the op takes transposed views."""
    q = torch.randn(2, n_tokens, 4, 5, dtype=dtype).transpose(1, 2)
    _, k, v, log_f, S = inputs(n_tokens, gates=gates, dtype=dtype)
    k, v, log_f = (z.transpose(1, 2).contiguous().transpose(1, 2).expand(2, -1, -1, -1) for z in (k, v, log_f))
    return [q, k, v, log_f, S.expand(2, -1, -1, -1)]


def by_heads(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """The definition, head by head."""
    k, v, log_f, S = (z.repeat_interleave(q.shape[1] // k.shape[1], 1) for z in (k, v, log_f, S))
    o, S = reference.gated_linear_attention(q, k, v, log_f, S)
    return o, S[:, ::2]


@pytest.mark.parametrize("gates", [None, 1])
@pytest.mark.parametrize("backend", BACKENDS)
def test_heads_may_share_keys_values_gates_and_a_state(
    backend: Backend, gates: int | None, device: torch.device
) -> None:
    args = [z.to(device) for z in groups(18, torch.float32, gates)]
    assert_as_accurate(lambda *a: gated_linear_attention(*a, backend=backend), by_heads, args)
    step = [*(z[:, :, :1] for z in args[:4]), args[4]]
    with torch.no_grad():
        o, last = gated_linear_attention(*step, backend=backend)
    torch.testing.assert_close((o, last), by_heads(*step))


@pytest.mark.parametrize("n_tokens", [3, 20])
def test_the_kernel_copies_nothing_that_has_a_dense_last_axis(
    monkeypatch: pytest.MonkeyPatch, n_tokens: int, device: torch.device
) -> None:
    args = [z.to(device) for z in groups(n_tokens, torch.float32)]
    args[4] = args[4].contiguous()
    places = {z.data_ptr() for z in args}
    copied: list[tuple[int, ...]] = []
    contiguous = Tensor.contiguous

    def watched(z: Tensor) -> Tensor:
        if z.data_ptr() in places and not z.is_contiguous():
            copied.append(tuple(z.shape))
        return contiguous(z)

    monkeypatch.setattr(Tensor, "contiguous", watched)
    with torch.no_grad():
        o, _ = gated_linear_attention(*args, backend="triton")
    assert not copied
    assert o.transpose(1, 2).is_contiguous(), "heads merge without a copy"


@pytest.mark.gpu
@pytest.mark.parametrize("tau", [0.1, 1.0, 16.0])
@pytest.mark.parametrize("n_tokens", [1, 15, 63, 64, 65, 1000, 4096])
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-3)])
def test_the_kernel_keeps_to_the_sheets_relative_error(
    dtype: torch.dtype, most: float, n_tokens: int, tau: float, device: torch.device
) -> None:
    args = [z.to(device) for z in inputs(n_tokens, 64, 64, tau=tau, dtype=dtype)]
    o, last = gated_linear_attention(*args, backend="triton")
    true_o, true_last = reference.gated_linear_attention(*(z.double() for z in args))
    for fast, truth in ((o, true_o), (last, true_last)):
        assert (fast.double() - truth).norm() < most * truth.norm()


@pytest.mark.parametrize("tau", [0.01, 16.0])
@pytest.mark.parametrize("n_tokens", [1, 7, 33, 150])
def test_gates_on_the_values_side_are_their_recurrence(n_tokens: int, tau: float) -> None:
    args = inputs(n_tokens, width=6, d_value=5, tau=tau)
    args[3] = F.logsigmoid(torch.randn_like(args[2])) / tau
    assert_as_accurate(value_gates.chunked, value_gates.reference, args, floor=1e-13)
    expected, _ = value_gated_attention(*args, backend="reference")
    torch.testing.assert_close(value_gated_attention(*args)[0], expected)


@pytest.mark.parametrize(
    ("n_tokens", "width", "d_value", "tau", "dtype"),
    [
        (1, 4, 4, 1.0, torch.float32),
        (7, 20, 5, 16.0, torch.float16),
        (33, 5, 20, 0.1, torch.float32),
        (20, 6, 5, 0.01, torch.float32),
    ],
)
def test_the_kernel_of_gates_on_the_values_side_is_as_accurate(
    monkeypatch: pytest.MonkeyPatch,
    n_tokens: int,
    width: int,
    d_value: int,
    tau: float,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    if device.type == "cpu":  # the interpreter is slow
        from kernels.gla import triton_values

        monkeypatch.setattr(triton_values, "CHUNK", 16)
    args = [z.to(device) for z in inputs(n_tokens, width, d_value, dtype=dtype)]
    args[3] = F.logsigmoid(torch.randn_like(args[2].float())) / tau
    assert_as_accurate(lambda *a: value_gated_attention(*a, backend="triton"), value_gates.reference, args)


def test_gates_on_the_values_side_that_forget_everything_overflow_nowhere(device: torch.device) -> None:
    q, k, v, _, S = (z.to(device) for z in inputs(18, dtype=torch.float32))
    log_g = torch.full_like(v, -300.0).requires_grad_()
    o, last = value_gated_attention(q, k, v, log_g, S, backend="triton")
    torch.testing.assert_close(o, (q * k).sum(-1, keepdim=True) * v)
    torch.testing.assert_close(last, k[:, :, -1, :, None] * v[:, :, -1, None, :])
    o.sum().backward()
    assert log_g.grad is not None
    assert log_g.grad.isfinite().all()


def test_keys_too_wide_for_the_kernel_are_refused_where_it_is_named() -> None:
    args = inputs(3, width=300, dtype=torch.float32)
    args[3] = -torch.rand_like(args[2])
    with pytest.raises(BackendUnavailable, match="they are 300 wide"):
        value_gated_attention(*args, backend="triton")


def test_no_tokens_leave_the_state_alone() -> None:
    q, k, v, log_f, S = inputs(0)
    o, last = gated_linear_attention(torch.cat([q, q], 1), k, v, log_f, S)
    assert o.shape == (1, 4, 0, 6)
    assert torch.equal(last, S)


def test_shapes_that_disagree_are_refused() -> None:
    q, k, v, log_f, S = inputs(4)
    with pytest.raises(ValueError, match="q is"):
        gated_linear_attention(q[..., :3], k, v, log_f, S)
    with pytest.raises(ValueError, match="H a multiple of k's 2 heads"):
        gated_linear_attention(torch.cat([q, q[:, :1]], 1), k, v, log_f, S)
    with pytest.raises(ValueError, match="log_f has 3 channels, expected 1 or 5"):
        gated_linear_attention(q, k, v, log_f[..., :3], S)
    with pytest.raises(ValueError, match="S is"):
        gated_linear_attention(q, k, v, log_f, S[..., :2])
