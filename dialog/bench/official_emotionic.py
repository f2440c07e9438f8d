"""EmotionIC at its official default size, plainly written: something to time ours against, and an oracle in tests.

3 DialogGRU layers of 768, 5 attention layers with 8 heads and a feed-forward of 768, a skip-chain CRF. Time comes
first in every tensor, (T, B, ...), padded steps are computed in full, and Python walks over time, over the rows'
earlier states and over the dialogues, as in the published code. Nothing here is used by the product.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PlainEmotionIC(nn.Module):
    """Features x (T, B, D), speakers (T, B), mask (T, B) to log-probabilities (T, B, L)."""

    def __init__(
        self,
        n_labels: int,
        d_features: int = 384,
        *,
        d_hidden: int = 768,
        n_attention_layers: int = 5,
        n_gru_layers: int = 3,
        n_heads: int = 8,
    ) -> None:
        super().__init__()
        self.attention = nn.ModuleList(PlainAttention(d_features, n_heads, d_hidden) for _ in range(n_attention_layers))
        self.gru = nn.ModuleList(PlainGRU(d_features if i == 0 else d_hidden, d_hidden) for i in range(n_gru_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(d) for d in (d_features, d_hidden, d_features))
        self.fuse = nn.Linear(2 * d_features + d_hidden, d_hidden)
        self.classify = nn.Linear(d_hidden, n_labels)
        self.crf = PlainSkipCRF(n_labels)

    def forward(self, x: Tensor, speakers: Tensor, mask: Tensor) -> Tensor:
        g = local = x
        for layer in self.attention:
            g = layer(g, speakers, mask)
        for layer in self.gru:
            local = layer(local, speakers)
        parts = [norm(z) for norm, z in zip(self.norms, (g, local, x), strict=True)]
        log_p: Tensor = self.classify(self.fuse(torch.cat(parts, -1))).log_softmax(-1)
        return log_p

    def label(self, x: Tensor, speakers: Tensor, mask: Tensor) -> list[list[int]]:
        """The best labelling of every dialogue."""
        return self.crf.decode(self(x, speakers, mask), speakers, mask)


class PlainAttention(nn.Module):
    """A post-norm layer of identity-masked attention: one softmax over keys kS of the same speaker and kO of others.

    Scores are not scaled, and positions count from the middle of the padded length, both as published.
    """

    def __init__(self, d_model: int, n_heads: int, d_hidden: int) -> None:
        super().__init__()
        self.n_heads, self.width = n_heads, d_model // n_heads
        self.query, self.key_same, self.key_other, self.value = (
            nn.Linear(d_model, d_model, bias=False) for _ in range(4)
        )
        self.position = nn.Linear(self.width, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model)
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.feedforward = nn.Sequential(nn.Linear(d_model, d_hidden), nn.ReLU(), nn.Linear(d_hidden, d_model))

    def forward(self, x: Tensor, speakers: Tensor, mask: Tensor) -> Tensor:
        n, batch, d = x.shape
        q, k_same, k_other, v = (
            project(x).view(n, batch, self.n_heads, self.width).permute(1, 2, 0, 3)
            for project in (self.query, self.key_same, self.key_other, self.value)
        )  # (B, H, T, K)
        table = _sinusoid(torch.arange(n) + math.trunc(-n / 2), self.width)
        at_q, at_same, at_other = self.position(table).view(n, 3, self.n_heads, self.width).permute(1, 2, 0, 3)
        same = (speakers.t()[:, :, None] == speakers.t()[:, None])[:, None]  # (B, 1, T, T)
        scores = (q @ k_same.mT + at_q @ at_same.mT) * same + (q @ k_other.mT + at_q @ at_other.mT) * ~same
        weights = scores.masked_fill(~mask.t()[:, None, None].bool(), -torch.inf).softmax(-1)
        y = self.out((weights @ v).permute(2, 0, 1, 3).reshape(n, batch, d))
        x = self.norm1(x + y)
        after: Tensor = self.norm2(x + self.feedforward(x))
        return after


class PlainGRU(nn.Module):
    """A layer of DialogGRU: ten small products a step, the earlier states of every row looked up one by one."""

    def __init__(self, d_in: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.x_r, self.x_s, self.x_z, self.x_n = (nn.Linear(d_in, width) for _ in range(4))
        self.contagion_r, self.contagion_z, self.contagion_n = (nn.Linear(width, width) for _ in range(3))
        self.inertia_s, self.inertia_z, self.inertia_n = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor, speakers: Tensor) -> Tensor:
        links = [plain_links(row) for row in speakers.t().tolist()]
        outputs: list[Tensor] = []
        nothing = x.new_zeros(self.width)
        for t, x_t in enumerate(x):
            inertia, contagion = [], []
            for b, row in enumerate(links):
                earlier, p_inertia, p_contagion = row[t]
                inertia.append(nothing if earlier is None else outputs[earlier][b] * p_inertia)
                contagion.append(outputs[t - 1][b] * p_contagion if p_contagion else nothing)
            h_i, h_c = torch.stack(inertia), torch.stack(contagion)
            r = torch.sigmoid(self.x_r(x_t) + self.contagion_r(h_c))
            s = torch.sigmoid(self.x_s(x_t) + self.inertia_s(h_i))
            z = torch.sigmoid(self.x_z(x_t) + self.contagion_z(h_c) + self.inertia_z(h_i))
            new = torch.tanh(self.x_n(x_t) + r * self.contagion_n(h_c) + s * self.inertia_n(h_i))
            outputs.append((1 - z) * new + z * h_i)
        return torch.stack(outputs)


def plain_links(speakers: Sequence[int]) -> list[tuple[int | None, float, float]]:
    """For each utterance: the one whose state it inherits, that state's weight, and the weight of the last one's.

    A state is inherited within a turn, and over exactly one turn of somebody else, weighted sigm(3 - utterances in
    between); the last utterance's state counts where somebody else spoke it, weighted sigm(half the length of the
    A-B-A-B alternation so far).
    """
    links: list[tuple[int | None, float, float]] = []
    turns: list[list[int]] = []  # the utterances of each turn
    run = 0
    for i, speaker in enumerate(speakers):
        if turns and speakers[i - 1] == speaker:
            turns[-1].append(i)
            links.append((i - 1, _sigmoid(3), 0.0))
            continue
        turns.append([i])
        if i == 0:
            links.append((None, 0.0, 0.0))
            continue
        earlier = turns[-3][-1] if len(turns) > 2 and speakers[turns[-3][-1]] == speaker else None
        run = 0 if earlier is None else run + 1
        weight = 0.0 if earlier is None else _sigmoid(3 - (i - earlier - 1))
        links.append((earlier, weight, _sigmoid(run / 2)))
    return links


class PlainSkipCRF(nn.Module):
    """The skip-chain CRF's best labelling, dialogue by dialogue, utterance by utterance."""

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        self.start, self.end = nn.Parameter(torch.zeros(n_labels)), nn.Parameter(torch.zeros(n_labels))
        self.same, self.other = (nn.Parameter(torch.rand(n_labels, n_labels) * 0.2 - 0.1) for _ in range(2))

    def decode(self, emissions: Tensor, speakers: Tensor, mask: Tensor) -> list[list[int]]:
        """The labels of each dialogue, emissions (T, B, L)."""
        lengths = mask.sum(0).tolist()
        return [self._best(emissions[:n, b], speakers[:n, b].tolist()) for b, n in enumerate(lengths)]

    def _best(self, emissions: Tensor, speakers: list[int]) -> list[int]:
        """best[a, b]: the highest score with label a at the last utterance of the turn before, and label b now."""
        turns = [0]  # each turn's first utterance
        best = torch.full_like(self.same, -1e4)
        best[0] = self.start + emissions[0]
        back: list[tuple[bool, Tensor]] = []
        for i in range(1, len(speakers)):
            if speakers[i] == speakers[i - 1]:
                best, from_label = (best[:, :, None] + self.same).max(1)  # over the label before, within the turn
                back.append((False, from_label))
            else:
                turns.append(i)
                skips = len(turns) > 2 and speakers[turns[-3]] == speakers[i]
                reached = best[:, :, None] + (self.same[:, None] if skips else 0.0)  # (a, b, new)
                best, from_label = reached.expand(-1, -1, len(self.start)).max(0)  # over a, which is out of reach now
                best = best + self.other
                back.append((True, from_label))
            best = best + emissions[i]
        a, b = divmod(int((best + self.end).argmax()), len(self.start))
        path = [b]
        for opened, from_label in reversed(back):
            a, b = (int(from_label[a, b]), a) if opened else (a, int(from_label[a, b]))
            path.append(b)
        return path[::-1]


def _sinusoid(positions: Tensor, width: int) -> Tensor:
    rates = torch.exp(-math.log(10000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = positions[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
