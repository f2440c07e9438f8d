"""A transformers folder of the Llama or Gemma kind as a `Decoder`: its config.json and its safetensors, nothing else.

What differs between the kinds is folded into the numbers: Gemma multiplies by 1 + w where others do by w, and scales
its queries by a width of its own. A folder whose config asks for anything we do not compute is refused by name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from models.checkpoint import CheckpointError, read_json
from models.decoder.config import DecoderConfig
from models.decoder.model import Decoder
from models.mixers.softmax import SoftmaxAttention, SoftmaxAttentionConfig
from models.tensors import DamagedTensors, read_file

KINDS = ("llama", "gemma", "gemma3_text")
_UNHEARD = (
    "attention_bias",
    "mlp_bias",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "use_bidirectional_attention",
)


def read_pretrained(folder: Path | str) -> Decoder:
    """The decoder of a folder that transformers saved, in float32, on the CPU, in evaluation mode.

    CheckpointError for a folder without one, of another kind, or with an option that is not computed here.
    """
    folder = Path(folder)
    told = read_json(folder / "config.json")
    kind = told.get("model_type") if isinstance(told, dict) else None
    if kind not in KINDS:
        raise CheckpointError(f"{folder}: model_type is {kind!r}, expected one of {', '.join(KINDS)}")
    config = _config(told, folder)
    decoder = Decoder(config)
    _fill(decoder, _weights(folder), gemma=kind != "llama", told=told, folder=folder)
    return decoder.eval()


def is_pretrained(folder: Path | str) -> bool:
    """Whether a folder says that transformers wrote it."""
    path = Path(folder) / "config.json"
    return path.is_file() and isinstance(told := read_json(path), dict) and "model_type" in told


def _config(told: Mapping[str, Any], folder: Path) -> DecoderConfig:
    for name in _UNHEARD:
        if told.get(name):
            raise CheckpointError(f"{folder}: config.json has {name} {told[name]!r}, which is not computed here")
    kind, d_model, n_heads = told["model_type"], int(told["hidden_size"]), int(told["num_attention_heads"])
    n_layers = int(told["num_hidden_layers"])
    activation = told.get("hidden_activation") or told.get("hidden_act") or "gelu_pytorch_tanh"
    if kind == "gemma":
        activation = "gelu_pytorch_tanh"  # whatever hidden_act says, Gemma was trained with it
    known = {"silu": "silu", "gelu_pytorch_tanh": "gelu_tanh"}
    if activation not in known:
        raise CheckpointError(f"{folder}: the activation is {activation!r}, expected {' or '.join(known)}")
    types = told.get("layer_types") or ["full_attention"] * n_layers
    if kind == "gemma3_text" and not told.get("layer_types"):
        every = int(told.get("sliding_window_pattern") or 6)
        types = ["full_attention" if (i + 1) % every == 0 else "sliding_attention" for i in range(n_layers)]
    mixers = []
    for layer in types[:n_layers]:
        sliding = layer == "sliding_attention"
        mixers.append(
            SoftmaxAttentionConfig(
                d_model=d_model,
                n_heads=n_heads,
                n_kv_heads=int(told.get("num_key_value_heads") or n_heads),
                d_head=int(told.get("head_dim") or d_model // n_heads),
                window=int(told["sliding_window"]) - 1 if sliding else None,  # theirs counts the token itself
                rotary_base=_rotary_base(told, sliding=sliding, folder=folder),
                qk_norm="rms" if kind == "gemma3_text" else "none",
            )
        )
    ends = told.get("eos_token_id")
    gemma = kind != "llama"
    return DecoderConfig(
        n_tokens=int(told["vocab_size"]),
        d_model=d_model,
        d_hidden=int(told["intermediate_size"]),
        mixers=tuple(mixers),
        activation="gelu_tanh" if known[activation] == "gelu_tanh" else "silu",
        norm_eps=float(told.get("rms_norm_eps") or 1e-6),
        post_norms=kind == "gemma3_text",
        embedding_scale=d_model**0.5 if gemma else 1.0,
        tied=bool(told.get("tie_word_embeddings", gemma)),
        context=int(told.get("max_position_embeddings") or 2048),
        ends=tuple(int(e) for e in (ends if isinstance(ends, list) else [ends]) if e is not None),
        origin=f"{kind} {folder.name}",
    )


def _rotary_base(told: Mapping[str, Any], *, sliding: bool, folder: Path) -> float:
    """The base of a layer's rotary angles, in the words of transformers 4 and 5. Stretched angles are refused."""
    ropes = told.get("rope_parameters") or {}
    ropes = ropes.get("sliding_attention" if sliding else "full_attention", ropes)
    stretched = ropes if ropes.get("rope_type", "default") != "default" else (not sliding and told.get("rope_scaling"))
    if stretched:
        raise CheckpointError(f"{folder}: the rotary angles are stretched ({stretched}), which is not computed here")
    by_name = told.get("rope_local_base_freq" if sliding else "rope_theta")
    return float(ropes.get("rope_theta") or by_name or 10_000.0)


def _weights(folder: Path) -> dict[str, Tensor]:
    index = folder / "model.safetensors.index.json"
    names = sorted(set(read_json(index)["weight_map"].values())) if index.is_file() else ["model.safetensors"]
    found: dict[str, Tensor] = {}
    try:
        for name in names:
            found |= read_file(folder / Path(str(name)).name)
    except DamagedTensors as error:
        raise CheckpointError(str(error)) from error
    return {name.removeprefix("model."): tensor.float() for name, tensor in found.items()}


@torch.no_grad()
def _fill(decoder: Decoder, given: dict[str, Tensor], *, gemma: bool, told: Mapping[str, Any], folder: Path) -> None:
    def take(name: str, into: Any, *, norm: bool = False, factor: float = 1.0) -> None:
        if name not in given:
            raise CheckpointError(f"{folder}: the weights lack {name}")
        value = given.pop(name)
        if value.shape != into.shape:
            raise CheckpointError(f"{folder}: {name} is {tuple(value.shape)}, expected {tuple(into.shape)}")
        into.copy_((value + 1 if norm and gemma else value) * factor)

    take("embed_tokens.weight", decoder.embedding.weight)
    if not decoder.config.tied:
        take("lm_head.weight", decoder.head.weight)
    given.pop("lm_head.weight", None)
    take("norm.weight", decoder.norm.weight, norm=True)
    for i, layer in enumerate(decoder.every_layer()):
        at, unit = f"layers.{i}.", layer.unit
        mixer = cast(SoftmaxAttention, layer.mixer)
        # What scores are divided by, where it is not the head's own width.
        scalar = told.get("query_pre_attn_scalar") if told["model_type"] == "gemma3_text" else None
        factor = (mixer.config.head_width / float(scalar)) ** 0.5 if scalar else 1.0
        for name, rows in zip("qkv", mixer.project.weight.split(mixer.widths), strict=True):
            take(f"{at}self_attn.{name}_proj.weight", rows)
        take(f"{at}self_attn.o_proj.weight", mixer.out.weight)
        if decoder.config.post_norms:
            take(f"{at}self_attn.q_norm.weight", mixer.q_norm.weight, norm=True, factor=factor)
            take(f"{at}self_attn.k_norm.weight", mixer.k_norm.weight, norm=True)
            take(f"{at}pre_feedforward_layernorm.weight", layer.unit_norm.weight, norm=True)
            take(f"{at}post_attention_layernorm.weight", layer.mixer_after.weight, norm=True)
            take(f"{at}post_feedforward_layernorm.weight", layer.unit_after.weight, norm=True)
        else:
            take(f"{at}post_attention_layernorm.weight", layer.unit_norm.weight, norm=True)
        take(f"{at}input_layernorm.weight", layer.mixer_norm.weight, norm=True)
        for name in ("gate", "up", "down"):
            take(f"{at}mlp.{name}_proj.weight", getattr(unit, name).weight)
    left = sorted(name for name in given if "rotary_emb" not in name)
    if left:
        raise CheckpointError(f"{folder}: the weights have {', '.join(left[:5])}, which {told['model_type']} has not")
