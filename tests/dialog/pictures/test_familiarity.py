"""Pictures unlike those of training are told by their distance."""

import torch

from dialog.pictures.familiarity import Familiarity


def test_the_distance_is_mahalanobis_where_all_directions_are_kept() -> None:
    torch.manual_seed(0)
    spread = torch.diag(torch.tensor([3.0, 1.0, 0.5, 0.5]))
    kinds = [torch.randn(4000, 4) @ spread, torch.randn(4000, 4) @ spread + torch.tensor([50.0, 0, 0, 0])]
    one = Familiarity.fit(kinds, torch.cat(kinds), share=0.98)
    x = torch.tensor([[3.0, 1.0, 0.0, 0.0], [53.0, 0.0, 0.5, 0.0], [25.0, 0.0, 0.0, 0.0]])
    by_hand = torch.tensor([2.0, 2.0, (25 / 3) ** 2])
    torch.testing.assert_close(one.strangeness(x) * one.limit, by_hand, rtol=0.15, atol=0.1)
    shares = [(one.strangeness(k) <= 1).float().mean().item() for k in kinds]
    assert all(0.97 < s < 0.99 for s in shares)


def test_it_is_small_and_fits_from_few_pictures() -> None:
    torch.manual_seed(0)
    features = torch.randn(60, 300)
    one = Familiarity.fit([features[:40]], features[40:])
    assert one.directions.shape == (300, 20)
    assert float(one.strangeness(torch.randn(10, 300) * 5).min()) > 1
