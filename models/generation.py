"""Writing on from a prompt, one step a token, whatever the mixers' state: constant or growing."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from models.mixers.base import take_rows


class Steps(Protocol):
    """What can be generated from: `TokenModel`, or anything that reads a prompt and then steps."""

    def __call__(self, tokens: Tensor, *, mask: Tensor | None = None, state: Any = None) -> tuple[Tensor, Any]: ...

    def step(self, tokens_t: Tensor, state: Any) -> tuple[Tensor, Any]: ...


class Generated(NamedTuple):
    tokens: Tensor  # (B, N) long; what follows a row's stop token is that token again
    lengths: Tensor  # (B,) long; up to and including the stop token


@torch.no_grad()
def generate(
    model: Steps,
    prompt: Tensor,
    n_tokens: int,
    *,
    mask: Tensor | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Generated:
    """Up to n_tokens after each row of prompt (B, T) long, at least one real token a row, padded on the right by mask.

    Temperature 0 takes the likeliest token; otherwise tokens are drawn, from the top_k likeliest, or from the fewest
    likeliest whose probabilities reach top_p, or both. A row that writes a token of `stop` is done and costs nothing
    more. Raises ValueError for an empty prompt or an option out of range.
    """
    if prompt.dim() != 2 or prompt.shape[1] == 0:
        raise ValueError(f"expected a prompt (B, T) with T at least 1, got {tuple(prompt.shape)}")
    if n_tokens < 1 or (top_k is not None and top_k < 1):
        raise ValueError(f"n_tokens and top_k must be positive, got {n_tokens} and {top_k}")
    if temperature < 0:
        raise ValueError(f"temperature must not be negative, got {temperature}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {top_p}")
    last = _last_real(prompt, mask)
    logits, state = model(prompt, mask=mask)
    logits = logits[torch.arange(len(prompt), device=prompt.device), last]  # (B, n_tokens)

    stops = torch.tensor(list(stop), dtype=torch.long, device=prompt.device)
    tokens = prompt.new_zeros(len(prompt), n_tokens)
    lengths = prompt.new_full((len(prompt),), n_tokens)
    rows = torch.arange(len(prompt), device=prompt.device)  # those still being written; logits and state hold these
    for n in range(n_tokens):
        drawn = _draw(logits, temperature, top_k, top_p, generator)
        tokens[rows, n:] = drawn[:, None]
        done = torch.isin(drawn, stops)
        if bool(done.any()):
            lengths[rows[done]] = n + 1
            rows, drawn, left = rows[~done], drawn[~done], (~done).nonzero()[:, 0]
            state = take_rows(state, left)
        if n + 1 == n_tokens or len(rows) == 0:
            break
        logits, state = model.step(drawn, state)
    return Generated(tokens[:, : int(lengths.max())], lengths)


def _last_real(prompt: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return prompt.new_full((len(prompt),), prompt.shape[1] - 1)
    n_real = mask.sum(1)
    if bool((n_real == 0).any()):
        raise ValueError("a row of the prompt has no real token to write on from")
    return n_real - 1


def _draw(
    logits: Tensor, temperature: float, top_k: int | None, top_p: float | None, generator: torch.Generator | None
) -> Tensor:
    """One token a row, (B,), from logits (B, n_tokens)."""
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits.float() / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k, -1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    p = logits.softmax(-1)
    if top_p is not None:
        p_sorted, order = p.sort(-1, descending=True)
        # A token is left out when those likelier than it already reach top_p; the likeliest always stays.
        out = p_sorted.cumsum(-1) - p_sorted >= top_p
        p = p.masked_fill(out.scatter(-1, order, out), 0.0)
    return torch.multinomial(p, 1, generator=generator)[:, 0]
