"""Words as the numbers of their characters, and convolutions that read them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PAD, START, END, OTHER = range(4)
_KNOWN = "abcdefghijklmnopqrstuvwxyz'-0123456789.,?!:;()\"/@#&* "
_INDEX = {c: i + 4 for i, c in enumerate(_KNOWN)}
N_CHARACTERS = len(_KNOWN) + 4
LONGEST = 22
"""Characters of a word that are read, its marks for start and end among them."""


def encode_words(words: Sequence[str]) -> Tensor:
    """Character numbers (N, L), L the longest of them, at most LONGEST; case is not seen, longer words are cut."""
    rows = [[START, *(_INDEX.get(c, OTHER) for c in word.lower()[: LONGEST - 2]), END] for word in words]
    width = max((len(row) for row in rows), default=2)
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows], dtype=torch.long).view(-1, width)


class CharacterWords(nn.Module):
    """A vector a word from its characters alone: max over time of convolutions of several widths (Kim et al. 2016).

    h_w = max_k tanh(F_w x_{k:k+w-1} + b), all widths side by side, then a linear layer and a norm. So a word nobody has
    seen has a vector too, and the vectors of "tommorow" and "tomorrow" are alike.
    """

    def __init__(self, d_char: int, n_filters: Sequence[int], d_model: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(N_CHARACTERS, d_char, padding_idx=PAD)
        self.convolutions = nn.ModuleList(nn.Conv1d(d_char, n, width) for width, n in enumerate(n_filters, 1))
        self.join = nn.Linear(sum(n_filters), d_model)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, characters: Tensor) -> Tensor:
        """Vectors (N, d_model) of character numbers (N, L); what padding follows a word changes nothing."""
        widest = len(self.convolutions)
        n_real = (characters != PAD).sum(-1)  # (N,)
        x = self.embed(characters).transpose(1, 2)  # (N, d_char, L)
        x = F.pad(x, (0, widest - 1))
        found = []
        for width, convolution in enumerate(self.convolutions, 1):
            y = torch.tanh(convolution(x))  # (N, n_filters, L + widest - width)
            # A window that begins on a character of the word counts, all others see padding alone.
            place = torch.arange(y.shape[-1], device=y.device)
            begins = place < (n_real - width + 1).clamp(min=1)[:, None]
            found.append(y.masked_fill(~begins[:, None], -1.0).amax(-1))
        vectors: Tensor = self.norm(self.join(torch.cat(found, -1)))
        return vectors
