"""A decoder whose attention becomes recurrent: the projections are inherited, everything else stays as it is.

Liger (Lan et al. 2025) gains no parameter; Lizard (Van Nguyen et al. 2025) gains feature maps, a gate and sinks.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from models.decoder.config import DecoderConfig, Method
from models.decoder.model import Decoder
from models.feedforward import FeedForwardConfig
from models.mixers.liger import Liger, LigerConfig
from models.mixers.lizard import Lizard, LizardConfig
from models.mixers.softmax import SoftmaxAttention, SoftmaxAttentionConfig
from models.token_model import TokenModel

Branches = Literal["both", "linear", "window"]
_INHERITED = ("query", "key", "value", "out")


def linearised(
    decoder: Decoder,
    method: Method,
    *,
    window: int | None = None,
    branches: Branches = "both",
    near: bool = False,
) -> Decoder:
    """A new decoder with the method's mixer in place of every attention layer, and its weights where they were.

    `window` is how many keys the softmax branch sees; None is the paper's, 64 or 128. `branches` leaves one of the two
    out, for an ablation. With `near`, layers that have a window of their own already keep it. ValueError for a method
    that there is not, and for layers that are no causal softmax attention.
    """
    if method not in ("liger", "lizard"):
        raise ValueError(f"there is no method {method!r}; there are liger and lizard")
    mixers = tuple(
        one if near and one.window is not None else _converted(one, method, window, branches)
        for one in map(_attention, decoder.config.mixers)
    )
    new = Decoder(replace(decoder.config, mixers=mixers, origin=f"{decoder.config.origin}, {method}"))
    new.to(decoder.embedding.weight.device)
    with torch.no_grad():
        old = decoder.state_dict()
        new.load_state_dict({k: v for k, v in old.items() if ".mixer." not in k}, strict=False)
        for layer, before in zip(new.every_layer(), decoder.every_layer(), strict=True):
            attention = cast(SoftmaxAttention, before.mixer)
            if isinstance(layer.mixer, SoftmaxAttention):
                layer.mixer.load_state_dict(attention.state_dict())
                continue
            heir = cast(Liger | Lizard, layer.mixer)
            for name, weight in zip(_INHERITED, projections(attention), strict=True):
                getattr(heir, name).weight.copy_(weight)
            heir.q_norm.load_state_dict(attention.q_norm.state_dict())
            heir.k_norm.load_state_dict(attention.k_norm.state_dict())
    return new.eval()


def projections(mixer: SoftmaxAttention) -> tuple[Tensor, ...]:
    """The weights of query, key, value and output of a softmax attention."""
    return (*mixer.project.weight.split(mixer.widths), mixer.out.weight)


def gained(decoder: Decoder) -> list[tuple[str, nn.Parameter]]:
    """The parameters that the conversion added: those of the mixers that were not inherited."""
    return [
        (name, p)
        for name, p in decoder.named_parameters()
        if ".mixer." in name
        and not any(f".mixer.{part}." in name for part in (*_INHERITED, "q_norm", "k_norm", "project"))
    ]


def attention_outputs(teacher: Decoder, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each layer, what its mixer was given and what it said, (B, T, D) each; the text goes on as it does."""
    x = teacher.embed(tokens)
    for layer in teacher.every_layer():
        normed = layer.mixer_norm(x)
        y, _ = layer.mixer(normed)
        yield normed, y
        x = layer.after_mixer(x, y)


def from_token_model(model: TokenModel, *, context: int, ends: tuple[int, ...], origin: str) -> Decoder:
    """A `TokenModel` of softmax attention and SwiGLU as a decoder of the Llama kind: the same function of tokens.

    ValueError for one of other parts.
    """
    backbone = model.config.backbone
    plain = isinstance(backbone.feedforward, FeedForwardConfig) and backbone.feedforward.kind == "swiglu"
    if not plain or (backbone.norm, backbone.norm_kind, backbone.residual) != ("pre", "rms", "add"):
        raise ValueError("only a model of norms before, RMS, plain residuals and SwiGLU is a decoder of the Llama kind")
    assert isinstance(backbone.feedforward, FeedForwardConfig)
    config = DecoderConfig(
        n_tokens=model.config.n_tokens,
        d_model=backbone.d_model,
        d_hidden=backbone.feedforward.width,
        mixers=tuple(_attention(mixer) for mixer in backbone.mixers),
        tied=model.config.tied,
        context=context,
        ends=ends,
        origin=origin,
    )
    decoder, given = Decoder(config), model.state_dict()
    renamed: dict[str, Tensor] = {"norm.weight": given.pop("backbone.norm.weight")}
    for name, tensor in given.items():
        place = name.removeprefix("backbone.").replace("blocks.", "layers.")
        if "feedforward.expand" in name:
            at = place.partition("feedforward")[0]
            renamed[f"{at}unit.gate.weight"], renamed[f"{at}unit.up.weight"] = tensor.chunk(2)
        else:
            for theirs, ours in _RENAMED:
                place = place.replace(theirs, ours)
            renamed[place] = tensor
    decoder.load_state_dict(renamed)
    return decoder.to(model.embedding.weight.device).eval()


_RENAMED = (("feedforward.contract", "unit.down"), ("feedforward_norm", "unit_norm"))
"""What a block of a `TokenModel` calls its parts, and what a decoder's layer does."""


def _attention(mixer: Any) -> SoftmaxAttentionConfig:
    good = isinstance(mixer, SoftmaxAttentionConfig) and mixer.causal and mixer.only is None and not mixer.bias
    if not good or mixer.positions != "rotary":
        raise ValueError(f"a layer is no causal softmax attention with rotary positions: {mixer}")
    found: SoftmaxAttentionConfig = mixer
    return found


def _converted(one: SoftmaxAttentionConfig, method: Method, window: int | None, branches: Branches) -> Any:
    shape: dict[str, Any] = {
        "d_model": one.d_model,
        "n_heads": one.n_heads,
        "n_kv_heads": one.key_heads,
        "head_width": one.head_width,
        "qk_norm": one.qk_norm,
    }
    if method == "lizard":
        return LizardConfig(**shape, window=window or 128, branches=branches)
    share = {"both": 0.5, "linear": 1.0, "window": 0.0}[branches]
    return LigerConfig(**shape, window=window or 64, rotary_base=one.rotary_base, linear_share=share)
