"""The towers of a bi-encoder over frozen sentence vectors (Humeau et al. 2020, section 4.2, on heads of its own)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.responder.config import TowersConfig


class ReplyTowers(nn.Module):
    """Says where in one space a conversation and a reply lie: what answers well is near.

    Each tower is a projection plus a correction by one hidden layer, which begins at nothing: untrained, the towers
    are the encoder's own cosine, as far as `start_at` projects it.
    """

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        self.config = config
        d, h, n = config.d_text, config.d_hidden, len(config.emotions) + 1
        self.felt = nn.Embedding(n, 16)
        self.to_feel = nn.Embedding(n, 16)
        self.context_skip = nn.Linear(d, config.d_out, bias=False)
        self.context_in = nn.Linear(config.n_messages * d + 32, h)
        self.context_out = nn.Linear(h, config.d_out)
        self.reply_skip = nn.Linear(d, config.d_out, bias=False)
        self.reply_in = nn.Linear(d, h)
        self.reply_out = nn.Linear(h, config.d_out)
        self.log_scale = nn.Parameter(torch.tensor(3.0))
        """Natural logarithm of what a cosine is multiplied by in the loss."""
        for layer in (self.context_out, self.reply_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def start_at(self, projection: Tensor) -> None:
        """Gives both towers the same projection (d_out, d_text) to begin with."""
        self.context_skip.weight.copy_(projection)
        self.reply_skip.weight.copy_(projection)

    def context(self, messages: Tensor, felt: Tensor, to_feel: Tensor) -> Tensor:
        """Unit vectors (B, d_out) of what was said.

        messages (B, n_messages, d_text) sentence vectors, the last message first, zeros where there was none; felt and
        to_feel (B,) places in `emotions` of the last message's emotion and of the one to answer with, `len(emotions)`
        where it is not known.
        """
        emotions = torch.cat([self.felt(felt), self.to_feel(to_feel)], -1)
        x = F.dropout(torch.cat([messages.flatten(1), emotions], -1), self.config.dropout, self.training)
        hidden = F.dropout(F.gelu(self.context_in(x)), self.config.dropout, self.training)
        return F.normalize(self.context_skip(messages[:, 0]) + self.context_out(hidden), dim=-1)

    def reply(self, texts: Tensor) -> Tensor:
        """Unit vectors (B, d_out) of replies, of their sentence vectors (B, d_text)."""
        x = F.dropout(texts, self.config.dropout, self.training)
        hidden = F.dropout(F.gelu(self.reply_in(x)), self.config.dropout, self.training)
        return F.normalize(self.reply_skip(texts) + self.reply_out(hidden), dim=-1)


def contrastive_loss(context: Tensor, reply: Tensor, same: Tensor, log_scale: Tensor) -> Tensor:
    """How badly each context finds its own reply among the batch's, and each reply its context (symmetric InfoNCE).

    context and reply (B, d) unit vectors, row by row; same (B, B) True where a reply's text is also another row's, its
    diagonal included: such a pair is no mistake and is left out.
    """
    scores = context @ reply.T * log_scale.exp().clamp(max=100)
    others = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    scores = scores.masked_fill(others, -torch.inf)
    right = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, right) + F.cross_entropy(scores.T, right)) / 2
