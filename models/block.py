"""One layer of a backbone: norm, sequence mixer, norm, feed-forward, each half around a residual."""

from typing import Any, Literal

from torch import Tensor, nn

from models.mixers.base import SequenceMixer
from models.residual import Residual, ResidualKind

NormPlace = Literal["pre", "post"]
NormKind = Literal["layer", "rms"]


def build_norm(kind: NormKind, d_model: int, eps: float = 1e-5) -> nn.Module:
    return nn.LayerNorm(d_model, eps=eps) if kind == "layer" else nn.RMSNorm(d_model, eps=eps)


class Block(SequenceMixer[Any]):
    """A mixer and a feed-forward (or none) around residuals.

    norm "pre": x + mixer(norm(x)), then x + ff(norm(x)); "post": norm(x + mixer(x)), then norm(x + ff(x)).
    Dropout falls on what a branch adds. The state is the mixer's own; streams and takes_ids are too. Unlike a bare
    mixer's, a block's output at a padded step is not zero but whatever the residual carries; `Backbone` clears it.
    """

    def __init__(
        self,
        d_model: int,
        mixer: SequenceMixer[Any],
        feedforward: nn.Module | None = None,
        *,
        norm: NormPlace = "pre",
        norm_kind: NormKind = "rms",
        residual: ResidualKind = "add",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if norm not in ("pre", "post"):
            raise ValueError(f"norm must be pre or post, got {norm!r}")
        self.norm_place = norm
        self.streams, self.takes_ids = mixer.streams, mixer.takes_ids
        self.mixer, self.feedforward = mixer, feedforward
        self.mixer_norm = build_norm(norm_kind, d_model)
        self.mixer_residual = Residual(residual, d_model)
        if feedforward is not None:
            self.feedforward_norm = build_norm(norm_kind, d_model)
            self.feedforward_residual = Residual(residual, d_model)
        self.dropout = nn.Dropout(dropout)

    def initial_state(self, batch: int) -> Any:
        return self.mixer.initial_state(batch)

    def state_floats(self, n_tokens: int) -> int:
        return self.mixer.state_floats(n_tokens)

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: Any = None
    ) -> tuple[Tensor, Any]:
        ids = ids if self.takes_ids else None
        y, state = self.mixer(self._before(x), mask=mask, ids=ids, state=state)
        return self._after(x, y), state

    def step(self, x_t: Tensor, state: Any, *, ids_t: Tensor | None = None) -> tuple[Tensor, Any]:
        y, state = self.mixer.step(self._before(x_t), state, ids_t=ids_t if self.takes_ids else None)
        return self._after(x_t, y), state

    def _before(self, x: Tensor) -> Tensor:
        return self.mixer_norm(x) if self.norm_place == "pre" else x

    def _after(self, x: Tensor, y: Tensor) -> Tensor:
        """The rest of the block, token by token, once the mixer has said y."""
        x = self.mixer_residual(x, self.dropout(y))
        if self.norm_place == "post":
            x = self.mixer_norm(x)
        if self.feedforward is None:
            return x
        y = self.feedforward(self.feedforward_norm(x) if self.norm_place == "pre" else x)
        x = self.feedforward_residual(x, self.dropout(y))
        return self.feedforward_norm(x) if self.norm_place == "post" else x
