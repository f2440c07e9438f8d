"""The three networks: streaming, causality, padding, order; whatever mixer stands in the GRU's place."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.maintenance.autoencoder import (
    AlarmConfig,
    AutoencoderConfig,
    ConvAutoencoder,
    m_of_n,
    windows_of,
)
from models.maintenance.features import FeaturesConfig
from models.maintenance.forecaster import Forecaster, ForecasterConfig
from models.maintenance.life import LifeConfig, LifeNetwork
from models.maintenance.model import Limit, MaintenanceConfig, MaintenanceModel, paper_chain
from models.maintenance.survival import mean_life

FORECASTER = ForecasterConfig(n_features=5, n_channels=2, d_model=16, window=6)
LIFE = LifeConfig(n_features=5, edges=(1.0, 2.0, 4.0, 8.0), d_model=16, window=6, n_members=2)
MIXERS = ["gru", "lstm", "min_rnn", "gla", "aaren", "softmax"]


@pytest.fixture(params=MIXERS)
def networks(request: Any) -> tuple[Forecaster, LifeNetwork]:
    torch.manual_seed(0)
    forecaster = Forecaster(replace(FORECASTER, mixer=request.param)).double().eval()
    return forecaster, LifeNetwork(replace(LIFE, mixer=request.param)).double().eval()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(3, 13, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def said(networks: tuple[Forecaster, LifeNetwork], x: torch.Tensor, **more: Any) -> list[torch.Tensor]:
    forecaster, life = networks
    return [forecaster(x, x[..., :2], **more)[0], life(x, **more)[0]]


@torch.no_grad()
def test_one_step_a_sample_says_what_the_whole_says(networks: tuple[Forecaster, LifeNetwork], x: torch.Tensor) -> None:
    forecaster, life = networks
    states: list[Any] = [None, None]
    steps: list[list[torch.Tensor]] = [[], []]
    for t in range(13):
        one = x[:, t : t + 1]
        y, states[0] = forecaster(one, one[..., :2], state=states[0])
        s, states[1] = life(one, state=states[1])
        steps[0].append(y)
        steps[1].append(s)
    for whole, parts in zip(said(networks, x), steps, strict=True):
        torch.testing.assert_close(torch.cat(parts, 1), whole)


@torch.no_grad()
@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_series_may_be_cut_anywhere(networks: tuple[Forecaster, LifeNetwork], x: torch.Tensor, cut: int) -> None:
    _, life = networks
    whole, _ = life(x)
    head, state = life(x[:, :cut])
    tail, _ = life(x[:, cut:], state=state)
    torch.testing.assert_close(torch.cat([head, tail], 1), whole)


@torch.no_grad()
def test_the_past_ignores_the_future_and_rows_do_not_mix(
    networks: tuple[Forecaster, LifeNetwork], x: torch.Tensor
) -> None:
    other = x.clone()
    other[:, 8:] += 3.0
    other[2] *= -1.0
    for a, b in zip(said(networks, x), said(networks, other), strict=True):
        torch.testing.assert_close(a[:2, :8], b[:2, :8])
    for a, b in zip(said(networks, x), said(networks, x.flip(0)), strict=True):
        torch.testing.assert_close(a, b.flip(0))


@torch.no_grad()
def test_padding_and_a_full_mask_are_invisible(networks: tuple[Forecaster, LifeNetwork], x: torch.Tensor) -> None:
    full = torch.ones(3, 13, dtype=torch.bool)
    for a, b in zip(said(networks, x), said(networks, x, mask=full), strict=True):
        torch.testing.assert_close(a, b)
    lengths = torch.tensor([13, 7, 1])
    mask = torch.arange(13) < lengths[:, None]
    padded, state = networks[1](x.masked_fill(~mask[..., None], 9.0), mask=mask)
    for i, n in enumerate(lengths.tolist()):
        alone, own = networks[1](x[i : i + 1, :n])
        torch.testing.assert_close(padded[i : i + 1, :n], alone)
        ahead = x[i : i + 1, :2]
        row = networks[1](x[:, :2], state=state)[0][i : i + 1]
        torch.testing.assert_close(row, networks[1](ahead, state=own)[0])


@torch.no_grad()
def test_quantiles_are_ordered_and_survival_falls(networks: tuple[Forecaster, LifeNetwork], x: torch.Tensor) -> None:
    quantiles, curve = said(networks, 50 * x)
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert (curve.diff(dim=-1) <= 0).all()
    assert ((curve >= 0) & (curve <= 1)).all()


@torch.no_grad()
def test_places_asked_about_are_those_of_the_whole(networks: tuple[Forecaster, LifeNetwork], x: torch.Tensor) -> None:
    at = torch.tensor([[0, 4], [12, 3], [7, 7]])
    for whole, some in zip(said(networks, x), said(networks, x, at=at), strict=True):
        for i in range(3):
            torch.testing.assert_close(some[i], whole[i, at[i]])


def test_a_state_costs_the_same_however_long_it_was_fed(x: torch.Tensor) -> None:
    life = LifeNetwork(LIFE).double().eval()
    _, early = life(x[:, :2])
    _, late = life(x, state=early)
    assert [leaf.shape for _, r in early.members for leaf in r] == [leaf.shape for _, r in late.members for leaf in r]


@pytest.mark.parametrize("head", ["survival", "regression"])
def test_gradients_reach_every_parameter(x: torch.Tensor, head: Any) -> None:
    life = LifeNetwork(replace(LIFE, head=head, dropout=0.0)).double()
    at, left = torch.tensor([[3, 12]] * 3), torch.tensor([[0.5, 3.0], [6.0, 20.0], [2.0, 1.0]]).double()
    failed = torch.tensor([[True, True], [False, False], [True, True]])
    life.loss(x, torch.ones(3, 13, dtype=torch.bool), at, left, failed).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in life.parameters())
    moved = [p for p in life.parameters() if p.grad is not None and bool((p.grad != 0).any())]
    assert len(moved) >= len(list(life.parameters())) - 2


@torch.no_grad()
def test_the_papers_regression_says_one_life_and_its_curve_agrees(x: torch.Tensor) -> None:
    config = replace(LIFE, head="regression", edges=tuple(float(e) for e in range(1, 9)), n_members=1)
    life = LifeNetwork(config).double().eval()
    curve, _ = life(x)
    assert (curve.diff(dim=-1) <= 0).all()
    (y,), _ = life.logits(x)
    told = torch.nn.functional.softplus(y[..., 0]).clamp(max=1.0) * 8.0
    torch.testing.assert_close(mean_life(curve, life.edges.double()), told)


def test_the_papers_chain_reads_forecasts_alone_and_says_one_number() -> None:
    config = paper_chain(replace(whole_config(), life=replace(LIFE, mixer="min_rnn"), life_by="linear"))
    assert (config.autoencoder.reads, config.autoencoder.n_rows) == ("predicted", 2)
    assert (config.life.mixer, config.life.head, config.life.n_members) == ("gru", "regression", 1)
    assert (config.alarm.detector, config.life_by) == ("autoencoder", "network")


def test_windows_come_the_same_one_by_one() -> None:
    config = AutoencoderConfig(n_channels=2, window=16)
    rows = torch.randn(20, 4)
    whole, kept = windows_of(config, rows, None)
    before, parts = None, []
    for t in range(20):
        one, before = windows_of(config, rows[t : t + 1], before)
        parts.append(one)
    torch.testing.assert_close(torch.cat(parts), whole)
    assert before is not None
    torch.testing.assert_close(before, kept)
    torch.testing.assert_close(whole[-1], rows[-16:].T)


def test_m_of_n_counts_as_by_hand_across_portions() -> None:
    config = AlarmConfig(m=2, n=3)
    above = torch.tensor([1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0], dtype=torch.bool)
    by_hand = [sum(above[max(0, t - 2) : t + 1].tolist()) >= 2 for t in range(11)]
    alarm, _ = m_of_n(above, torch.zeros(2, dtype=torch.bool), config)
    assert alarm.tolist() == by_hand
    first, kept = m_of_n(above[:4], torch.zeros(2, dtype=torch.bool), config)
    second, _ = m_of_n(above[4:], kept, config)
    assert [*first.tolist(), *second.tolist()] == by_hand


def test_a_step_in_what_was_learned_as_normal_scores_above_its_99th_percentile() -> None:
    torch.manual_seed(0)
    network = ConvAutoencoder(AutoencoderConfig(n_channels=1, reads="observed", window=32))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(100):
        windows = 0.3 * torch.randn(64, 1, 32) + torch.sin(torch.arange(32) / 3.0 + 6.3 * torch.rand(64, 1, 1))
        loss = (network(windows) - windows).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    normal = 0.3 * torch.randn(500, 1, 32) + torch.sin(torch.arange(32) / 3.0 + 6.3 * torch.rand(500, 1, 1))
    stepped = normal.clone()
    stepped[..., 20:] += 3.0
    with torch.no_grad():
        assert network.score(stepped).mean() > torch.quantile(network.score(normal), 0.99)


def whole_config() -> MaintenanceConfig:
    features = FeaturesConfig(levels=("relative", "offset"), centre=(0.0, 0.0), scale=(0.1, 1.0))
    return MaintenanceConfig(
        channels=("a", "b"),
        time_unit="h",
        features=features,
        forecaster=FORECASTER,
        autoencoder=AutoencoderConfig(n_channels=2),
        life=LIFE,
        limit=Limit(channel="a", value=1.2, relative=True),
    )


def test_a_folder_gives_the_same_model_back(tmp_path: Path, x: torch.Tensor) -> None:
    model = MaintenanceModel(whole_config()).eval()
    again = MaintenanceModel.load(model.save(tmp_path), device="cpu")
    assert again.config == model.config
    with torch.no_grad():
        torch.testing.assert_close(again.life(x.float())[0], model.life(x.float())[0])


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("channels", ("a",), "1 channels"),
        ("limit", Limit(channel="z", value=1.0), "none of a, b"),
        ("forecaster", replace(FORECASTER, n_features=9), "5 features"),
    ],
)
def test_parts_that_do_not_fit_are_refused(field: str, value: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        replace(whole_config(), **{field: value})
