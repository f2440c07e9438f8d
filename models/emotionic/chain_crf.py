"""What can be asked of a CRF over a dialogue, whichever edges it has."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kernels import crf


class CRFState(NamedTuple):
    """A live dialogue: all that later labels depend on."""

    table: Tensor
    """(B, R, L) float64: log-probabilities of the labels still linked to what comes, the current one last."""
    speakers: Tensor
    """(B, K) long: who speaks now, who spoke the turn before, and so on; read only as far as `turns` goes."""
    turns: Tensor
    """(B,) long: turns so far, 0 before the first utterance."""


class ChainCRF(nn.Module, ABC):
    """Exact sums and maxima over all labellings of a dialogue; the subclasses say which edges there are.

    Everywhere emissions are (B, N, L) of any magnitude, -inf included where a label cannot be; speakers (B, N) are
    integers of which only equality matters; mask (B, N) is True on real utterances, padding on the right, and None
    means all real. A dialogue without utterances has log Z 0. ValueError on shapes that disagree. Sums are made in
    float64 and answered in the wider of the emissions' and the parameters' types.
    """

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        if n_labels < 1:
            raise ValueError(f"n_labels is {n_labels}, expected at least 1")
        self.n_labels = n_labels

    def log_partition(self, emissions: Tensor, speakers: Tensor, mask: Tensor | None = None) -> Tensor:
        """log Z (B,): log of the sum of exp(score) over every labelling."""
        mask = self._checked(emissions, speakers, mask)
        return self._log_partition(emissions, speakers, mask).to(self._answers_in(emissions))

    def score(self, emissions: Tensor, tags: Tensor, speakers: Tensor, mask: Tensor | None = None) -> Tensor:
        """The score (B,) of the labelling tags (B, N) long; tags on padding are not read."""
        mask = self._checked(emissions, speakers, mask, tags)
        return self._score(emissions, tags, speakers, mask).to(self._answers_in(emissions))

    def log_likelihood(self, emissions: Tensor, tags: Tensor, speakers: Tensor, mask: Tensor | None = None) -> Tensor:
        """log P(tags) (B,), never above 0 but for rounding: score less log Z, subtracted in float64."""
        mask = self._checked(emissions, speakers, mask, tags)
        difference = self._score(emissions, tags, speakers, mask) - self._log_partition(emissions, speakers, mask)
        return difference.to(self._answers_in(emissions))

    def marginals(self, emissions: Tensor, speakers: Tensor, mask: Tensor | None = None) -> Tensor:
        """P(y_i = c) given the whole dialogue, (B, N, L): rows sum to 1, zero on padding."""
        mask = self._checked(emissions, speakers, mask)
        return crf.marginals(emissions.to(self._answers_in(emissions)), self._chain(speakers, mask))

    def viterbi(self, emissions: Tensor, speakers: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The labelling of highest score (B, N) long, -1 on padding, and that score (B,)."""
        mask = self._checked(emissions, speakers, mask)
        paths, scores = crf.viterbi(emissions, self._chain(speakers, mask))
        return paths, scores.to(self._answers_in(emissions))

    def posterior_decode(self, emissions: Tensor, speakers: Tensor, mask: Tensor | None = None) -> Tensor:
        """The likeliest label of each utterance by itself (B, N) long, -1 on padding: the fewest errors expected."""
        labels = self.marginals(emissions, speakers, mask).argmax(-1)
        return labels if mask is None else labels.masked_fill(~mask, -1)

    def filtered(self, emissions: Tensor, speakers: Tensor, mask: Tensor | None = None) -> Tensor:
        """P(y_i = c) given utterances 1 to i alone, (B, N, L), zero on padding: what `step` says, all at once."""
        mask = self._checked(emissions, speakers, mask)
        return crf.follow(emissions.to(self._answers_in(emissions)), self._chain(speakers, mask))

    @abstractmethod
    def initial_state(self, batch: int) -> CRFState:
        """Dialogues before their first utterance."""

    @abstractmethod
    def step(self, emission: Tensor, speaker: Tensor, state: CRFState) -> tuple[Tensor, CRFState]:
        """One utterance: emission (B, L), speaker (B,) long to P(its label | everything so far) (B, L), new state."""

    @abstractmethod
    def _chain(self, speakers: Tensor, mask: Tensor) -> crf.Chain: ...

    @abstractmethod
    def _score(self, emissions: Tensor, tags: Tensor, speakers: Tensor, mask: Tensor) -> Tensor:
        """The score in float64."""

    def _log_partition(self, emissions: Tensor, speakers: Tensor, mask: Tensor) -> Tensor:
        return crf.log_partition(emissions, self._chain(speakers, mask))

    def _checked(self, emissions: Tensor, speakers: Tensor, mask: Tensor | None, tags: Tensor | None = None) -> Tensor:
        """The mask, once everything fits."""
        shape = tuple(speakers.shape)
        if tuple(emissions.shape) != (*shape, self.n_labels):
            raise ValueError(
                f"emissions are {tuple(emissions.shape)}; speakers and labels ask for {(*shape, self.n_labels)}"
            )
        if tags is not None and tuple(tags.shape) != shape:
            raise ValueError(f"tags are {tuple(tags.shape)}, expected {shape}")
        if mask is None:
            return torch.ones_like(speakers, dtype=torch.bool)
        if tuple(mask.shape) != shape or mask.dtype != torch.bool:
            raise ValueError(f"the mask is {tuple(mask.shape)} {mask.dtype}, expected {shape} torch.bool")
        if (mask[:, 1:] & ~mask[:, :-1]).any():
            raise ValueError("the mask has a real utterance after a padded one; padding goes on the right")
        return mask

    def _answers_in(self, emissions: Tensor) -> torch.dtype:
        return torch.promote_types(emissions.dtype, next(self.parameters()).dtype)
