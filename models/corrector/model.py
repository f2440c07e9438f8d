"""What was meant by words as they were typed, and which word comes next.

After Ghosh and Kristensson (2017): a CNN over characters and a GRU over words read what was typed, a GRU over words
with attention says what was meant. Ours chooses among candidates at each place rather than from a closed vocabulary,
and the typed word is one of them: to leave good text alone is the commonest answer. The decoder hears only what was
meant before a place, so that the same state tells which word comes next.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbone import Backbone, BackboneState
from models.corrector.characters import CharacterWords
from models.corrector.config import CorrectorConfig
from models.pointer.attention import PointerAttention


class Read(NamedTuple):
    """Messages as they were typed, read once."""

    words: Tensor  # (B, T, D): each word by its characters alone
    states: Tensor  # (B, T, D): and among its neighbours on both sides
    mask: Tensor  # (B, T), True on words
    keys: Tensor  # (B, T, D): what attention compares


class Corrector(nn.Module):
    """Words by their characters, both directions, attention, and the scores of candidates and of next words."""

    def __init__(self, config: CorrectorConfig) -> None:
        super().__init__()
        self.config = config
        d = config.d_model
        self.characters = CharacterWords(config.d_char, config.n_filters, d)
        self.forwards = Backbone(config.encoder_backbone)
        self.backwards = Backbone(config.encoder_backbone)
        self.decoder = Backbone(config.decoder_backbone)
        self.attention = PointerAttention(d, d, d // 2)
        self.nearness = nn.Parameter(torch.tensor(0.5))
        self.dropout = nn.Dropout(config.dropout)
        self.query = nn.Sequential(nn.Linear(4 * d, d), nn.GELU(), nn.Linear(d, config.d_query))
        self.meant = nn.Linear(d, config.d_query)
        self.known = nn.Sequential(nn.Linear(config.n_features + config.d_query, 48), nn.GELU(), nn.Linear(48, 1))
        self.keep = nn.Sequential(nn.Linear(config.d_query + config.n_features, 48), nn.GELU(), nn.Linear(48, 1))
        self.next_query = nn.Linear(d, config.d_word)
        self.next_words = nn.Parameter(torch.randn(config.n_words, config.d_word) * config.d_word**-0.5)
        self.next_bias = nn.Parameter(torch.zeros(config.n_words))

    def vectors(self, characters: Tensor) -> Tensor:
        """Word vectors (..., D) of character numbers (..., L)."""
        flat: Tensor = self.characters(characters.flatten(0, -2))
        return flat.view(*characters.shape[:-1], -1)

    def read(self, words: Tensor, mask: Tensor) -> Read:
        """Typed words as vectors (B, T, D), mask (B, T) True on words, padding on the right."""
        ahead, _ = self.forwards(self.dropout(words), mask=mask)
        back, _ = self.backwards(self.dropout(reversed_rows(words, mask)), mask=mask)
        states = ahead + reversed_rows(back, mask)  # directions summed, as in Zhang et al. (2019)
        return Read(words, states, mask, self.attention.keys(states))

    def speak(self, meant: Tensor, mask: Tensor, state: BackboneState | None = None) -> tuple[Tensor, BackboneState]:
        """Decoder states (B, T, D) of the words meant before each place (B, T, D): zeros stand before the first."""
        y: tuple[Tensor, BackboneState] = self.decoder(self.dropout(meant), mask=mask, state=state)
        return y

    def queries(self, read: Read, spoken: Tensor, place: int = 0) -> Tensor:
        """What each place asks its candidates, (B, M, d_query), of the decoder's states there (B, M, D).

        The M places are consecutive, the first of them `place`. Attention goes over all words as typed, more to nearer
        ones.
        """
        n = spoken.shape[1]
        scores = self.attention(spoken, read.keys, allowed=read.mask[:, None])
        at = torch.arange(place, place + n, device=spoken.device)
        away = (at[:, None] - torch.arange(read.mask.shape[1], device=spoken.device)).abs()
        found = (scores - F.softplus(self.nearness) * away).softmax(-1).nan_to_num(0.0) @ read.states
        here = slice(place, place + n)
        y: Tensor = self.query(self.dropout(torch.cat([spoken, found, read.states[:, here], read.words[:, here]], -1)))
        return y

    def scores(self, queries: Tensor, typed: Tensor, candidates: Tensor, features: Tensor, allowed: Tensor) -> Tensor:
        """Log-probabilities (M, 1 + C) of M places: to keep the typed word first, then each candidate.

        queries (M, d_query); typed (M, F) is known of the typed word by itself; candidates (M, C, D) are word vectors,
        features (M, C, F) what is known of the pair, allowed (M, C) True where there is a candidate.
        """
        keep = self.keep(torch.cat([queries, typed], -1))
        vectors = self.meant(candidates)
        alike = (queries[:, None] * vectors).sum(-1) * self.config.d_query**-0.5
        beside = queries[:, None].expand(-1, candidates.shape[1], -1)
        scores = alike + self.known(torch.cat([features, beside], -1))[..., 0]
        return torch.cat([keep, scores.masked_fill(~allowed, -torch.inf)], -1).log_softmax(-1)

    def next_scores(self, spoken: Tensor) -> Tensor:
        """Logits (..., n_words) of the word at the place a decoder state (..., D) stands before."""
        y: Tensor = self.next_query(spoken) @ self.next_words.T + self.next_bias
        return y


def shifted(meant: Tensor) -> Tensor:
    """Word vectors (B, T, D) moved one place to the right, zeros first: what was meant before each place."""
    return F.pad(meant, (0, 0, 1, 0))[:, :-1]


def reversed_rows(x: Tensor, mask: Tensor) -> Tensor:
    """Each row's real steps from the last to the first, padding where it was; x (B, T, D), mask (B, T)."""
    n = mask.sum(-1, keepdim=True)
    place = torch.arange(mask.shape[1], device=x.device).expand_as(mask)
    back = torch.where(mask, n - 1 - place, place)
    return x.gather(1, back[..., None].expand_as(x))
