"""The last entries of every row."""

import pytest
import torch

from models.mixers.cache import last


@pytest.mark.parametrize("width", [0, 2, 5, 9])
@pytest.mark.parametrize("n_old", [0, 3])
def test_each_row_keeps_what_stands_before_its_end(width: int, n_old: int) -> None:
    lengths = [4, 2, 0]
    entries = torch.randn(3, n_old + 4, 2)
    kept = last(entries, width, 4, torch.tensor(lengths))
    assert kept.shape == (3, width, 2)
    for row, length in enumerate(lengths):
        whole = entries[row, : n_old + length]
        n = min(width, len(whole))
        assert torch.equal(kept[row, width - n :], whole[len(whole) - n :])


@pytest.mark.parametrize("width", [0, 2, 9])
def test_rows_without_padding_need_no_lengths(width: int) -> None:
    entries = torch.randn(2, 5, 3)
    n = min(width, 5)
    assert torch.equal(last(entries, width, 2, None)[:, width - n :], entries[:, 5 - n :])
