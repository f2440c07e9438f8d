"""Titans: what it is made of, and what happens where a part is taken away."""

import pytest
import torch
import torch.nn.functional as F

from models.mixers import build_mixer
from models.mixers.titans import Titans


def titans(**fields: object) -> Titans:
    mixer = build_mixer("titans", **({"d_model": 16, "n_heads": 2, "conv_width": 1} | fields)).double().eval()
    assert isinstance(mixer, Titans)
    return mixer


def test_without_steps_the_memory_answers_from_its_first_weights_whatever_the_values() -> None:
    mixer = titans(memory="matrix", momentum=False, forget=False)
    with torch.no_grad():
        mixer.gates.bias[:2] = -1e3  # theta = 0
    x = torch.randn(1, 5, 16, dtype=torch.float64)
    q = F.normalize(F.silu(mixer.qkv(x)[..., :16]).unflatten(-1, (2, 8)), dim=-1)
    memory = torch.einsum("hij,bthj->bthi", mixer.memory[0], q)
    expected = mixer.out(mixer.norm(memory).flatten(2) * F.silu(mixer.output_gate(x)))
    torch.testing.assert_close(mixer(x)[0], expected)


def test_the_memory_learns_what_it_has_read() -> None:
    """A pair repeated is answered better each time; without steps it is not."""
    torch.manual_seed(0)
    mixer = titans(memory="matrix", chunk=1, max_step=0.4, forget=False, momentum=False)
    x = torch.randn(1, 1, 16, dtype=torch.float64).expand(1, 20, 16)
    _, state = mixer(x)
    k, v = (F.silu(z)[0, 0].unflatten(-1, (2, 8)) for z in mixer.qkv(x).chunk(3, -1)[1:])
    k = F.normalize(k, dim=-1)
    errors = [
        (torch.einsum("hij,hj->hi", w[0] if w.dim() == 4 else w, k) - v).norm()
        for w in (mixer.memory[0], state.weights[0])
    ]
    assert errors[1] < 0.05 * errors[0]


def test_persistent_vectors_are_read_before_the_first_token() -> None:
    with_them, without = titans(n_persistent=3, conv_width=4), titans(conv_width=4)
    missing = without.load_state_dict(with_them.state_dict(), strict=False)
    assert missing.unexpected_keys == ["persistent"]
    x = torch.randn(2, 6, 16, dtype=torch.float64)
    both = torch.cat([with_them.persistent.expand(2, -1, -1), x], 1)
    torch.testing.assert_close(with_them(x)[0], without(both)[0][:, 3:])


@pytest.mark.parametrize("memory", ["mlp", "matrix"])
def test_the_state_is_as_large_as_the_docstring_says(memory: str) -> None:
    mixer = titans(memory=memory, chunk=4, conv_width=4)
    weights = sum(w.numel() for w in mixer.memory)
    assert mixer.state_floats(1000) == 3 * weights + 1 + 3 * 48
    assert titans(memory=memory, chunk=1, momentum=False).state_floats(5) == weights + 1


@pytest.mark.parametrize("depth", [2, 4])
def test_a_network_of_any_depth_learns_by_its_own_gradients(depth: int) -> None:
    """Eq. 13 to 15 token by token, with the inner gradients from autograd."""
    mixer = titans(depth=depth, chunk=1, activation="gelu", max_step=0.5)
    torch.nn.init.normal_(mixer.gates.weight)
    x = torch.randn(2, 6, 16, dtype=torch.float64)
    q, k, v = (F.silu(z).unflatten(-1, (2, 8)) for z in mixer.qkv(x).chunk(3, -1))  # (B, T, H, d)
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    step, keep, eta = mixer.gates(x).sigmoid().unflatten(-1, (3, 2)).unbind(2)  # (B, T, H)

    def answer(weights: list[torch.Tensor], z: torch.Tensor) -> torch.Tensor:
        for i, w in enumerate(weights):
            z = ((F.gelu(z) if i else z)[:, :, None] @ w.mT)[:, :, 0]
        return z

    weights = [w.detach().expand(2, -1, -1, -1) for w in mixer.memory]
    momentum, outputs = [torch.zeros_like(w) for w in weights], []
    for t in range(6):
        leaves = [w.detach().requires_grad_() for w in weights]
        found = torch.autograd.grad((answer(leaves, k[:, t]) - v[:, t]).square().sum(), leaves)
        theta, alpha, beta = (g[:, t, :, None, None].detach() for g in (0.5 * step, keep, eta))
        momentum = [beta * s - theta * g for s, g in zip(momentum, found, strict=True)]
        weights = [alpha * w + s for w, s in zip(weights, momentum, strict=True)]
        outputs.append(answer(weights, q[:, t]))
    expected = mixer.out(mixer.norm(torch.stack(outputs, 1)).flatten(2) * F.silu(mixer.output_gate(x)))
    torch.testing.assert_close(mixer(x)[0], expected)
    assert mixer.state_floats(9) == 2 * sum(w.numel() for w in mixer.memory) + 1


@pytest.mark.parametrize("memory", ["mlp", "matrix"])
def test_a_momentum_that_keeps_nothing_is_none(memory: str) -> None:
    with_it, without = titans(memory=memory, chunk=4), titans(memory=memory, chunk=4, momentum=False)
    without.load_state_dict(with_it.state_dict())
    with torch.no_grad():
        with_it.gates.bias[4:] = -60.0
    x = torch.randn(2, 9, 16, dtype=torch.float64)
    torch.testing.assert_close(with_it(x)[0], without(x)[0])


def test_a_depth_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="depth 1 must be at least 2"):
        titans(depth=1)


def test_a_network_is_not_decayed_first() -> None:
    with pytest.raises(ValueError, match="decay_first"):
        titans(memory="mlp", decay_first=True)


def test_memory_as_a_context_does_not_leak_where_the_literal_reading_does() -> None:
    """A token must not see what was recalled for later tokens of its segment, nor the memory that has learned them."""
    mixer = build_mixer("titans_mac", d_model=16, n_heads=2, chunk=8).double().eval()
    x = torch.randn(1, 8, 16, dtype=torch.float64)
    changed = x.clone()
    changed[:, 7] += 1.0
    torch.testing.assert_close(mixer(changed)[0][:, :7], mixer(x)[0][:, :7], rtol=0, atol=0)

    def literal(x: torch.Tensor) -> torch.Tensor:
        """The same attention without its mask over the recalled rows: eq. 21 and 22 as they are written."""
        fresh = mixer.initial_state(1)
        h = mixer._recall(x, fresh.memory._replace(anchor=fresh.memory.weights))
        q, k, v = (f(z) for f, z in ((mixer.query, x), (mixer.key, h), (mixer.value, h)))
        return (q @ k.transpose(-1, -2)).softmax(-1) @ v

    assert not torch.allclose(literal(changed)[:, :7], literal(x)[:, :7])
