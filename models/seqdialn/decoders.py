"""From z_t to answers: scores of given options, or words one after another."""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.mixers import build_mixer
from models.mixers.recurrent import RecurrentState
from models.seqdialn.config import SPECIAL_WORDS, SeqDialNConfig

START, END, UNKNOWN = range(SPECIAL_WORDS)
SCALE = 0.25
"""Of the N-pair loss: what divides the scores."""


class Discriminative(nn.Module):
    """s_i = z . o_i, with o_i the last state of an LSTM over option i's token vectors."""

    def __init__(self, config: SeqDialNConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(config.d_text, config.d_answer)
        n = config.n_option_layers
        self.read = build_mixer("lstm", d_model=config.d_answer, n_layers=n) if n else None
        if self.read is None:  # an LSTM's states are small; what stands for them starts small too
            nn.init.normal_(self.embed.weight, std=0.01)
            nn.init.zeros_(self.embed.bias)

    def options(self, words: Tensor, mask: Tensor) -> Tensor:
        """o (N, K) of options' token vectors (N, L, D_text) with mask (N, L). They depend on nothing else, so a fixed
        list of answers is encoded once."""
        x = self.embed(words)
        lengths = mask.sum(1)
        if self.read is None:
            out: Tensor = (x * mask[..., None]).sum(1) / lengths.clamp(min=1)[:, None]
            return out
        y = self.read(x, mask=mask)[0]
        return y[torch.arange(len(y), device=y.device), (lengths - 1).clamp(min=0)]

    def forward(self, z: Tensor, o: Tensor) -> Tensor:
        """z (..., K) and options o (N, K), or (..., N, K) where each z has its own, to scores (..., N)."""
        return z @ o.transpose(-1, -2) if o.dim() == 2 else (o @ z[..., None])[..., 0]


class GenerativeState(NamedTuple):
    words: RecurrentState
    attention: Any


class Generative(nn.Module):
    """An LSTM over the answer's words that starts from h = z in every layer, causal attention over its outputs, and a
    linear layer to the vocabulary.

    One head, no residual, as in the official code, which leaves the logits unscaled; ours have the usual scale, which
    the learned queries can undo. Tokens 0, 1, 2 are START, END and UNKNOWN.
    """

    def __init__(self, config: SeqDialNConfig) -> None:
        super().__init__()
        d, self.n_tokens = config.d_answer, config.n_words + SPECIAL_WORDS
        self.embedding = nn.Embedding(self.n_tokens, d)
        self.read = build_mixer("lstm", d_model=d, n_layers=config.n_decoder_layers)
        self.attention = build_mixer("softmax", d_model=d, n_heads=1, positions="none")
        self.head = nn.Linear(d, self.n_tokens)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(d))

    def initial_state(self, z: Tensor) -> GenerativeState:
        """The state before the first word, for z (B, K)."""
        zero = self.read.initial_state(len(z))
        layers = tuple((z.to(h.dtype), c) for h, c in zero.layers)
        return GenerativeState(zero._replace(layers=layers), self.attention.initial_state(len(z)))

    def forward(self, tokens: Tensor, state: GenerativeState, mask: Tensor | None = None) -> Tensor:
        """Logits of what follows each token (B, L, V), for tokens (B, L) that begin with START."""
        y, _ = self.read(self.embedding(tokens), mask=mask, state=state.words)
        out: Tensor = self.head(self.attention(y, mask=mask, state=state.attention)[0])
        return out

    def step(self, tokens_t: Tensor, state: GenerativeState) -> tuple[Tensor, GenerativeState]:
        """Logits of the next token (B, V) after tokens_t (B,)."""
        y, words = self.read.step(self.embedding(tokens_t), state.words)
        y, attention = self.attention.step(y, state.attention)
        return self.head(y), GenerativeState(words, attention)

    def log_p(self, z: Tensor, answers: Tensor, mask: Tensor) -> Tensor:
        """log p (B, L) of each token of answers (B, L), which end with END; 0 at padding. Teacher-forced."""
        before = torch.cat([answers.new_full((len(answers), 1), START), answers[:, :-1]], 1)
        logits = self(before, self.initial_state(z), mask)
        picked = logits.log_softmax(-1).gather(-1, answers[..., None])[..., 0]
        y: Tensor = picked.masked_fill(~mask, 0.0)
        return y

    def rank(self, z: Tensor, answers: Tensor, mask: Tensor) -> Tensor:
        """The score (B,) an answer is ranked by: its log-probability over the square root of its length."""
        return self.log_p(z, answers, mask).sum(1) / mask.sum(1).clamp(min=1).sqrt()

    def loss(self, z: Tensor, answers: Tensor, mask: Tensor) -> Tensor:
        """The mean cross-entropy of a token, in nats."""
        return -self.log_p(z, answers, mask).sum() / mask.sum().clamp(min=1)


def n_pair_loss(scores: Tensor, gt: Tensor, scale: float = SCALE) -> Tensor:
    """The mean of log sum_i exp((s_i - s_gt) / scale), which is the cross-entropy of scores / scale.

    scores (B, N), gt (B,) long. Options that are not there have a score of -inf.
    """
    return F.cross_entropy(scores / scale, gt)


def adjusted_relevance(relevance: Tensor, gt: Tensor) -> Tensor:
    """(r_i + 2 [i = gt]) / 3: dense annotations (B, N) with the human answer kept on top."""
    return (relevance + 2 * F.one_hot(gt, relevance.shape[-1])) / 3


def dense_loss(scores: Tensor, relevance: Tensor) -> Tensor:
    """GCE: the mean over rounds of - sum_i r_i log softmax(s)_i, (B, N) each; relevances need not sum to 1."""
    log_p = scores.log_softmax(-1)
    # An absent option has log p = -inf and relevance 0, whose product must be nothing.
    return -(relevance * log_p.masked_fill(relevance == 0, 0.0)).sum(-1).mean()
