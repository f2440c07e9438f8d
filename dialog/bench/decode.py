"""Decoding far into a text: what one more token costs there, and what the state weighs."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch

from dialog.bench.kept import Kept, Row
from models.mixers import MIXERS
from models.mixers.base import SequenceMixer, leaves, state_bytes

PIECE = 1024
"""Tokens read at a time on the way to a position."""


@torch.no_grad()
def decoding(
    name: str, positions: Sequence[int], d_model: int, repeats: int, longest: float, device: torch.device, kept: Kept
) -> Iterable[Row]:
    """A row a position, batch 1, float32: tokens a second of single steps from there, and bytes of the state there.

    The text is read in pieces. A mixer that takes more than `longest` seconds for one is not led to further positions
    than the next. Rows that are kept are not measured again.
    """
    title = f"{name}, decoding at {{}}"
    if all(title.format(position) in kept for position in positions):
        yield from (kept[title.format(position)] for position in sorted(positions))
        return
    config, mixer_class = MIXERS[name]
    mixer = mixer_class(config(d_model=d_model)).to(device).eval()
    state, place, slow = mixer.initial_state(1), 0, False
    ids = torch.zeros(1, PIECE, dtype=torch.long, device=device) if mixer.takes_ids else None
    for position in sorted(positions):
        if slow:
            return
        while place < position:
            n = min(PIECE, position - place)
            start = time.perf_counter()
            _, state = mixer(
                torch.randn(1, n, d_model, device=device), ids=None if ids is None else ids[:, :n], state=state
            )
            place, slow = place + n, slow or time.perf_counter() - start > longest
        ids_t = None if ids is None else ids[:, 0]
        seconds = _steps(mixer, state, d_model, ids_t, repeats, device)
        told = {"mixer": name, "position": position, "seconds": seconds, "tokens_per_second": 1 / seconds}
        told["state_bytes"] = state_bytes(state)
        yield kept.row(title.format(position), told.copy)


def _steps(
    mixer: SequenceMixer[Any],
    state: tuple[Any, ...],
    d_model: int,
    ids_t: torch.Tensor | None,
    repeats: int,
    device: torch.device,
) -> float:
    """Median seconds of a step; the first is on the house. On a CPU the processor's."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    taken = []
    for _ in range(4 * repeats + 1):
        x_t = torch.randn(1, d_model, device=device)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = clock()
        mixer.step(x_t, state, ids_t=ids_t)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(clock() - start)
    return sorted(taken[1:])[2 * repeats]


class Written(Protocol):
    """A language model that reads and steps."""

    def initial_state(self, batch: int) -> Any: ...

    def hidden(self, tokens: torch.Tensor, *, state: Any = None) -> tuple[torch.Tensor, Any]: ...

    def step(self, tokens_t: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]: ...


@torch.no_grad()
def decoding_model(
    model: Written, n_tokens: int, positions: Sequence[int], repeats: int, longest: float
) -> Iterable[dict[str, Any]]:
    """The same of a whole language model over n_tokens tokens, on its device: a row a position."""
    state, place, slow = model.initial_state(1), 0, False
    device = leaves(state)[0].device
    for position in sorted(positions):
        if slow:
            return
        while place < position:
            n = min(PIECE, position - place)
            start = time.perf_counter()
            _, state = model.hidden(torch.randint(n_tokens, (1, n), device=device), state=state)
            place, slow = place + n, slow or time.perf_counter() - start > longest
        taken = []
        for _ in range(4 * repeats + 1):
            token = torch.randint(n_tokens, (1,), device=device)
            start = time.perf_counter()
            model.step(token, state)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken.append(time.perf_counter() - start)
        seconds = sorted(taken[1:])[2 * repeats]  # the first is on the house
        yield {
            "position": position,
            "seconds": seconds,
            "tokens_per_second": 1 / seconds,
            "state_bytes": state_bytes(state),
        }
