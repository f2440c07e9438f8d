"""Kneser-Ney against a version that counts with dictionaries, and against what a distribution must be."""

from collections import Counter

import numpy as np
import pytest

from dialog.evaluation.ngrams import NGrams


def text(n, n_tokens, seed):
    rng = np.random.default_rng(seed)
    return np.minimum(rng.geometric(0.35, n) - 1, n_tokens - 1)


def by_hand(tokens, test, n_tokens, order):
    """Chen and Goodman's recursion, one token at a time."""
    tokens = [int(t) for t in tokens]
    grams = {order: Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))}
    for n in range(order - 1, 0, -1):
        grams[n] = Counter(g[1:] for g in grams[n + 1])

    def discounts(counts):
        n1, n2, n3, n4 = (max(1, sum(c == k for c in counts.values())) for k in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        raw = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return [0.0, *(min(max(d, 0.1), k - 0.05) for k, d in zip((1, 2, 3), raw, strict=True))]

    ds = {n: discounts(grams[n]) for n in grams}

    def p(word, context):
        n = len(context) + 1
        shorter = p(word, context[1:]) if n > 1 else 1 / n_tokens
        after = {g: c for g, c in grams[n].items() if g[:-1] == context}
        if not after:
            return shorter
        total = sum(after.values())
        count = after.get((*context, word), 0)
        free = sum(ds[n][min(c, 3)] for c in after.values()) / total
        return (count - ds[n][min(count, 3)]) / total + free * shorter

    return [
        np.log(p(int(test[i]), tuple(int(t) for t in test[max(0, i - order + 1) : i]))) for i in range(1, len(test))
    ]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_it_is_the_recursion_as_it_is_written(order):
    learned, test = text(300, 6, 1), text(25, 7, 2)
    found = NGrams(learned, n_tokens=7, order=order).log_p(test)
    np.testing.assert_allclose(found, by_hand(learned, test, 7, order), rtol=1e-9)


@pytest.mark.parametrize("context", [[0, 1, 0, 2], [5, 5, 5, 5], [4]])
def test_what_may_follow_adds_up_to_one(context):
    ngrams = NGrams(text(400, 6, 3), n_tokens=8)
    total = sum(np.exp(ngrams.log_p(np.array([*context, w]))[-1]) for w in range(8))
    assert total == pytest.approx(1)


def test_more_than_fits_a_number_is_refused():
    with pytest.raises(ValueError, match="63 bits"):
        NGrams(np.arange(10), n_tokens=7000)
    with pytest.raises(ValueError, match="hold no 5-gram"):
        NGrams(np.arange(3), n_tokens=7)
