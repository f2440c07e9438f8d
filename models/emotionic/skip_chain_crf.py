"""SkipCRF: a CRF over a dialogue's emotions in which a speaker's mood is carried over the other's turn."""

import torch
from torch import Tensor, nn

from kernels import crf
from models.emotionic.chain_crf import ChainCRF, CRFState


class SkipChainCRF(ChainCRF):
    """EmotionIC's CRF (arXiv 2303.11117, edges as in its official code).

        score(y) = start[y_1] + end[y_N] + sum_i e_i[y_i]
                 + sum_{i>1}  same[y_{i-1}, y_i] if the speaker stays, other[y_{i-1}, y_i] if it changes
                 + sum over turn openers i of same[y_j, y_i], j the same speaker's last utterance,
                   if at most max_skip foreign turns lie between

    The paper has max_skip 1. 2 and more, an ablation, also link speakers who were silent for longer; 0 has no skip
    edges. All are exact, see kernels/crf/structure.py, at a time of N L^(max_skip + 2) and a memory of
    N L^(max_skip + 1) a dialogue.
    """

    def __init__(self, n_labels: int, *, max_skip: int = 1) -> None:
        super().__init__(n_labels)
        if max_skip < 0:
            raise ValueError(f"max_skip is {max_skip}, expected at least 0")
        self.max_skip = max_skip
        self.start = nn.Parameter(torch.empty(n_labels).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(n_labels).uniform_(-0.1, 0.1))
        self.same = nn.Parameter(torch.empty(n_labels, n_labels).uniform_(-0.1, 0.1))
        self.other = nn.Parameter(torch.empty(n_labels, n_labels).uniform_(-0.1, 0.1))

    def initial_state(self, batch: int) -> CRFState:
        device = self.start.device
        return CRFState(
            torch.zeros(batch, self.n_labels**self.max_skip, self.n_labels, dtype=torch.float64, device=device),
            torch.zeros(batch, self.max_skip + 1, dtype=torch.long, device=device),
            torch.zeros(batch, dtype=torch.long, device=device),
        )

    def step(self, emission: Tensor, speaker: Tensor, state: CRFState) -> tuple[Tensor, CRFState]:
        opens = (state.turns == 0) | (speaker != state.speakers[:, 0])
        kind = torch.where(opens, crf.TURN, crf.SAME)
        for distance in range(1, self.max_skip + 1):
            back = (state.turns > distance) & (speaker == state.speakers[:, distance]) & (kind == crf.TURN)
            kind = torch.where(back, crf.TURN + distance, kind)
        kind = torch.where(state.turns == 0, crf.FIRST, kind)
        transition, context = crf.tables(self.start, self.same, self.other, self.max_skip)
        table = crf.advance(state.table, kind, emission, transition, context)
        speakers = torch.cat([speaker[:, None], state.speakers[:, :-1]], 1)
        speakers = torch.where(opens[:, None], speakers, state.speakers)
        p = crf.label_probabilities(table).to(self._answers_in(emission))
        return p, CRFState(table, speakers, state.turns + opens)

    def _chain(self, speakers: Tensor, mask: Tensor) -> crf.Chain:
        return crf.skip_chain(speakers, mask, self.start, self.end, self.same, self.other, self.max_skip)

    def _score(self, emissions: Tensor, tags: Tensor, speakers: Tensor, mask: Tensor) -> Tensor:
        batch, n = tags.shape
        if n == 0:
            return emissions.new_zeros(batch, dtype=torch.float64)
        tags = torch.where(mask, tags, 0)
        same, other = self.same.double(), self.other.double()
        _, link = crf.steps(speakers, self.max_skip)
        before, now = tags[:, :-1], tags[:, 1:]
        stays = speakers[:, 1:] == speakers[:, :-1]
        edge = torch.where(stays, same[before, now], other[before, now])
        skip = torch.where(link >= 0, same[tags.gather(1, link.clamp(min=0)), tags], 0.0)
        emission = emissions.double().gather(2, tags[..., None])[..., 0]
        inside = torch.where(mask, emission + skip, 0.0).sum(1) + torch.where(mask[:, 1:], edge, 0.0).sum(1)
        last = tags.gather(1, (mask.sum(1, keepdim=True) - 1).clamp(min=0))[:, 0]
        ends = self.start.double()[tags[:, 0]] + self.end.double()[last]
        return inside + torch.where(mask[:, 0], ends, 0.0)
