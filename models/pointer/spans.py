"""The words of an utterance that caused an emotion: how likely each span of its tokens is, and which one to show."""

import torch
from torch import Tensor, nn


class SpanPointer(nn.Module):
    """Two pointers into a candidate's tokens that know of each other: a logit for every span.

        h = convolutions over the candidate's tokens, what they attend to in the target, and the target's query
        u(a, z) = s . h_a + e . h_z + (S h_a) . (E h_z) + w[z - a]

    Start and end apart cannot say "either the whole or this clause": they would mix the two.
    """

    def __init__(self, d_query: int, d_token: int, d_model: int, cap: int, dropout: float) -> None:
        """`cap` is how many tokens the longest span has."""
        super().__init__()
        self.cap = cap
        self.enter = nn.Linear(d_token, d_model)
        self.ask = nn.Linear(d_query, d_model)
        self.edge = nn.Embedding(4, d_model)
        self.look = nn.Linear(d_token, d_token, bias=False)
        self.seen = nn.Linear(d_token, d_model)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(d_model, d_model, 5, padding=2 * dilation, dilation=dilation) for dilation in (1, 2)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(3))
        self.ends = nn.Linear(d_model, 2)
        self.first = nn.Linear(d_model, d_model // 2)
        self.last = nn.Linear(d_model, d_model // 2)
        self.length = nn.Embedding(cap, 1)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.length.weight)

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor, target: Tensor, target_mask: Tensor) -> Tensor:
        """Logits (P, K, K) of spans, first token before last; -inf where there is none.

        query (P, d_query), tokens (P, K, d_token) of the candidate and their mask, target (P, T, d_token) and its mask.
        """
        place = torch.arange(tokens.shape[1], device=tokens.device)
        edges = (place == 0).long() + 2 * (place == mask.sum(1, keepdim=True) - 1).long()
        alike = self.look(tokens) @ target.transpose(1, 2) / tokens.shape[-1] ** 0.5
        weights = alike.masked_fill(~target_mask[:, None], -1e4).softmax(-1) * target_mask[:, None]
        h = self.enter(tokens) + self.edge(edges) + self.ask(query)[:, None] + self.seen(weights @ target)
        *before, after = self.norms
        for norm, convolution in zip(before, self.convolutions, strict=True):
            z = self.dropout(norm(h)) * mask[..., None]
            h = h + torch.relu(convolution(z.transpose(1, 2))).transpose(1, 2)
        h = self.dropout(after(h))
        start, end = self.ends(h).unbind(-1)
        joint = self.first(h) @ self.last(h).transpose(1, 2) / self.first.out_features**0.5
        length = place - place[:, None]  # (first, last)
        u = start[:, :, None] + end[:, None] + joint + self.length(length.clamp(0, self.cap - 1))[..., 0]
        legal = (length >= 0) & (length < self.cap) & mask[:, :, None] & mask[:, None]
        y: Tensor = u.masked_fill(~legal, -torch.inf)
        return y


def best_spans(logits: Tensor, exact: float = 1.0, among: int = 24) -> Tensor:
    """First and last token (P, 2) of the span that scores best in the mean, as likely as the logits (P, K, K) say.

    A span scores `exact` where it is the true one, and besides (1 - exact) times the F1 of its tokens against the true
    one's. With `exact` 1 that is the likeliest span; less prefers what overlaps with many that are likely, the whole
    utterance where nothing is sure. Only the likeliest `among` spans are weighed. A row without any token is not
    allowed.
    """
    k = logits.shape[1]
    likeliest = logits.flatten(1).topk(min(among, k * k), dim=1)
    p = likeliest.values.softmax(1)  # (P, M)
    first, last = likeliest.indices // k, likeliest.indices % k
    size = last - first + 1
    common = torch.minimum(last[:, :, None], last[:, None]) - torch.maximum(first[:, :, None], first[:, None]) + 1
    f1 = 2 * common.clamp(min=0) / (size[:, :, None] + size[:, None]).clamp(min=1)
    score = (1 - exact) * (f1 * p[:, None]).sum(2) + exact * p
    best = score.masked_fill(likeliest.values == -torch.inf, -1.0).argmax(1, keepdim=True)
    return torch.cat([first.gather(1, best), last.gather(1, best)], 1)
