"""The writer's recipe: byte-pair pieces and a decoder-only language model, from conversations, in minutes on a core."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from dialog.labels import LABEL_SETS
from dialog.training.card import write_card
from dialog.training.loop import Progress, Schedule, finish, run
from dialog.training.replies.language_data import PACKED, cut, labels_of, pack
from dialog.training.replies.language_start import meanings
from models import checkpoint
from models.decoder.model import Decoder
from models.device import choose_device, mixed_precision
from models.encoders.text import BUILT_IN, TextEncoder
from models.responder.writer import Mixture, WriterConfig, writer_network
from models.token_model import TokenModel

LIMITS = """\
A model for experiments: five million parameters that read conversations for minutes. It writes English that sounds like
small talk and means little; it knows nothing, forgets what was said, contradicts itself, and may say what offends. It
repeats what it read of people, films and places as if it were so. English only. No counsellor, and no source."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageRecipe:
    """Of what, how large, for how long."""

    mixture: Mixture = "softmax"
    corpora: Mapping[str, int] = field(
        default_factory=lambda: {"dailydialog": 11_000, "self_dialogue": 6000, "cmu_dog": 1000, "emocontext": 6000}
    )
    """So many conversations of each train part, drawn by the seed."""
    validation: Mapping[str, int] = field(default_factory=lambda: {"dailydialog": 200, "self_dialogue": 150})
    n_tokens: int = 4096
    d_model: int = 256
    n_layers: int = 5
    d_hidden: int = 640
    context: int = 256
    """Tokens a row."""
    batch: int = 16
    steps: int = 600
    lr: float = 3e-3
    weight_decay: float = 0.1
    unknown: float = 0.4
    """The share of emotions that are hidden."""
    encoder: str | None = BUILT_IN
    """Where the pieces' embeddings start, a text encoder; None is by chance."""


def train_language(
    recipe: LanguageRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    report: Callable[[Progress], None] | None = None,
    device: str | None = None,
) -> dict[str, float]:
    """Trains a writer into `out`: config.json, model.safetensors (bytes), tokenizer.json, card.md, scores.json.

    Gives the perplexity a token on validation, on rows of the training's length.
    """
    emotions = LABEL_SETS["ekman"]
    packed = pack(
        data,
        out,
        corpora=recipe.corpora,
        validation=recipe.validation,
        n_tokens=recipe.n_tokens,
        emotions=emotions,
        unknown=recipe.unknown,
        seed=seed,
    )
    network = writer_network(
        recipe.mixture,
        len(packed.pieces),
        d_model=recipe.d_model,
        n_layers=recipe.n_layers,
        d_hidden=recipe.d_hidden,
    )
    torch.manual_seed(seed)
    where = choose_device(device)
    model = TokenModel(network)
    if recipe.encoder is not None:
        encoder = TextEncoder.load(recipe.encoder, device="cpu")
        model.embedding.weight.data = meanings(packed.pieces, encoder, recipe.d_model, seed=seed)
        model.head.weight = model.embedding.weight
    model.to(where)
    rows = cut(packed.train, recipe.context)
    labels = labels_of(rows, packed.pieces)
    steps_an_epoch = max(1, len(rows) // recipe.batch)
    orders: dict[int, Tensor] = {}

    def loss_at(step: int) -> Tensor:
        epoch, place = divmod(step, steps_an_epoch)
        if epoch not in orders:
            orders.clear()
            orders[epoch] = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed + epoch))
        some = orders[epoch][place * recipe.batch : (place + 1) * recipe.batch]
        with mixed_precision(where):
            return model.loss(rows[some, :-1].to(where), labels[some].to(where))

    model.train()
    schedule = Schedule(
        steps=recipe.steps,
        lr=recipe.lr,
        lr_new=recipe.lr,
        weight_decay=recipe.weight_decay,
        save_every=min(25, max(1, recipe.steps // 2)),
    )
    matrices = [p for name, p in model.backbone.named_parameters() if p.ndim == 2 and name.endswith("weight")]
    run(model, [], loss_at, schedule, out, seed, report, matrices=matrices)
    model.eval()
    held = cut(packed.validation, recipe.context)
    scores = {
        "perplexity": math.exp(mean_loss(model, zip(held, labels_of(held, packed.pieces), strict=True))),
        "n_parameters": float(sum(p.numel() for p in model.parameters())),
        "n_tokens_read": float(recipe.steps * recipe.batch * recipe.context),
    }
    config = WriterConfig(
        network=network, emotions=tuple(emotions), corpora=tuple(recipe.corpora), context=recipe.context
    )
    checkpoint.save(out, model, config, dtype=torch.int8)
    write_card(
        out,
        name="responder/lm",
        task="responder",
        summary=f"Writes replies, a piece at a time: a small language model ({recipe.mixture}), for experiments.",
        command=f"rapport train responder/lm --mixer {recipe.mixture} --data DATA --out DIR",
        seed=seed,
        corpora=list(recipe.corpora),
        validation=scores,
        limits=LIMITS,
    )
    finish(out)
    (out / PACKED).unlink()
    return scores


@torch.inference_mode()
def mean_loss(model: TokenModel | Decoder, rows: Iterable[tuple[Tensor, Tensor]], batch: int = 16) -> float:
    """Nats a token over rows of (tokens (length + 1,), labels (length,)) of one length."""
    total, n, some = 0.0, 0, list(rows)
    where = next(model.parameters()).device
    for i in range(0, len(some), batch):
        tokens = torch.stack([t for t, _ in some[i : i + batch]]).to(where)
        labels = torch.stack([y for _, y in some[i : i + batch]]).to(where)
        with mixed_precision(where):
            loss = model.loss(tokens[:, :-1], labels)
        n_here = int((labels != -100).sum())
        total, n = total + float(loss) * n_here, n + n_here
    return total / max(1, n)
