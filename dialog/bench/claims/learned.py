"""Claims about what is learned: small models trained for seconds on recall, and what they then get right."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from dialog.evaluation.recall import NO_LABEL, TIERS, Task, Tier, fitting, recall_model, train_recall
from models.mixers.recycled import Recycled, RecycledConfig
from models.token_model import TokenModel

Recalls = Mapping[str, float]
_EIGHT = Task(T=32, N=8, V=64)
FOUR = replace(TIERS["brief"], every=300)
EIGHT = Tier(train=(_EIGHT,), test=(_EIGHT,), steps=300, batch=32, n_test=512, every=300)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A model that is trained: a mixer or a variant of `dialog.evaluation.recall`, some fields changed, on a tier."""

    mixer: str
    tier: Tier = EIGHT
    fields: Mapping[str, Any] = field(default_factory=dict)

    def recall(self, seed: int) -> float:
        """Per cent right on the tier's last test, the longest."""
        trained = train_recall(self.mixer, self.tier, seed=seed, device="cpu", **self.fields)
        return list(trained.by_task.values())[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnedClaim:
    """What a paper says, of which trials, and by which of their recalls it holds."""

    paper: str
    says: str
    trials: Mapping[str, Trial]
    holds: Callable[[Recalls], bool]


def _heads(keys: int, values: int) -> Trial:
    return Trial(mixer="diffqkv", fields={"n_key_heads": keys, "n_value_heads": values, "positions": "none"})


def _titans(**fields: Any) -> Trial:
    return Trial(mixer="titans", tier=FOUR, fields={"n_heads": 1, "memory": "matrix", "max_step": 1.0, **fields})


def _hebb(n_heads: int) -> Trial:
    fields = {"regressor": "linear", "weights": "uniform", "solver": "hebb", "output_norm": True, "n_heads": n_heads}
    return Trial(mixer="regression", fields=fields)


_SOFTMAX, _GLA = Trial(mixer="softmax"), Trial(mixer="gla")
_LONG = TIERS["needle"]
LEARNED: tuple[LearnedClaim, ...] = (
    LearnedClaim(
        paper="Zoology",
        says="attention recalls, a gated convolution of width 3 does not",
        trials={"softmax": Trial(mixer="softmax", tier=FOUR), "gated_conv": Trial(mixer="gated_conv", tier=FOUR)},
        holds=lambda f: f["softmax"] > 99 and f["gated_conv"] < 50,
    ),
    LearnedClaim(
        paper="RAT",
        says="one binding a chunk: chunks of one pair recall as softmax does, of four pairs about a quarter",
        trials={name: Trial(mixer=name, tier=FOUR) for name in ("rat_2", "rat_8")},
        holds=lambda f: f["rat_2"] > 95 and f["rat_8"] < 40,
    ),
    LearnedClaim(
        paper="Aaren",
        says="(negative control) a query that does not depend on the token binds no key: a quarter of four pairs",
        trials={"aaren": Trial(mixer="aaren", tier=FOUR)},
        holds=lambda f: f["aaren"] < 40,
    ),
    LearnedClaim(
        paper="DiffQKV (Sigma)",
        says="eight key heads made one cost less recall than eight value heads made one",
        trials={"8 keys, 8 values": _heads(8, 8), "1 key, 8 values": _heads(1, 8), "8 keys, 1 value": _heads(8, 1)},
        holds=lambda f: f["1 key, 8 values"] > f["8 keys, 1 value"],
    ),
    LearnedClaim(
        paper="Dynamical Systems Framework",
        says="linear attention recalls the more, the larger its state: 8, 32 and 64 numbers a channel",
        trials={f"n = {64 // heads}": _hebb(heads) for heads in (8, 2, 1)},
        holds=lambda f: f["n = 8"] <= f["n = 32"] <= f["n = 64"],
    ),
    LearnedClaim(
        paper="GLA",
        says="recall rises with the keys' width, and so the state: 8, 32 and 64",
        trials={f"K = {k}": Trial(mixer="gla", fields={"expand_k": k / 64}) for k in (8, 32, 64)},
        holds=lambda f: f["K = 8"] <= f["K = 32"] <= f["K = 64"] and f["K = 64"] > f["K = 8"],
    ),
    LearnedClaim(
        paper="Lizard, Liger",
        says="from scratch they recall less than softmax: their features are made to inherit trained projections",
        trials={"softmax": _SOFTMAX, "lizard": Trial(mixer="lizard"), "liger": Trial(mixer="liger")},
        holds=lambda f: max(f["lizard"], f["liger"]) < f["softmax"],
    ),
    LearnedClaim(
        paper="Softmax as an RNN",
        says="order 2 recalls as softmax does, linear attention (elu + 1) less",
        trials={
            "softmax": _SOFTMAX,
            "order 2": Trial(mixer="taylor_2"),
            "elu + 1": Trial(
                mixer="regression",
                fields={
                    "regressor": "feature",
                    "weights": "uniform",
                    "solver": "hebb",
                    "output_norm": True,
                    "n_heads": 1,
                },
            ),
        },
        holds=lambda f: f["order 2"] >= 95 and f["elu + 1"] <= 80,
    ),
    LearnedClaim(
        paper="Sigmoid attention",
        says="recalls as softmax does with its norm and bias, and worse without",
        trials={
            "softmax": _SOFTMAX,
            "norm, bias": Trial(mixer="sigmoid", fields={"n_keys": 32}),
            "neither": Trial(mixer="sigmoid", fields={"n_keys": 1, "qk_norm": "none"}),
        },
        holds=lambda f: f["norm, bias"] > f["softmax"] - 5 and f["neither"] < f["norm, bias"],
    ),
    LearnedClaim(
        paper="Gated associative memory",
        says="recall rises with the width of its convolution",
        trials={f"width {k}": Trial(mixer="gam", tier=FOUR, fields={"width": k}) for k in (3, 17)},
        holds=lambda f: f["width 17"] > f["width 3"],
    ),
    LearnedClaim(
        paper="Titans",
        says="recall falls as chunks grow: gradients at 1, 8 and 32 tokens",
        trials={f"chunk {b}": _titans(chunk=b, max_step=1.0 / b) for b in (1, 8, 32)},
        holds=lambda f: f["chunk 1"] >= f["chunk 8"] >= f["chunk 32"],
    ),
    LearnedClaim(
        paper="Titans",
        says="a memory learned by its errors recalls more than linear attention of the same size, with momentum most",
        trials={
            "linear attention": replace(_hebb(1), tier=FOUR),
            "without momentum": _titans(chunk=1, momentum=False),
            "whole": _titans(chunk=1),
        },
        holds=lambda f: f["whole"] >= f["without momentum"] > f["linear attention"],
    ),
    LearnedClaim(
        paper="Routing Transformer",
        says="eight pairs are found by clusters of 8 tokens each, and not in a window of 8",
        trials={
            "routing": Trial(mixer="routing", fields={"n_heads": 1, "window": 8, "positions": "none"}),
            "a window": Trial(mixer="softmax", fields={"window": 8}),
        },
        holds=lambda f: f["routing"] > 90 and f["a window"] < 60,
    ),
    LearnedClaim(
        paper="Landmark attention",
        says="trained on 32 tokens it finds a needle in 512 by two blocks of 8; a window and a rotary softmax do not",
        trials={
            "landmark": Trial(
                mixer="landmark", tier=_LONG, fields={"n_heads": 1, "retrieve": 2, "positions": "stingy"}
            ),
            "a window of 16": Trial(mixer="softmax", tier=_LONG, fields={"window": 16}),
            "rotary softmax": Trial(mixer="softmax", tier=_LONG, fields={"positions": "rotary"}),
        },
        holds=lambda f: f["landmark"] > 90 and max(f["a window of 16"], f["rotary softmax"]) < 50,
    ),
)


STRIDE, PAIRS, VOCABULARY = 8, 4, 64


def recycled(seed: int, steps: int = 400, n_test: int = 256) -> dict[str, float]:
    """Per cent right where softmax attention was trained, and recycled attention decodes with a full step every 8
    tokens, and between them with 4 keys and those since: queries in runs of one key, and every query another key;
    beside it, as many keys, the first and the last 3 before the full step."""
    torch.manual_seed(seed)
    fields: dict[str, Any] = {"stride": 1, "n_heads": 1, "positions": "none", "keep": PAIRS, "evict": "none"}
    model = recall_model("recycled", VOCABULARY, **fields)
    random = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        halves = [asked(16, runs, random) for runs in (True, False)]
        return model.loss(*(torch.cat(same) for same in zip(*halves, strict=True)))

    for _ in fitting(model, loss, steps):
        pass
    model.eval()
    mixer: Any = model.backbone.blocks[1].mixer
    assert isinstance(mixer, Recycled)
    found = {}
    whole = mixer.config
    ways: dict[str, RecycledConfig] = {
        "full": whole,
        "recycled": replace(whole, stride=STRIDE),
        "first and last keys": replace(whole, stride=STRIDE, n_sinks=1, n_recent=PAIRS - 1),
    }
    for name, config in ways.items():
        mixer.config = config
        for runs in (True, False):
            test = asked(n_test, runs, torch.Generator().manual_seed(2**31 + seed))
            found[f"{name}, {'in runs' if runs else 'each another'}"] = _right(model, *test)
    return found


def asked(n: int, runs: bool, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """n examples of four pairs and 16 queries, a filler 0 after each: inputs and labels (n, 40), as `mqar` has them.

    In runs, four queries of a segment of 8 tokens ask for one key; otherwise for four keys.
    """
    half = VOCABULARY // 2
    keys = 1 + torch.rand(n, half - 1, generator=random).argsort(1)[:, :PAIRS]
    values = half + torch.rand(n, half, generator=random).argsort(1)[:, :PAIRS]
    order = torch.arange(4 * PAIRS)
    which = (order // 4 if runs else order % PAIRS).expand(n, -1)
    inputs, labels = torch.zeros(n, 10 * PAIRS, dtype=torch.long), torch.full((n, 10 * PAIRS), NO_LABEL)
    inputs[:, 0 : 2 * PAIRS : 2], inputs[:, 1 : 2 * PAIRS : 2] = keys, values
    inputs[:, 2 * PAIRS :: 2], labels[:, 2 * PAIRS :: 2] = keys.gather(1, which), values.gather(1, which)
    return inputs, labels


@torch.no_grad()
def _right(model: TokenModel, inputs: Tensor, labels: Tensor) -> float:
    answers = model(inputs)[0].argmax(-1)
    queried = labels != NO_LABEL
    return 100 * float((answers == labels)[queried].double().mean())
