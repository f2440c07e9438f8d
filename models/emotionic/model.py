"""EmotionIC over utterance vectors: what each utterance says, what its conversation says of it, and a chain of labels.

Liu, Li, Wang, Zeng, "EmotionIC: emotional inertia and contagion-driven dependency modeling for emotion recognition in
conversation" (arXiv 2303.11117). The published parts, on the shared backbone:

    g = identity-masked attention over x          the global branch
    l = DialogGRU over x                          the local branch, which reads x and not g
    e = W_x LN(x) + W_c [LN(g); LN(l)]            emissions
    labels ~ skip-chain CRF over e

With `gated`, W_c's part is multiplied by sigma(w . LN(x) + b): a message that is clear by itself can shut its
conversation out, a short reply can let it in. What else is said of a message (tags, valence and arousal) reads LN(x)
alone and never its neighbours.

The official fusion is one linear layer over [LN(g); LN(l); LN(x)] and a linear classifier after it, with nothing
between the two; e above is that product written out, so that the encoder's own classifier W_x can come first.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.backbone import Backbone, BackboneConfig
from models.emotionic.config import EmotionICConfig
from models.emotionic.linear_chain_crf import LinearChainCRF
from models.emotionic.skip_chain_crf import SkipChainCRF
from models.feedforward import FeedForwardConfig
from models.mixers.dialog_gru import DialogGRUConfig
from models.mixers.identity_attention import IdentityAttentionConfig, IdentityAttentionState


class EmotionICState(NamedTuple):
    """What a live chat carries from one message to the next. Its size does not depend on how many there were."""

    attention: Any
    gru: Any
    crf: Any


class EmotionIC(nn.Module):
    """Utterance vectors x (B, N, D) and speaker ids (B, N) to emissions (B, N, L), and from those to labels.

    Offline, attention sees the whole window; live, only what came before. Both use the same weights: `live` chooses.
    """

    def __init__(self, config: EmotionICConfig) -> None:
        super().__init__()
        c = self.config = config
        self.norm = nn.LayerNorm(c.d_encoder)
        self.classify = nn.Linear(c.d_encoder, c.n_labels)
        self.project = nn.Linear(c.d_encoder, c.d_model)
        self.attention = _attention(c, causal=False) if c.n_attention_layers else None
        self.gru = _gru(c) if c.n_gru_layers else None
        branches = bool(c.n_attention_layers) + bool(c.n_gru_layers)
        self.branch_norms = nn.ModuleList(nn.LayerNorm(c.d_model) for _ in range(branches))
        self.contribute = nn.Linear(branches * c.d_model, c.n_labels, bias=False) if branches else None
        if self.contribute is not None:
            nn.init.zeros_(self.contribute.weight)  # Training starts from what the encoder alone says.
        self.gate = nn.Linear(c.d_encoder, 1) if c.gated and branches else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.constant_(self.gate.bias, -1.0)
        self.tags = nn.Linear(c.d_encoder, c.n_tags) if c.n_tags else None
        self.affect = nn.Linear(c.d_encoder, 2) if c.affect else None
        self.dropout = nn.Dropout(c.dropout)
        self.crf = _crf(c)
        # The causal twin is kept in a tuple so as not to be a child: its parameters are saved and counted once.
        self._twin: tuple[Backbone, ...] = ()
        if self.attention is not None:
            self._twin = (_sharing(self.attention, _attention(c, causal=True)),)

    def train(self, mode: bool = True) -> "EmotionIC":
        for twin in self._twin:
            twin.train(mode)
        return super().train(mode)

    def forward(self, x: Tensor, speakers: Tensor, mask: Tensor | None = None, *, live: bool = False) -> Tensor:
        """Emissions (B, N, L), zero at padding, for vectors x (B, N, D), speaker ids (B, N) and mask (B, N).

        Only the equality of speaker ids within a row matters.
        """
        if x.shape[:2] != speakers.shape:
            raise ValueError(f"x {tuple(x.shape)} and speakers {tuple(speakers.shape)} differ in batch or length")
        h = self.dropout(self.project(self.norm(x)))
        branches = []
        if self.attention is not None:
            attention = self._twin[0] if live else self.attention
            branches.append(attention(h, mask=mask, ids=speakers)[0])
        if self.gru is not None:
            branches.append(self.gru(h, mask=mask, ids=speakers)[0])
        emissions = self._emissions(x, branches)
        return emissions if mask is None else emissions.masked_fill(~mask[..., None], 0.0)

    def in_pieces(self, pieces: Iterable[Tensor], speakers: Tensor, *, live: bool = False) -> Tensor:
        """`forward` of one conversation, emissions (1, N, L), from vectors (n, D) that come a piece after the other.

        speakers (1, N). What stands in memory of the vectors is a piece and the neighbours its attention sees; the
        GRU, and live attention, carry their state over the cuts.
        """
        state, emissions = self.initial_state(1), [next(self.parameters()).new_zeros(1, 0, self.config.n_labels)]
        attention, gru = state.attention, state.gru
        reach = 0 if live else self.config.n_attention_layers * self.config.window
        for at, x, new in _with_neighbours(pieces, reach):
            h = self.project(self.norm(x))[None]
            ids = speakers[:, at : at + len(x)]
            branches = []
            if self.attention is not None and live:
                y, attention = self._twin[0](h[:, new], ids=ids[:, new], state=attention)
                branches.append(y)
            elif self.attention is not None:
                branches.append(self.attention(h, ids=ids)[0][:, new])
            if self.gru is not None:
                y, gru = self.gru(h[:, new], ids=ids[:, new], state=gru)
                branches.append(y)
            emissions.append(self._emissions(x[None, new], branches))
        return torch.cat(emissions, 1)

    def initial_state(self, batch: int) -> EmotionICState:
        """The state before the first message of `batch` chats."""
        return EmotionICState(
            self._twin[0].initial_state(batch) if self._twin else (),
            () if self.gru is None else self.gru.initial_state(batch),
            () if self.crf is None else self.crf.initial_state(batch),
        )

    def step(self, x_t: Tensor, speaker: Tensor, state: EmotionICState) -> tuple[Tensor, EmotionICState]:
        """The filtered label probabilities (B, L) of one new message each, x_t (B, D) of speaker (B,), and the state.

        The same numbers as `filtered` over the whole conversation, at a cost that does not depend on its length.
        """
        h = self.project(self.norm(x_t))
        attention, gru, crf = state
        branches = []
        for twin in self._twin:
            y, attention = twin.step(h, attention, ids_t=speaker)
            branches.append(y)
        if self.gru is not None:
            y, gru = self.gru.step(h, gru, ids_t=speaker)
            branches.append(y)
        emission = self._emissions(x_t, branches)
        if self.crf is None:
            p = emission.softmax(-1)
        else:
            p, crf = self.crf.step(emission, speaker, crf)
        return p, EmotionICState(attention, gru, crf)

    def log_likelihood(self, emissions: Tensor, tags: Tensor, speakers: Tensor, mask: Tensor) -> Tensor:
        """log p(tags | x) (B,), natural logs. A tag below 0 is unknown and summed over, which the CRF can do exactly.

        With labels fixed at the known places, log p = log Z(fixed) - log Z.
        """
        known = (tags >= 0) & mask
        if self.crf is None:
            picked = emissions.log_softmax(-1).gather(-1, tags.clamp(min=0)[..., None])[..., 0]
            return torch.where(known, picked, 0.0).sum(-1)
        if bool((known | ~mask).all()):
            return self.crf.log_likelihood(emissions, tags.clamp(min=0), speakers, mask)
        wrong = known[..., None] & (torch.arange(emissions.shape[-1], device=tags.device) != tags[..., None])
        fixed = emissions.masked_fill(wrong, float("-inf"))  # The CRF takes it: a label that cannot be.
        return self.crf.log_partition(fixed, speakers, mask) - self.crf.log_partition(emissions, speakers, mask)

    def marginals(self, emissions: Tensor, speakers: Tensor, mask: Tensor, *, live: bool = False) -> Tensor:
        """Label probabilities (B, N, L), 0 at padding: given the whole conversation, or live, what came before."""
        if self.crf is None:
            return emissions.softmax(-1) * mask[..., None]
        return self.crf.filtered(emissions, speakers, mask) if live else self.crf.marginals(emissions, speakers, mask)

    def viterbi(self, emissions: Tensor, speakers: Tensor, mask: Tensor) -> Tensor:
        """The likeliest labelling (B, N), -1 at padding."""
        if self.crf is None:
            return emissions.argmax(-1).masked_fill(~mask, -1)
        return self.crf.viterbi(emissions, speakers, mask)[0]

    @torch.no_grad()
    def temper(self, temperature: float) -> None:
        """Divides every score of the model by `temperature`, in place, so that its marginals are calibrated.

        Emissions and transitions alike: the labelling with the highest score stays the same (Guo et al. 2017, for one
        softmax; a CRF is a softmax over labellings).
        """
        if not temperature > 0:
            raise ValueError(f"temperature {temperature}: expected more than 0")
        scored = [*self.classify.parameters(), *([] if self.contribute is None else self.contribute.parameters())]
        for p in [*scored, *([] if self.crf is None else self.crf.parameters())]:
            p.div_(temperature)

    def describe(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of vectors x (..., D): each tag's probability (..., n_tags), and valence and arousal (..., 2), 1 to 5.

        Widths of 0 where the model does not say.
        """
        normed = self.norm(x)
        tags = x.new_zeros(*x.shape[:-1], 0) if self.tags is None else self.tags(normed).sigmoid()
        if self.affect is None:
            return tags, x.new_zeros(*x.shape[:-1], 0)
        return tags, (3.0 + self.affect(normed)).clamp(1.0, 5.0)

    def _emissions(self, x: Tensor, branches: list[Tensor]) -> Tensor:
        own = self.norm(x)
        emissions: Tensor = self.classify(self.dropout(own))
        if self.contribute is None:
            return emissions
        normed = [norm(y) for norm, y in zip(self.branch_norms, branches, strict=True)]
        told = self.contribute(self.dropout(torch.cat(normed, -1)))
        if self.gate is not None:
            told = told * self.gate(own).sigmoid()
        out: Tensor = emissions + told
        return out


def rolling(state: tuple[Any, ...]) -> list[bool]:
    """Of each leaf of an EmotionICState, in the order of `leaves`, whether it is a window over the last messages,
    (B, W, ...) with the newest last: a step moves it on by one and changes nothing in it."""
    if isinstance(state, IdentityAttentionState):
        return [name != "n_seen" for name in state._fields]
    return [does for part in state for does in (rolling(part) if isinstance(part, tuple) else [False])]


def _with_neighbours(pieces: Iterable[Tensor], reach: int) -> Iterator[tuple[int, Tensor, slice]]:
    """The rows of pieces (n, D) once each, in order: where a window begins, its rows, and which of them are new.

    The others are the `reach` rows before and after the new ones, fewer where there are no more.
    """
    at, rows, start = 0, None, 0  # the window so far, and the first row in it that was not yet new
    for piece in pieces:
        rows = piece if rows is None else torch.cat([rows, piece])
        end = len(rows) - reach
        if end > start:
            yield at, rows, slice(start, end)
            low = max(0, end - reach)
            at, rows, start = at + low, rows[low:], end - low
    if rows is not None and len(rows) > start:
        yield at, rows, slice(start, len(rows))


def _attention(c: EmotionICConfig, *, causal: bool) -> Backbone:
    mixer = IdentityAttentionConfig(d_model=c.d_model, n_heads=c.n_heads, window=c.window, causal=causal)
    feedforward = FeedForwardConfig(d_model=c.d_model, kind="mlp", d_hidden=2 * c.d_model, dropout=c.dropout)
    mixers = (mixer,) * c.n_attention_layers
    return Backbone(
        BackboneConfig(d_model=c.d_model, mixers=mixers, feedforward=feedforward, norm_kind="layer", dropout=c.dropout)
    )


def _gru(c: EmotionICConfig) -> Backbone:
    mixers = (DialogGRUConfig(d_model=c.d_model),) * c.n_gru_layers
    return Backbone(
        BackboneConfig(d_model=c.d_model, mixers=mixers, feedforward=None, norm_kind="layer", dropout=c.dropout)
    )


def _crf(c: EmotionICConfig) -> SkipChainCRF | LinearChainCRF | None:
    if c.crf == "none":
        return None
    return SkipChainCRF(c.n_labels) if c.crf == "skip" else LinearChainCRF(c.n_labels)


def _sharing(module: Backbone, twin: Backbone) -> Backbone:
    """`twin` with the very parameters of `module`."""
    theirs = dict(twin.named_modules())
    for name, owner in module.named_modules():
        for key, parameter in owner.named_parameters(recurse=False):
            theirs[name].register_parameter(key, parameter)
    return twin
