"""The last entries of every row, right-aligned: what a key cache keeps, with rows that end at different lengths."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def last(entries: Tensor, width: int, n_new: int, lengths: Tensor | None) -> Tensor:
    """The `width` entries before each row's end: (B, S, ...) to (B, width, ...).

    entries holds S - n_new old entries and then n_new new ones, of which row b has lengths[b] real (None: all).
    What lies before a row's first entry means nothing, so the caller keeps a count beside it.
    """
    if torch.compiler.is_compiling():
        # A graph does not ask whether there are fewer entries than wanted: there never are.
        entries = pad(entries, (0, 0) * (entries.dim() - 2) + (width, 0))
    batch, n_entries = entries.shape[:2]
    n_kept = min(width, n_entries)
    if lengths is None:
        kept = entries[:, n_entries - n_kept :]
    else:
        # Whole slots are copied by number, which is much quicker than gathering their elements.
        slot = n_entries - n_new - n_kept + lengths[:, None] + torch.arange(n_kept, device=entries.device)
        row = torch.arange(batch, device=entries.device)[:, None] * n_entries
        kept = entries.flatten(0, 1).index_select(0, (row + slot.clamp(min=0)).flatten())
        kept = kept.view(batch, n_kept, *entries.shape[2:])
    return pad(kept, (0, 0) * (entries.dim() - 2) + (width - n_kept, 0))
