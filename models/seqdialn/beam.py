"""Beam search: the likeliest continuations found by keeping the best few at every step."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from models.mixers.base import leaves, take_rows


class Stepping(Protocol):
    def step(self, tokens_t: Tensor, state: Any) -> tuple[Tensor, Any]: ...


class Hypothesis(NamedTuple):
    tokens: tuple[int, ...]  # without the start and the end
    log_p: float  # natural logarithm of the whole's probability, its end included
    score: float  # log_p / sqrt(length), the end counted


@torch.no_grad()
def beam_search(
    model: Stepping, state: Any, start: int, end: int, *, width: int = 5, max_tokens: int = 20
) -> list[Hypothesis]:
    """At most `width` finished continuations, the best score first.

    state is of one row, on the model's device; what is kept of the beams is on the CPU. Scores are normalised by the
    square root of the length, as the ranking is. Continuations that have not ended after max_tokens are left out,
    unless none has; then the best of them is what there is.
    """
    if width < 1 or max_tokens < 1:
        raise ValueError(f"width and max_tokens must be positive, got {width} and {max_tokens}")
    device = leaves(state)[0].device
    tokens, log_p = torch.tensor([start], device=device), torch.zeros(1, device="cpu")
    beams: list[tuple[int, ...]] = [()]
    done: list[Hypothesis] = []
    for n in range(1, max_tokens + 1):
        logits, state = model.step(tokens, state)
        total = log_p[:, None] + logits.float().log_softmax(-1).cpu()  # (beams, vocabulary)
        n_tokens = total.shape[1]
        # Twice the width: so many may end here, and the beam still goes on at full width.
        best = total.flatten().topk(min(2 * width, total.numel()))
        rows, following = list[int](), list[tuple[int, float]]()
        for value, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            row, token = divmod(place, n_tokens)
            if token == end:
                done.append(Hypothesis(beams[row], value, value / n**0.5))
            elif len(rows) < width:
                rows.append(row)
                following.append((token, value))
        if not rows:
            break
        beams = [(*beams[row], token) for row, (token, _) in zip(rows, following, strict=True)]
        state = take_rows(state, torch.tensor(rows, device=device))
        tokens = torch.tensor([token for token, _ in following], device=device)
        log_p = torch.tensor([value for _, value in following], device="cpu")
        # A log-probability only falls, and the length it is divided by ends at max_tokens.
        finished = sorted((h.score for h in done), reverse=True)[:width]
        if len(finished) == width and finished[-1] >= float(log_p.max()) / max_tokens**0.5:
            break
    if not done:
        done = [Hypothesis(b, v, v / max(1, len(b)) ** 0.5) for b, v in zip(beams, log_p.tolist(), strict=True)][:1]
    return sorted(done, key=lambda h: -h.score)[:width]
