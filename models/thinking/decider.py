"""The decider: whether a token is worth another pass."""

from typing import cast

import torch
from torch import Tensor, nn

from models.thinking.config import ThinkingConfig


class Decider(nn.Module):
    """A logit a token, from chosen layers' outputs and the likeliest logits   (the authors' code; sheet, section 2).

    Linear to a narrow width, residual blocks of norm and a GELU unit four times as wide, a norm, linear to one.
    Kaiming normal weights and zero biases.
    """

    def __init__(self, config: ThinkingConfig) -> None:
        super().__init__()
        d, width = config.decoder.d_model, config.decider_width
        self.top_k = min(config.top_k, config.decoder.n_tokens)
        self.logits = nn.Linear(self.top_k, d)
        self.narrow = nn.Linear((len(config.layers) + 1) * d, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, 4 * width),
                nn.GELU(),
                nn.Dropout(config.dropout),
                nn.Linear(4 * width, width),
            )
            for _ in range(config.decider_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 1)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, outputs: list[Tensor], logits: Tensor) -> Tensor:
        """(B, M) logits of thinking again, from layers' outputs (B, M, D) each and the logits so far (B, M, V)."""
        likeliest = logits.topk(self.top_k, -1).values
        x = self.narrow(torch.cat([*outputs, self.logits(likeliest)], -1))
        for block in cast(list[nn.Sequential], self.blocks):
            x = x + block(x)
        y: Tensor = self.out(self.norm(x))[..., 0]
        return y
