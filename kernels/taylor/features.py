"""Truncated exponentials: as a polynomial of a score, and as features whose product is that polynomial."""

import math
from functools import cache

import torch
from torch import Tensor


def polynomial(z: Tensor, order: int, lowest: int = 0) -> Tensor:
    """sum_{n=lowest}^{order} z^n / n!, by Horner's rule."""
    result = torch.full_like(z, 1 / math.factorial(order))
    for n in range(order - 1, -1, -1):
        result = result * z
        if n >= lowest:
            result = result + 1 / math.factorial(n)
    return result


def n_features(width: int, order: int, lowest: int = 0) -> int:
    """How many monomials of `width` variables have a degree from lowest to order; C(width + order, order) from 0."""
    return sum(math.comb(width + n - 1, n) for n in range(lowest, order + 1))


def features(x: Tensor, order: int, lowest: int = 0) -> Tensor:
    """phi (..., F) of x (..., K) with phi(q) . phi(k) = sum_{n=lowest}^{order} (q . k)^n / n!.

    One feature a monomial x^a, not one an entry of the Kronecker power: (q . k)^n / n! = sum over |a| = n of
    q^a k^a / a!, so each monomial carries the weight 1 / sqrt(a!).
    """
    x = x.movedim(-1, 0).contiguous()  # whole rows are gathered many times as fast as single numbers
    level = torch.ones_like(x[:1])
    levels = [level] if lowest == 0 else []
    for n in range(1, order + 1):
        parent, variable, weights = _monomials(len(x), n, x.device)
        level = level.index_select(0, parent) * x.index_select(0, variable)
        if n >= lowest:
            levels.append(level * weights.to(x.dtype).view(-1, *(1,) * (x.dim() - 1)))
    return torch.cat(levels).movedim(0, -1)


def _monomials(width: int, degree: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each monomial of this degree: which one of the degree below it extends, by which variable; and its weight."""
    return _made(width, degree, device)


# A compiler is not to trace the making of it. This is what torch.compiler.assume_constant_result sets; the decorator
# would import the compiler, seconds of every start.
_monomials._dynamo_marked_constant = True  # type: ignore[attr-defined]


@cache
@torch.inference_mode(False)  # What inference asks for first is kept, and training may want it next.
def _made(width: int, degree: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """A monomial is a non-decreasing tuple of variables, so each is reached once."""
    if degree == 0:
        return _long([0], device), _long([0], device), torch.ones(1, dtype=torch.float64, device=device)
    parents, variables = [], []
    for i, monomial in enumerate(_tuples(width, degree - 1)):
        for j in range(monomial[-1] if monomial else 0, width):
            parents.append(i)
            variables.append(j)
    weights = torch.tensor([_weight(m) for m in _tuples(width, degree)], dtype=torch.float64, device=device)
    return _long(parents, device), _long(variables, device), weights


def monomials(width: int, order: int, lowest: int = 0) -> tuple[list[tuple[int, ...]], list[float]]:
    """The features one by one, in the order of `features`: the variables each multiplies, and its weight."""
    every = [m for n in range(lowest, order + 1) for m in _tuples(width, n)]
    return every, [_weight(m) for m in every]


def _weight(monomial: tuple[int, ...]) -> float:
    return 1 / math.sqrt(math.prod(math.factorial(monomial.count(variable)) for variable in set(monomial)))


@cache
def _tuples(width: int, degree: int) -> list[tuple[int, ...]]:
    if degree == 0:
        return [()]
    return [(*m, j) for m in _tuples(width, degree - 1) for j in range(m[-1] if m else 0, width)]


def _long(numbers: list[int], device: torch.device) -> Tensor:
    return torch.tensor(numbers, dtype=torch.long, device=device)
