"""A 5-gram beside a language model: counts, smoothed by interpolated modified Kneser-Ney."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class _Order(NamedTuple):
    """The n-grams of one length, as numbers in rising order, and their contexts."""

    grams: Ints  # (G,)
    counts: Ints
    contexts: Ints  # (C,)
    totals: Ints
    left_over: Floats  # what the discounts took, per count of the context
    discounts: Floats  # (4,) of grams seen 0, 1, 2, and 3 times or more


class NGrams:
    """p(w | h) by interpolated modified Kneser-Ney (Chen and Goodman 1998, section 3): shorter contexts count in how
    many different ones a token follows, and the shortest is mixed with a guess.

    ngrams = NGrams(tokens, n_tokens=4096)
    ngrams.log_p(test)
    """

    def __init__(self, tokens: Ints, *, n_tokens: int, order: int = 5) -> None:
        """tokens (N,) of one text, 0 to n_tokens - 1. ValueError where `order` of them do not fit a 64-bit number."""
        if order < 1 or n_tokens**order >= 2**63:
            raise ValueError(f"{order} tokens of {n_tokens} do not fit in 63 bits")
        if len(tokens) < order:
            raise ValueError(f"{len(tokens)} tokens hold no {order}-gram")
        self.n_tokens, self.order = n_tokens, order
        grams, counts = np.unique(_numbers(tokens, order, n_tokens), return_counts=True)
        self._orders = [_smoothed(grams, counts, n_tokens)]
        for n in range(order - 1, 0, -1):
            # How many different tokens stand before it, over the n-grams one longer.
            grams, counts = np.unique(grams % n_tokens**n, return_counts=True)
            self._orders.append(_smoothed(grams, counts, n_tokens))
        self._orders.reverse()

    def log_p(self, tokens: Ints) -> Floats:
        """Natural log-probabilities (T - 1,) of the tokens after the first, each given those before it."""
        p = np.full(len(tokens) - 1, 1.0 / self.n_tokens)
        for n, order in enumerate(self._orders, 1):
            known = np.arange(1, len(tokens)) >= n - 1  # the first tokens have shorter contexts
            grams = _numbers(tokens, n, self.n_tokens)[-int(known.sum()) :]
            p[known] = _interpolated(order, grams, self.n_tokens, p[known])
        log_p: Floats = np.log(p)
        return log_p


def _numbers(tokens: Ints, n: int, base: int) -> Ints:
    """Every n tokens in a row as one number, (N - n + 1,)."""
    tokens = np.asarray(tokens, dtype=np.int64)
    value = np.zeros(max(0, len(tokens) - n + 1), dtype=np.int64)
    for i in range(n):
        value = value * base + tokens[i : len(tokens) - n + 1 + i]
    return value


def _smoothed(grams: Ints, counts: Ints, base: int) -> _Order:
    n1, n2, n3, n4 = (max(1, int((counts == k).sum())) for k in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    steps = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]  # eq. 26
    # Few counts give odd estimates: a discount is never negative, nor as much as the count.
    discounts = np.array([0.0, *(min(max(d, 0.1), k - 0.05) for k, d in zip((1, 2, 3), steps, strict=True))])
    contexts, first = np.unique(grams // base, return_index=True)
    taken = np.add.reduceat(discounts[np.minimum(counts, 3)], first)
    totals = np.add.reduceat(counts, first)
    return _Order(grams, counts, contexts, totals, taken / totals, discounts)


def _interpolated(order: _Order, grams: Ints, base: int, shorter: Floats) -> Floats:
    """p of each gram's last token; where its context was never seen, what the shorter one says."""
    place, seen = _found(order.contexts, grams // base)
    at, there = _found(order.grams, grams)
    count = np.where(there, order.counts[at], 0)
    own = (count - order.discounts[np.minimum(count, 3)]) / order.totals[place]
    return np.where(seen, own + order.left_over[place] * shorter, shorter)


def _found(rising: Ints, wanted: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Where each number stands among those, and whether it does."""
    place = np.minimum(np.searchsorted(rising, wanted), len(rising) - 1)
    return place, rising[place] == wanted
