"""Dense co-attention: memory slots, padding, the official scale."""

import math

import pytest
import torch
from torch import Tensor

from models.seqdialn.config import SeqDialNConfig
from models.seqdialn.fusion import CoAttention, Fusion


def config(**fields: object) -> SeqDialNConfig:
    small: dict[str, object] = {"d_text": 8, "d_region": 6, "d_model": 8, "n_heads": 2, "n_memory": 2, "dropout": 0.0}
    return SeqDialNConfig(**(small | fields))  # type: ignore[arg-type]


def with_memory(layer: CoAttention, q: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return (
        torch.cat([q, layer.word_memory.expand(len(q), -1, -1)], 1),
        torch.cat([v, layer.region_memory.expand(len(v), -1, -1)], 1),
    )


@torch.no_grad()
def test_every_row_of_attention_sums_to_one_over_real_entries_and_memory() -> None:
    layer = CoAttention(config()).double()
    q, v = torch.randn(2, 4, 8, dtype=torch.float64), torch.zeros(2, 3, 8, dtype=torch.float64)
    q_mask, v_mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]]).bool(), torch.tensor([[1, 1, 1], [1, 0, 0]]).bool()
    q_all, v_all = with_memory(layer, q, v)
    of_regions, of_words = layer.maps(q_all, q_mask, v_all, v_mask)
    assert of_regions.shape == (2, 3, 6)
    assert of_words.shape == (2, 4, 5)
    torch.testing.assert_close(of_regions.sum(-1), torch.ones(2, 3, dtype=torch.float64))
    torch.testing.assert_close(of_words.sum(-1), torch.ones(2, 4, dtype=torch.float64))
    assert of_regions[0, :, 2:4].abs().max() == 0  # padded words
    assert of_words[1, :, 1:3].abs().max() == 0  # padded regions
    assert float(of_regions[..., -2:].min()) > 0  # memory can always be attended to
    assert all(bool(z.isfinite().all()) for z in layer(q, q_mask, v, v_mask))


@torch.no_grad()
@pytest.mark.parametrize(("scale", "divisor"), [("width", math.sqrt(4)), ("heads", math.sqrt(2))])
def test_one_layer_is_the_sheets_formula_written_out(scale: str, divisor: float) -> None:
    layer = CoAttention(config(scale=scale)).double()
    q, v = torch.randn(1, 3, 8, dtype=torch.float64), torch.randn(1, 2, 8, dtype=torch.float64)
    q_all, v_all = (z[0] for z in with_memory(layer, q, v))
    maps_of_regions, maps_of_words = [], []
    for j in range(2):
        rows = slice(4 * j, 4 * j + 4)
        a = (v_all @ layer.region_heads.weight[rows].T) @ (q_all @ layer.word_heads.weight[rows].T).T / divisor
        maps_of_regions.append(a.softmax(1))
        maps_of_words.append(a.T.softmax(1))
    read_words = torch.stack(maps_of_regions).mean(0)[:2] @ q_all
    read_regions = torch.stack(maps_of_words).mean(0)[:3] @ v_all
    wanted_v = v[0] + torch.relu(layer.join_regions(torch.cat([v[0], read_words], -1)))
    wanted_q = q[0] + torch.relu(layer.join_words(torch.cat([q[0], read_regions], -1)))
    got_q, got_v = layer(q, torch.ones(1, 3, dtype=torch.bool), v, torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(got_v[0], wanted_v)
    torch.testing.assert_close(got_q[0], wanted_q)


@torch.no_grad()
@pytest.mark.parametrize("n_text_layers", [0, 1, 2])
def test_words_after_the_end_change_nothing_however_many(n_text_layers: int) -> None:
    fusion = Fusion(config(n_text_layers=n_text_layers)).double().eval()
    real = torch.ones(1, 3, dtype=torch.bool)
    v = fusion.look(torch.randn(1, 3, 6).double(), real, torch.rand(1, 3, 4).double())
    words = torch.randn(1, 4, 8, dtype=torch.float64)
    short = fusion(words, torch.ones(1, 4, dtype=torch.bool), v, real).vector
    for n in (1, 7):
        longer = torch.cat([words, torch.randn(1, n, 8, dtype=torch.float64)], 1)
        torch.testing.assert_close(fusion(longer, torch.arange(4 + n)[None] < 4, v, real).vector, short)


def test_a_common_space_that_is_configured_must_be_given() -> None:
    fusion = Fusion(config(d_sentence=5))
    real = torch.ones(1, 2, dtype=torch.bool)
    v = fusion.look(torch.randn(1, 2, 6), real, torch.rand(1, 2, 4))
    with pytest.raises(ValueError, match="d_sentence is 5"):
        fusion(torch.randn(1, 2, 8), real, v, real)
