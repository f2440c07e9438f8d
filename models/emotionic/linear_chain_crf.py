"""An ordinary linear-chain CRF, blind to who speaks: the ablation of SkipCRF, by pytorch-crf where it can."""

import torch
import torchcrf
from torch import Tensor

from kernels import crf
from models.emotionic.chain_crf import ChainCRF, CRFState


class LinearChainCRF(ChainCRF):
    """score(y) = start[y_1] + end[y_N] + sum_i e_i[y_i] + sum_{i>1} transitions[y_{i-1}, y_i].

    Speakers are taken and not read, so that it stands where SkipChainCRF does. The parameters and the
    Viterbi path are pytorch-crf's; log Z, likelihood (which it sums in float32, 0.3 off at 4,096 utterances with large
    emissions), marginals and the live run are ours.
    """

    def __init__(self, n_labels: int) -> None:
        super().__init__(n_labels)
        self.chain = torchcrf.CRF(n_labels, batch_first=True)

    def viterbi(self, emissions: Tensor, speakers: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mask = self._checked(emissions, speakers, mask)
        paths = torch.full(mask.shape, -1, dtype=torch.long, device=emissions.device)
        spoken = mask.any(1)
        if spoken.any():
            found = self.chain.decode(emissions.masked_fill(~mask[..., None], 0.0)[spoken], mask[spoken])
            labels = torch.tensor([label for path in found for label in path], device=paths.device)
            paths = paths.masked_scatter(mask, labels)
        return paths, self._score(emissions, paths, speakers, mask).to(self._answers_in(emissions))

    def initial_state(self, batch: int) -> CRFState:
        device = self.chain.transitions.device
        return CRFState(
            torch.zeros(batch, 1, self.n_labels, dtype=torch.float64, device=device),
            torch.zeros(batch, 0, dtype=torch.long, device=device),
            torch.zeros(batch, dtype=torch.long, device=device),
        )

    def step(self, emission: Tensor, speaker: Tensor, state: CRFState) -> tuple[Tensor, CRFState]:
        kind = torch.where(state.turns == 0, crf.FIRST, crf.SAME)
        chain = self._chain(speaker[:, None], torch.ones_like(speaker[:, None], dtype=torch.bool))
        table = crf.advance(state.table, kind, emission, chain.transition, chain.context)
        p = crf.label_probabilities(table).to(self._answers_in(emission))
        return p, CRFState(table, state.speakers, torch.ones_like(state.turns))

    def _chain(self, speakers: Tensor, mask: Tensor) -> crf.Chain:
        return crf.linear_chain(mask, self.chain.start_transitions, self.chain.end_transitions, self.chain.transitions)

    def _score(self, emissions: Tensor, tags: Tensor, speakers: Tensor, mask: Tensor) -> Tensor:
        if not tags.shape[1]:
            return emissions.new_zeros(len(tags), dtype=torch.float64)
        tags = torch.where(mask, tags, 0)
        emission = torch.where(mask, emissions.double().gather(2, tags[..., None])[..., 0], 0.0)
        edge = torch.where(mask[:, 1:], self.chain.transitions.double()[tags[:, :-1], tags[:, 1:]], 0.0)
        last = tags.gather(1, (mask.sum(1, keepdim=True) - 1).clamp(min=0))[:, 0]
        ends = self.chain.start_transitions.double()[tags[:, 0]] + self.chain.end_transitions.double()[last]
        return emission.sum(1) + edge.sum(1) + torch.where(mask[:, 0], ends, 0.0)
