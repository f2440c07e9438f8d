"""What looks for things by name: its formula, its files, and what it makes of things nobody named."""

import math
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.checkpoint import CheckpointError
from models.encoders.efficientnet import published_network
from models.encoders.things import D_BEFORE, Looked, Things, ThingsConfig

SMALL = ThingsConfig(names=("dog", "cat"), d_text=6, d_cell=4, d_whole=5, d_hidden=3)


def made(config: ThingsConfig = SMALL) -> Things:
    torch.manual_seed(3)
    things = Things(config).eval()
    for parameter in (things.own_cell, things.own_whole, things.own_bias):
        torch.nn.init.normal_(parameter)
    return things


@lru_cache(maxsize=1)
def shared() -> Things:
    return made()


@settings(max_examples=30)
@given(st.integers(0, 2**20), st.integers(1, 5), st.integers(1, 4))
def test_the_logit_is_that_of_the_formula(seed: int, cells: int, asked: int) -> None:
    generator, things = torch.Generator().manual_seed(seed), shared()
    c, w = torch.randn(cells, 4, generator=generator), torch.randn(5, generator=generator)
    v, u, b = (torch.randn(asked, n, generator=generator) for n in (4, 5, 1))
    found = things.scores(c[None], w[None], (v, u, b[:, 0]))[0]
    for n in range(asked):
        pooled = math.log(sum(math.exp(2 * float(c[r] @ v[n]) / 2) for r in range(cells)) / cells)
        assert float(found[n]) == pytest.approx(float(b[n, 0]) + 2 * float(w @ u[n]) / 5**0.5 + pooled, abs=1e-3)


def test_one_cell_in_which_a_thing_is_plain_says_more_than_all_in_which_it_may_be() -> None:
    query = (torch.ones(1, 4), torch.zeros(1, 5), torch.zeros(1))
    plain, dim = torch.zeros(1, 8, 4), torch.full((1, 8, 4), 0.5)
    plain[0, 3] = 4.0  # as much over all cells
    whole = torch.zeros(1, 5)
    assert float(made().scores(plain, whole, query)) > float(made().scores(dim, whole, query)) + 1


def test_of_several_tiles_the_one_that_shows_a_thing_counts() -> None:
    things, sentences = made(), torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
    tiles = [Looked(torch.randn(3, 4), torch.randn(1, 5)) for _ in range(2)]
    alone = [things.logits(one, ["dog", "owl"], sentences)[0] for one in tiles]
    both, _ = things.logits(
        Looked(torch.cat([t.cells for t in tiles]), torch.cat([t.whole for t in tiles])), ["dog", "owl"], sentences
    )
    torch.testing.assert_close(both, torch.stack(alone).amax(0))


def test_what_training_named_has_a_correction_and_the_rest_is_asked_for_by_its_sentence() -> None:
    things, sentences = made(), torch.randn(2, 6, generator=torch.Generator().manual_seed(2))
    looked = Looked(torch.randn(3, 4), torch.randn(1, 5))
    before, common = things.logits(looked, ["dog", "owl"], sentences)
    with torch.no_grad():
        things.own_bias += 5
    after, _ = things.logits(looked, ["dog", "owl"], sentences)
    assert float(after[0] - before[0]) == pytest.approx(5, abs=1e-4)
    assert float(after[1]) == pytest.approx(float(before[1]), abs=1e-5)
    assert float(common[0]) == float(things.prior[0])


def test_it_begins_as_the_published_last_stage() -> None:
    things, network = made(), published_network()
    things.begin_from(network)
    maps = torch.randn(2, D_BEFORE, 3, 3)
    with torch.inference_mode():
        cells, _ = things.seen(maps, torch.zeros(2, 6))
        expected = things.cell(things.cell_norm(network.cells(network.stages[6](maps)).flatten(2).transpose(1, 2)))
    torch.testing.assert_close(cells, expected, rtol=1e-3, atol=1e-3)
    assert not network.head.weight.requires_grad  # nobody else's is trained
    assert things.head.weight.requires_grad
    assert things.head.weight.data_ptr() != network.head.weight.data_ptr()


def test_a_folder_keeps_it(tmp_path: Path) -> None:
    things = made()
    with torch.no_grad():
        things.prior.copy_(torch.tensor([-1.0, 0.5]))
    read = Things.load(things.save(tmp_path / "things"), device="cpu")
    assert read.config == SMALL
    assert len(read.version) == 12
    looked, sentences = Looked(torch.randn(3, 4), torch.randn(1, 5)), torch.randn(3, 6)
    for a, b in zip(
        read.logits(looked, ["cat", "dog", "owl"], sentences),
        things.logits(looked, ["cat", "dog", "owl"], sentences),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=2e-2, atol=2e-2)  # half precision
    (tmp_path / "things" / "model.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        Things.load(tmp_path / "things")


def test_it_needs_no_names() -> None:
    things = made(ThingsConfig(d_text=6, d_cell=4, d_whole=5, d_hidden=3))
    logits, common = things.logits(Looked(torch.randn(3, 4), torch.randn(1, 5)), ["dog"], torch.randn(1, 6))
    assert logits.shape == common.shape == (1,)


@pytest.mark.parametrize("fields", [{"names": ("dog", "dog")}, {"dropout": 1.0}])
def test_a_config_that_cannot_be_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"names|dropout"):
        ThingsConfig(**fields)  # type: ignore[arg-type]
