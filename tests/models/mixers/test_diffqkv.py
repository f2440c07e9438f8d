"""DiffQKV and the attentions it contains."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.mixers import build_mixer
from models.mixers.base import state_numbers
from models.mixers.diffqkv import DiffQKV


def diffqkv(**fields: object) -> DiffQKV:
    mixer = build_mixer("diffqkv", **({"d_model": 32, "n_heads": 4} | fields)).double().eval()
    assert isinstance(mixer, DiffQKV)
    return mixer


def heads(x: Tensor, n: int) -> Tensor:
    return x.unflatten(-1, (n, -1)).transpose(1, 2)


def test_as_many_keys_and_values_as_queries_is_plain_attention() -> None:
    mixer = diffqkv(n_key_heads=4, n_value_heads=4, d_augmented=0, positions="none")
    x = torch.randn(2, 7, 32, dtype=torch.float64)
    q, k, v = (heads(z(x), 4) for z in (mixer.query, mixer.key, mixer.value))
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mixer(x)[0], mixer.out(expected))


def test_as_many_keys_as_values_is_the_grouped_attention_of_softmax() -> None:
    mixer = diffqkv(n_key_heads=2, n_value_heads=2, d_augmented=0, qk_norm="rms")
    softmax = build_mixer("softmax", d_model=32, n_heads=4, n_kv_heads=2, qk_norm="rms").double()
    weights = torch.cat([z.weight for z in (mixer.query, mixer.key, mixer.value)])
    norms = {f"{part}.weight": torch.rand(8, dtype=torch.float64) + 0.5 for part in ("q_norm", "k_norm")}
    mixer.load_state_dict(norms, strict=False)
    softmax.load_state_dict({"project.weight": weights, "out.weight": mixer.out.weight, **norms})
    x = torch.randn(2, 7, 32, dtype=torch.float64)
    torch.testing.assert_close(mixer(x)[0], softmax(x)[0])


def test_the_scale_of_what_is_normed_does_not_matter_and_a_query_is_normed_before_the_keys_map() -> None:
    mixer = diffqkv(n_key_heads=2, n_value_heads=2, d_key=2, d_augmented=0, positions="none", qk_norm="rms")
    x = torch.randn(2, 7, 32, dtype=torch.float64)
    before = mixer(x)[0]
    q = F.rms_norm(mixer.query(x).unflatten(-1, (4, 8)), (8,), eps=mixer.q_norm.eps)
    folded = torch.einsum("bthd,hdk->bthk", q, mixer.expand.repeat_interleave(2, 0))
    torch.testing.assert_close(mixer.queries(x), folded)
    mixer.query.weight.data.mul_(7.0)
    mixer.key.weight.data.mul_(0.3)
    torch.testing.assert_close(mixer(x)[0], before, rtol=1e-3, atol=1e-3)  # but for the norm's epsilon


def test_an_augmented_query_is_a_swiglu_block_on_the_query_and_not_a_wider_head() -> None:
    mixer = diffqkv(n_key_heads=4, n_value_heads=4, positions="none")
    x = torch.randn(2, 7, 32, dtype=torch.float64)
    q = mixer.query(x)
    q = mixer.augment_down(F.silu(mixer.augment_gate(q)) * mixer.augment_up(q))
    expected = F.scaled_dot_product_attention(
        heads(q, 4), heads(mixer.key(x), 4), heads(mixer.value(x), 4), is_causal=True
    )
    torch.testing.assert_close(mixer(x)[0], mixer.out(expected.transpose(1, 2).flatten(2)))
    plain = diffqkv(n_key_heads=4, n_value_heads=4, d_augmented=0)
    more = sum(p.numel() for p in mixer.parameters()) - sum(p.numel() for p in plain.parameters())
    assert more == 3 * 32 * 48  # 3 D d_aug, d_aug = 1.5 D
    assert mixer.state_floats(9) == plain.state_floats(9)  # which no cache pays for


def test_a_folded_expansion_is_the_expansion_of_the_keys() -> None:
    mixer = diffqkv(n_key_heads=2, n_value_heads=4, d_key=2, d_augmented=0, positions="none")
    x = torch.randn(2, 7, 32, dtype=torch.float64)
    wide = torch.einsum("btgk,gdk->btgd", mixer.key(x).unflatten(-1, (2, 2)), mixer.expand)
    k = wide.repeat_interleave(2, 2).transpose(1, 2)
    q, v = heads(mixer.query(x), 4), heads(mixer.value(x), 4)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mixer(x)[0], mixer.out(expected))


def test_keys_through_two_layers_are_made_wide_before_they_are_met() -> None:
    mixer = diffqkv(n_key_heads=2, n_value_heads=2, d_key=2, d_augmented=0, positions="none", expand="mlp")
    x = torch.randn(2, 7, 32, dtype=torch.float64)
    narrow = mixer.key(x).unflatten(-1, (2, 2))
    wide = [F.silu(narrow[:, :, g] @ mixer.expand[g].mT) @ mixer.expand_on[g].mT for g in (0, 0, 1, 1)]
    q, k, v = heads(mixer.query(x), 4), torch.stack(wide, 1), heads(mixer.value(x), 2).repeat_interleave(2, 1)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mixer(x)[0], mixer.out(expected))
    assert mixer.state_floats(8) - mixer.state_floats(7) == 2 * 2 + 2 * 8  # what is cached stays narrow


def test_a_norm_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="qk_norm is 'l1'"):
        diffqkv(qk_norm="l1")


def test_keys_of_a_heads_width_want_no_two_layers() -> None:
    with pytest.raises(ValueError, match="mlp"):
        diffqkv(expand="mlp")


def test_selecting_every_value_changes_nothing_and_fewer_do() -> None:
    whole, some, few = (diffqkv(selected_values=n) for n in (None, 7, 2))
    for other in (some, few):
        other.load_state_dict(whole.state_dict())
    x = torch.randn(1, 7, 32, dtype=torch.float64)
    torch.testing.assert_close(some(x)[0], whole(x)[0])
    assert not torch.allclose(few(x)[0], whole(x)[0])
    torch.testing.assert_close(few.train()(x)[0], whole(x)[0])  # training reads all of them


def test_the_cache_is_as_small_as_the_paper_counts() -> None:
    # 32 query heads, 4 key and 16 value heads of 64: 1,280 numbers a token, of which plain attention keeps 4,096.
    mixer = build_mixer("diffqkv", d_model=2048, n_heads=32, n_key_heads=4, n_value_heads=16, d_augmented=0)
    assert mixer.state_floats(10) - mixer.state_floats(9) == 1280
    assert state_numbers(mixer.initial_state(1)) == 1
