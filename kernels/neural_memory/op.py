"""The neural memory as one op for a compiler; the rule is known by its name."""

from functools import partial
from typing import Any

from torch import Tensor

from kernels.neural_memory import chunked as by_chunks
from kernels.neural_memory import reference
from kernels.neural_memory.rule import RULES, Fast, Gates, Rule
from kernels.whole import Whole


def _memory(
    wholes: Whole, q: Tensor, k: Tensor, v: Tensor, gates: Gates, state: Fast, rule: Rule, mask: Tensor | None
) -> tuple[Tensor, Fast]:
    if not rule.name:
        raise ValueError("a rule without a name stands in no compiled graph; give it one")
    weights, momentum, anchor, phase = state
    y, *after = wholes(q, k, v, *gates, mask, phase, *weights, *momentum, *anchor, rule=rule.name)
    return y, _fast(after)


def _run(by: Any, *tensors: Any, rule: str) -> tuple[Tensor, ...]:
    if rule not in RULES:
        raise ValueError(f"this process has no rule {rule}; build a mixer of its config before the graph is run")
    q, k, v, *gates, mask = tensors[:8]
    y, after = by.neural_memory(q, k, v, Gates(*gates), _fast(tensors[8:]), RULES[rule], mask)
    return y, after.phase, *after.weights, *after.momentum, *after.anchor


def _fast(tensors: Any) -> Fast:
    phase, *rest = tensors
    n = len(rest) // 3
    return Fast(tuple(rest[:n]), tuple(rest[n : 2 * n]), tuple(rest[2 * n :]), phase)


def _empty(*tensors: Any, rule: str) -> tuple[Tensor, ...]:
    return tuple(z.new_empty(z.shape) for z in (tensors[2], *tensors[8:]))


chunked = partial(_memory, Whole("neural_memory", run=partial(_run, by_chunks), like=_empty))
plain = partial(_memory, Whole("neural_memory_by_token", run=partial(_run, reference), like=_empty))
