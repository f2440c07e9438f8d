"""The pointer at spans: only legal ones, blind to padding, and the one shown is the best in the mean."""

import itertools

import pytest
import torch
from torch import Tensor

from models.pointer.spans import SpanPointer, best_spans

H, CAP = 6, 4


@pytest.fixture
def pointer() -> SpanPointer:
    torch.manual_seed(0)
    pointer = SpanPointer(5, H, 8, CAP, 0.3).eval()
    with torch.no_grad():
        for p in pointer.parameters():
            p.normal_(std=0.5)
    return pointer


def inputs() -> list[Tensor]:
    mask = torch.arange(7) < torch.tensor([[7], [4], [1], [0]])
    target_mask = torch.arange(5) < torch.tensor([[3], [5], [0], [2]])
    return [torch.randn(4, 5), torch.randn(4, 7, H), mask, torch.randn(4, 5, H), target_mask]


def test_spans_are_legal(pointer: SpanPointer) -> None:
    logits = pointer(*inputs())
    for row, n in zip(logits, (7, 4, 1, 0), strict=True):
        legal = [(i, j) for i in range(n) for j in range(i, min(i + CAP, n))]
        assert row.isfinite().nonzero().tolist() == [list(pair) for pair in legal]


def test_padding_changes_nothing(pointer: SpanPointer) -> None:
    query, tokens, mask, target, target_mask = inputs()
    logits = pointer(query, tokens, mask, target, target_mask)
    for i, (n, m) in enumerate([(7, 3), (4, 5), (1, 1)]):  # Of the third target no token is real.
        row = slice(i, i + 1)
        alone = pointer(query[row], tokens[row, :n], mask[row, :n], target[row, :m], target_mask[row, :m])
        torch.testing.assert_close(logits[row, :n, :n], alone, atol=1e-5, rtol=1e-5)
    other = pointer(query, tokens + ~mask[..., None] * 3.0, mask, target - ~target_mask[..., None] * 2.0, target_mask)
    torch.testing.assert_close(logits, other, atol=1e-5, rtol=1e-5)


def test_the_target_and_the_query_are_read(pointer: SpanPointer) -> None:
    query, tokens, mask, target, target_mask = inputs()
    plain = pointer(query, tokens, mask, target, target_mask)[1, :4, :4]
    for other in ((query + 1, target), (query, target.flip(0))):
        changed = pointer(other[0], tokens, mask, other[1], target_mask)[1, :4, :4]
        legal = plain.isfinite()
        assert (plain - changed)[legal].abs().max() > 1e-2


def f1(one: tuple[int, int], other: tuple[int, int]) -> float:
    common = max(0, min(one[1], other[1]) - max(one[0], other[0]) + 1)
    return 2 * common / (one[1] - one[0] + 1 + other[1] - other[0] + 1)


@pytest.mark.parametrize("exact", [0.0, 0.4, 1.0])
def test_the_best_span_is_the_best_of_all_in_the_mean(exact: float) -> None:
    torch.manual_seed(1)
    spans = [(a, z) for a, z in itertools.product(range(5), repeat=2) if z >= a]
    logits = torch.full((40, 5, 5), -torch.inf)
    for a, z in spans:
        logits[:, a, z] = 2 * torch.randn(40)
    for row, best in zip(logits, best_spans(logits, exact, among=25).tolist(), strict=True):
        p = row.flatten().softmax(0).reshape(5, 5)
        score = {s: sum(float(p[t]) * ((1 - exact) * f1(s, t) + exact * (s == t)) for t in spans) for s in spans}
        assert score[tuple(best)] == pytest.approx(max(score.values()), abs=1e-5)  # type: ignore[index]


def test_the_likeliest_span_and_one_that_overlaps_with_many_may_differ() -> None:
    logits = torch.full((1, 6, 6), -torch.inf)
    logits[0, 0, 0], logits[0, 1, 4], logits[0, 1, 5], logits[0, 2, 5] = 0.3, 0.0, 0.1, 0.0
    assert best_spans(logits, 1.0).tolist() == [[0, 0]]
    assert best_spans(logits, 0.0).tolist() == [[1, 5]]
