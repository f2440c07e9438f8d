"""`rapport bench annotate`: a log labelled from file to file, beside encoding each of its utterances once, alone."""

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dialog.annotation.annotate import annotate
from dialog.bench.chats import made_up_chats
from dialog.bench.timing import row, side_by_side, suite, without_cache
from dialog.conversation import Conversation
from dialog.emotion.tagger import EmotionTagger
from dialog.formats import read, write
from models.catalogue import EMOTION
from models.device import Where, device_of
from models.encoders.text import TextEncoder

BATCH = 32
"""Utterances in a batch of the peer, in the file's order."""


def measure(
    *,
    model: str | Path = EMOTION,
    data: Path | None = None,
    n_utterances: int = 4_000,
    repeats: int = 3,
    device: Where = None,
) -> dict[str, Any]:
    """The object of `rapport bench annotate --json`.

    `data` is any file `annotate` reads, in the place of made-up chats. Loading models is not in the times; reading,
    tokenising and writing are in ours, tokenising in the peer's.
    """
    tagger = without_cache(EmotionTagger.load(model, device=device))
    plain = TextEncoder.load(tagger.config.encoder, device=tagger.device)
    with tempfile.TemporaryDirectory() as folder:
        source = data or _written(made_up_chats(n_utterances), Path(folder) / "chats.jsonl")
        conversations = [c for c in read(source) if isinstance(c, Conversation)]
        texts = [u.text for c in conversations for u in c.utterances]
        if not texts:
            raise ValueError(f"{source}: no utterance to annotate")

        def with_causes() -> None:
            annotate([source], Path(folder) / "out.jsonl", tagger=tagger)

        def without_causes() -> None:
            annotate([source], Path(folder) / "out.jsonl", tagger=tagger.without_causes())

        def theirs() -> None:
            encode_once_each(plain, texts, tagger.config.layout.utterance_tokens)

        ours = {"causes off": without_causes}
        if tagger.causes:
            ours["causes on"] = with_causes
        *seconds, peer_seconds = side_by_side([*ours.values(), theirs], repeats)
    peer = f"the same encoder in fp32, each utterance alone, batches of {BATCH} in file order"
    return suite(
        "annotate",
        [
            row(
                f"annotate, jsonl to jsonl, {name}",
                own_seconds,
                peer,
                peer_seconds,
                utterances_per_second=len(texts) / own_seconds,
            )
            for name, own_seconds in zip(ours, seconds, strict=True)
        ],
        where=tagger.device,
        model=tagger.version,
        data="made-up chats" if data is None else str(data),
        n_conversations=len(conversations),
        n_utterances=len(texts),
    )


@torch.inference_mode()
def encode_once_each(encoder: TextEncoder, texts: Sequence[str], limit: int) -> torch.Tensor:
    """The mean token state of every text by itself, (N, D); texts are cut at `limit` tokens and two special ones."""
    vectors = []
    tokenizer = copy.deepcopy(encoder.tokenizer)  # Padding stays set in a tokenizer, and this one is shared.
    for first in range(0, len(texts), BATCH):
        batch = tokenizer(
            list(texts[first : first + BATCH]), padding=True, truncation=True, max_length=limit + 2, return_tensors="pt"
        )
        batch = batch.to(device_of(encoder))
        states = encoder.network(**batch).last_hidden_state  # (B, T, D)
        mask = batch["attention_mask"][..., None]
        vectors.append((states * mask).sum(1) / mask.sum(1))
    return torch.cat(vectors)


def _written(conversations: Sequence[Conversation], path: Path) -> Path:
    with path.open("wb") as file:
        write(conversations, file, "jsonl")
    return path
