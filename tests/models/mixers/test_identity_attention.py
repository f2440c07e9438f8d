"""Identity-masked attention against its sheet: the invariants 15 to 19, and the official code's faults 3 and 5."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

from kernels.attention import blockwise
from models.mixers.base import state_bytes
from models.mixers.identity_attention import IdentityAttention, IdentityAttentionConfig

POSITIONS = ["sinusoidal", "learned", "none"]


def build(d_model: int = 8, n_heads: int = 2, **fields: Any) -> IdentityAttention:
    mixer = IdentityAttention(IdentityAttentionConfig(d_model=d_model, n_heads=n_heads, **fields)).double().eval()
    if mixer.config.positions == "learned":
        torch.nn.init.normal_(mixer.relative)
    return mixer


def data(n_tokens: int, batch: int = 2, d_model: int = 8) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, n_tokens, d_model, dtype=torch.float64), torch.randint(0, 3, (batch, n_tokens))


def one_pair_at_a_time(mixer: IdentityAttention, x: Tensor, ids: list[int]) -> Tensor:
    """One dialogue (T, D) by the formula, key by key."""
    c, width = mixer.config, x.shape[1] // mixer.config.n_heads
    q, k_same, k_other, v = mixer.project(x).view(len(x), 4, c.n_heads, width).unbind(1)
    table = mixer.position_scores()
    rows = []
    for i in range(len(x)):
        heads = []
        for h in range(c.n_heads):
            scores, values = [], []
            for j in range(len(x)):
                if abs(i - j) > c.window or (c.causal and j > i):
                    continue
                same = ids[i] == ids[j]
                score = q[i, h] @ (k_same if same else k_other)[j, h] / math.sqrt(width)
                if table is not None:
                    score = score + table[0 if same else 1, h, i - j + (0 if c.causal else c.window)]
                scores.append(score)
                values.append(v[j, h])
            heads.append(torch.stack(scores).softmax(0) @ torch.stack(values))
        rows.append(torch.cat(heads))
    return mixer.out(torch.stack(rows))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("window", [2, 20])
def test_it_is_the_formula(causal: bool, positions: str, window: int) -> None:
    mixer = build(causal=causal, positions=positions, window=window)
    x, ids = data(9)
    y, _ = mixer(x, ids=ids)
    for b in range(2):
        torch.testing.assert_close(y[b], one_pair_at_a_time(mixer, x[b], ids[b].tolist()))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("positions", POSITIONS)
def test_block_by_block_is_the_same_as_all_at_once(
    monkeypatch: pytest.MonkeyPatch, causal: bool, positions: str
) -> None:
    mixer = build(causal=causal, positions=positions, window=3)
    x, ids = data(17)
    mask = torch.arange(17) < torch.tensor([17, 11])[:, None]
    results = []
    for block in (5, 100):
        monkeypatch.setattr(blockwise, "BLOCK", block)
        leaf = x.clone().requires_grad_()
        y, _ = mixer(leaf, ids=ids, mask=mask)
        results.append([y, *torch.autograd.grad(y.square().sum(), [leaf, *mixer.parameters()])])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_with_one_speaker_the_other_keys_are_never_read() -> None:
    """Invariant 15, first half."""
    gradient = gradient_of_projection([0] * 6)
    assert not gradient["k_other"].any()
    assert gradient["k_same"].any()


def test_with_all_speakers_different_a_same_key_is_read_by_itself_alone() -> None:
    """Invariant 15, second half: kS counts on the diagonal only."""
    mixer = build()
    x, _ = data(6, batch=1)
    d = x.shape[-1]
    ids = torch.arange(6)[None]
    captured: list[Tensor] = []
    mixer.project.register_forward_hook(
        lambda _m, _a, out: captured.append(out.detach().requires_grad_()) or captured[-1]
    )
    mixer(x, ids=ids)[0][0, 2].sum().backward()
    by_token = captured[0].grad[0].abs()
    assert by_token[2, d : 2 * d].any()
    assert not by_token[[0, 1, 3, 4, 5], d : 2 * d].any()
    assert by_token[[0, 1, 3, 4, 5], 2 * d : 3 * d].any(-1).all()
    assert not by_token[2, 2 * d : 3 * d].any()


def gradient_of_projection(speakers: list[int]) -> dict[str, Tensor]:
    mixer = build()
    x, _ = data(len(speakers), batch=1)
    mixer(x, ids=torch.tensor([speakers]))[0].square().sum().backward()
    return dict(zip(("q", "k_same", "k_other", "v"), mixer.project.weight.grad.chunk(4), strict=True))


@pytest.mark.parametrize("causal", [False, True])
def test_with_equal_keys_it_is_plain_attention(causal: bool) -> None:
    """Invariant 16: kS = kO, and the positions' scores are the same for both or absent."""
    mixer = build(positions="none", causal=causal)
    x, ids = data(7)
    with torch.no_grad():
        mixer.project.weight[16:24] = mixer.project.weight[8:16]
    q, k, _, v = mixer.project(x).view(2, 7, 4, 2, 4).permute(2, 0, 3, 1, 4)
    o = scaled_dot_product_attention(q, k, v, is_causal=causal)
    torch.testing.assert_close(mixer(x, ids=ids)[0], mixer.out(o.transpose(1, 2).reshape(2, 7, 8)))

    positioned = build(positions="sinusoidal", causal=causal)
    with torch.no_grad():
        positioned.project.weight[16:24] = positioned.project.weight[8:16]
        positioned.position.weight[16:24] = positioned.position.weight[8:16]
    torch.testing.assert_close(positioned(x, ids=ids)[0], positioned(x, ids=torch.zeros_like(ids))[0])


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("extra", [2, 16])
def test_official_fault_3_padding_does_not_leak_into_predictions(positions: str, extra: int) -> None:
    """Invariant 18. The official code centres positions on the padded length, so batch mates change a dialogue."""
    mixer = build(positions=positions)
    x, ids = data(8)
    alone, _ = mixer(x, ids=ids)
    padded_x = torch.cat([x, torch.randn(2, extra, 8, dtype=torch.float64)], 1)
    padded_ids = torch.cat([ids, torch.zeros(2, extra, dtype=torch.long)], 1)
    padded, _ = mixer(padded_x, ids=padded_ids, mask=torch.arange(8 + extra).expand(2, -1) < 8)
    torch.testing.assert_close(padded[:, :8], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_length_of_the_history_does_not_matter_beyond_the_window(positions: str) -> None:
    mixer = build(positions=positions, causal=True, window=4)
    x, ids = data(30)
    whole, _ = mixer(x, ids=ids)
    short, _ = mixer(x[:, 20:], ids=ids[:, 20:])
    torch.testing.assert_close(whole[:, 24:], short[:, 4:])


def test_official_fault_5_scores_are_divided_by_the_square_root_of_the_head_width() -> None:
    """Default initialisation, unit-variance input, heads of 128: the official scores start at a deviation of 3.8."""
    mixer = IdentityAttention(IdentityAttentionConfig(d_model=1024, n_heads=8, positions="none"))
    x = torch.randn(1, 40, 1024)
    with torch.no_grad():
        q, k, _, v = mixer.project(x).view(1, 40, 4, 8, 128).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / math.sqrt(128)
        assert scores.std() < 0.5
        expected = mixer.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(1, 40, 1024))
        torch.testing.assert_close(
            mixer(x, ids=torch.zeros(1, 40, dtype=torch.long))[0], expected, rtol=1e-4, atol=1e-4
        )


class Largest(TorchDispatchMode):
    """Remembers the most elements any tensor had."""

    n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.n = max(self.n, out.numel())
        return out


def test_one_conversation_of_100_000_messages_runs_in_bounded_memory() -> None:
    mixer = IdentityAttention(IdentityAttentionConfig(d_model=4, n_heads=1, window=64)).eval()
    n = 100_000
    with torch.inference_mode(), Largest() as largest:
        y, _ = mixer(torch.randn(1, n, 4), ids=torch.randint(0, 5, (1, n)))
    assert y.isfinite().all()
    assert largest.n == 4 * 4 * n  # the projection; nothing is wider


def test_training_on_a_long_conversation_keeps_no_scores() -> None:
    """What autograd keeps grows with T, not with T times the window."""
    mixer = IdentityAttention(IdentityAttentionConfig(d_model=4, n_heads=1, window=512))
    kept = []
    n = 2048
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        y, _ = mixer(torch.randn(1, n, 4), ids=torch.randint(0, 5, (1, n)))
    assert max(kept) <= 4 * 4 * n
    y.sum().backward()
    assert all(p.grad.isfinite().all() for p in mixer.parameters())


def test_a_state_weighs_the_same_after_any_history() -> None:
    mixer = build(causal=True, window=5)
    _, short = mixer(*data(1)[:1], ids=data(1)[1])
    _, long = mixer(*data(40)[:1], ids=data(40)[1])
    assert state_bytes(short) == state_bytes(long) == state_bytes(mixer.initial_state(2))


def test_dropout_is_off_when_evaluating() -> None:
    mixer = build(dropout=0.5)
    x, ids = data(6)
    assert torch.equal(mixer(x, ids=ids)[0], mixer(x, ids=ids)[0])
    mixer.train()
    assert not torch.equal(mixer(x, ids=ids)[0], mixer(x, ids=ids)[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_heads": 3}, "d_model 8 is not a multiple of n_heads 3"),
        ({"window": 0}, "window is 0"),
        ({"positions": "absolute"}, "positions is 'absolute'"),
        ({"dropout": -0.1}, r"dropout is -0\.1"),
    ],
)
def test_a_config_checks_itself(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**fields)
