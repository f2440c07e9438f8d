"""What every mixer refuses before it computes: inputs, masks, ids and states that do not belong together."""

from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor

Shape = tuple[int, ...]


def check(
    name: str,
    x: Tensor,
    mask: Tensor | None,
    ids: Tensor | None,
    state: tuple[Any, ...] | None,
    width: int | None,
    like: tuple[type, tuple[Shape, ...]],
) -> None:
    """Raises ValueError that says what came and what was expected.

    x (B, T, D) with D = `width`; mask (B, T) bool, real tokens first; ids (B, T) integers; a state of the type and the
    shapes `like` a new one of one row, save in a dimension that is 0 there: that one grows.
    """
    if x.dim() != 3 or (width is not None and x.shape[-1] != width):
        raise ValueError(f"{name}: x is {tuple(x.shape)}, expected (B, T, {'D' if width is None else width})")
    if not x.is_floating_point():
        raise ValueError(f"{name}: x is {x.dtype}, expected floating point")
    for what, tensor in (("mask", mask), ("ids", ids)):
        if tensor is not None and tensor.shape != x.shape[:2]:
            raise ValueError(f"{name}: {what} is {tuple(tensor.shape)}, expected (B, T) = {tuple(x.shape[:2])}")
    if mask is not None:
        if mask.dtype != torch.bool:
            raise ValueError(f"{name}: mask is {mask.dtype}, expected torch.bool, True on real tokens")
        _check_padding(name, mask)
    if ids is not None and (ids.is_floating_point() or ids.is_complex()):
        raise ValueError(f"{name}: ids are {ids.dtype}, expected integers")
    if state is not None:
        _check_state(name, state, len(x), like)


def _check_padding(name: str, mask: Tensor) -> None:
    # Fake tensors and those under torch.func.vmap have no values to look at. On a card the tensor itself is asked,
    # since to look would be to wait.
    if type(mask) is not Tensor or is_functorch_wrapped_tensor(mask):
        return
    gapless = (mask[:, 1:] <= mask[:, :-1]).all()
    if mask.device.type == "cpu":
        if not gapless:
            raise ValueError(f"{name}: padding stands before or between real tokens, expected it on the right")
    else:
        torch._assert_async(gapless, f"{name}: padding stands before or between real tokens, expected it on the right")


def _check_state(name: str, state: tuple[Any, ...], batch: int, like: tuple[type, tuple[Shape, ...]]) -> None:
    kind, shapes = like
    if type(state) is not kind:
        raise ValueError(f"{name}: the state is a {type(state).__name__}, expected a {kind.__name__}")
    came = shapes_of(state)
    if len(came) != len(shapes):
        raise ValueError(f"{name}: the state has {len(came)} tensors, expected {len(shapes)}")
    for i, (there, one_row) in enumerate(zip(came, shapes, strict=True)):
        expected = (batch, *one_row[1:])
        fits = len(there) == len(expected) and there[:1] == expected[:1]
        if not fits or any(e not in (0, t) for t, e in zip(there[1:], expected[1:], strict=True)):
            raise ValueError(
                f"{name}: tensor {i} of the state is {there}, expected {expected} for this x"
                + (", 0 being any number" if 0 in expected[1:] else "")
            )


def shapes_of(state: tuple[Any, ...]) -> tuple[Shape, ...]:
    """The shape of every tensor of a state, in order."""
    found: list[Shape] = []
    for leaf in state:
        found.extend(shapes_of(leaf) if isinstance(leaf, tuple) else (tuple(leaf.shape),))
    return tuple(found)
