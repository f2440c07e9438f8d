"""How well a picture encoder knows which sentence goes with which picture.

Three measures, all of the whole picture's vector against sentences' vectors: captions that people judged (area under
the ROC curve), the class of Caltech-101 pictures, and retrieval among Flickr8k's pictures.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor

from dialog.corpora.pictures import read_pictures, read_table
from dialog.pictures.match import PictureMatch
from dialog.reading.captions import caption_vectors, class_sentence
from dialog.reading.pictures import open_picture
from models.catalogue import EYES
from models.device import Where
from models.encoders.base import ImageEncoder
from models.encoders.image import load_image_encoder
from models.encoders.text import EncoderUnavailable, TextEncoder

NEGATIVES = 3
"""To every pair judged to match, so many judged not to."""


def evaluate_encoder(
    data: Path, model: str | Path = EYES, *, split: str = "test", seed: int = 0, device: Where = None
) -> dict[str, Any]:
    """The scores of a picture encoder that is aligned with MiniLM's captions, with their 95 % intervals and baselines.

    `data` holds the picture collections. Judged captions are on Flickr8k's test pictures alone; retrieval and
    Caltech-101 follow `split` ("test", or for retrieval alone "dev"). Pictures and their captions are drawn whole for
    the intervals. ValueError for an encoder whose pictures have no vector among sentences.
    """
    encoder, reader = load_image_encoder(model, device=device).eval(), TextEncoder.load(device=device)
    if encoder.d_text != reader.d_model:
        raise ValueError(
            f"encoder {str(model)!r} is not aligned with captions: expected pooled vectors {reader.d_model}"
        )
    start = time.perf_counter()
    rows = [row for row in read_table(data, "flickr8k", "captions") if row["split"] == split]
    see, width = _pooled(encoder), reader.d_model
    pooled = picture_vectors(see, data, "flickr8k", [row["image"] for row in rows], width)
    metrics, baselines = _retrieval(pooled, rows, reader, encoder), dict[str, Any]()
    n = len(rows)
    if split == "test":
        metrics |= evaluate_judged(
            data, model, encoder, reader, pooled, [row["image"] for row in rows], seed=seed, device=device
        )
        baselines["blind"] = {"judged_roc_area": metrics.pop("blind")}
        labels = [row for row in read_table(data, "caltech101", "labels") if row["split"] == "test"]
        metrics |= _caltech(see, data, labels, reader, encoder, seed)
        baselines["majority"] = {"caltech_accuracy": metrics.pop("majority")}
        n += len(labels)
    return {
        "task": "pictures",
        "model": str(model),
        "data": [str(data)],
        "n": n,
        "seconds": time.perf_counter() - start,
        "metrics": metrics,
        "baselines": baselines,
    }


def picture_vectors(
    see: Callable[[list[Image]], Tensor], data: Path, collection: str, keys: Sequence[str], width: int, batch: int = 64
) -> Tensor:
    """The vectors (N, width) that `see` makes of the pictures named, in that order."""
    place = {key: i for i, key in enumerate(keys)}
    vectors = torch.zeros(len(keys), width)
    waiting: list[tuple[int, Image]] = []

    def flush() -> None:
        vectors[[i for i, _ in waiting]] = see([picture for _, picture in waiting]).cpu()
        waiting.clear()

    for key, content in read_pictures(data, collection):
        if key in place:
            waiting.append((place.pop(key), open_picture(content)))
            if len(waiting) == batch:
                flush()
    if waiting:
        flush()
    if place:
        raise ValueError(f"{collection} lacks {len(place)} of the pictures asked for, such as {next(iter(place))!r}")
    return vectors


def _pooled(encoder: ImageEncoder) -> Callable[[list[Image]], Tensor]:
    def see(pictures: list[Image]) -> Tensor:
        pooled = encoder.encode(pictures).pooled
        assert pooled is not None  # d_text says so
        return pooled

    return see


@torch.inference_mode()
def _retrieval(
    pooled: Tensor, rows: Sequence[dict[str, Any]], reader: TextEncoder, encoder: ImageEncoder
) -> dict[str, float]:
    """Recall at 1, 5 and 10 and the median rank, from a sentence to its picture and from a picture to any of its
    sentences. Rank 1 is best; equal scores count against us."""
    owner = torch.tensor([i for i, row in enumerate(rows) for _ in row["captions"]])
    vectors = encoder.sentences(caption_vectors([caption for row in rows for caption in row["captions"]], reader))
    scores = vectors @ pooled.T  # (captions, pictures)
    own = scores[torch.arange(len(owner)), owner]
    to_picture = (scores >= own[:, None]).sum(1)
    best = torch.full((len(rows),), -2.0).scatter_reduce(0, owner, own, "amax")
    others = scores.masked_fill(owner[:, None] == torch.arange(len(rows)), -2.0)
    to_caption = (others >= best).sum(0) + 1
    found: dict[str, float] = {}
    for name, ranks in (("picture", to_picture), ("caption", to_caption)):
        found |= {f"{name}_recall_at_{k}": 100 * float((ranks <= k).float().mean()) for k in (1, 5, 10)}
        found[f"{name}_median_rank"] = float(ranks.float().quantile(0.5))
    return found


@torch.inference_mode()
def evaluate_judged(
    data: Path,
    model: str | Path,
    encoder: ImageEncoder,
    reader: TextEncoder,
    pooled: Tensor,
    keys: Sequence[str],
    *,
    seed: int = 0,
    device: Where = None,
) -> dict[str, Any]:
    """The area under the ROC curve on captions whose crowd judges all agree, NEGATIVES drawn to each that matches.

    By the fit of `PictureMatch` where the model has a bank of captions, else by the cosine, which is given as well.
    Blind is the area of the cosine when the picture is exchanged for the mean of all: how likely the caption is anyway.
    """
    place = {key: i for i, key in enumerate(keys)}
    judged = [row for row in read_table(data, "flickr8k", "judged_captions") if row["image"] in place]
    agreed = [row for row in judged if row.get("crowd_yes") is not None and min(row["crowd_yes"], row["crowd_no"]) == 0]
    yes = [row for row in agreed if row["crowd_yes"]]
    no = [row for row in agreed if not row["crowd_yes"]]
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(no))[: NEGATIVES * len(yes)]
    pairs = [*yes, *(no[i] for i in drawn), *(no[i] for i in sorted(set(range(len(no))) - set(drawn.tolist())))]
    captions = sorted({row["caption"] for row in pairs})
    which = {caption: i for i, caption in enumerate(captions)}
    vectors = caption_vectors(captions, reader)[[which[row["caption"]] for row in pairs]]
    pictures = np.array([place[row["image"]] for row in pairs])
    truth = np.array([row["crowd_yes"] > 0 for row in pairs])
    where = torch.from_numpy(pictures)
    near = encoder.sentences(vectors)
    cosine = (near * pooled[where]).sum(-1).numpy()
    try:
        match = PictureMatch.load(model, device=device)
    except EncoderUnavailable:
        scores = cosine
    else:
        seen = picture_vectors(match.vectors, data, "flickr8k", keys, pooled.shape[1])
        scores = match.fits(seen[where], vectors).numpy()
    blind = (near @ pooled.mean(0)).numpy()
    n = len(yes) + len(drawn)
    low, high = _area_interval(truth[:n], scores[:n], pictures[:n], rng)
    return {
        "judged_pairs": n,
        "judged_roc_area": float(roc_auc_score(truth[:n], scores[:n])),
        "judged_roc_area_95": [low, high],
        "judged_roc_area_by_cosine": float(roc_auc_score(truth[:n], cosine[:n])),
        "judged_roc_area_all_pairs": float(roc_auc_score(truth, scores)),
        "blind": float(roc_auc_score(truth[:n], blind[:n])),
    }


def _area_interval(
    truth: NDArray[np.bool_], scores: NDArray[np.float32], groups: NDArray[np.int64], rng: np.random.Generator
) -> tuple[float, float]:
    """The 95 % bootstrap interval of the area, groups drawn whole, 500 times."""
    ids, which = np.unique(groups, return_inverse=True)
    areas = []
    for _ in range(500):
        weight = np.bincount(rng.integers(0, len(ids), len(ids)), minlength=len(ids))[which]
        if weight[truth].any() and weight[~truth].any():
            areas.append(roc_auc_score(truth, scores, sample_weight=weight))
    low, high = np.percentile(areas, [2.5, 97.5])
    return float(low), float(high)


@torch.inference_mode()
def _caltech(
    see: Callable[[list[Image]], Tensor],
    data: Path,
    rows: Sequence[dict[str, Any]],
    reader: TextEncoder,
    encoder: ImageEncoder,
    seed: int,
) -> dict[str, Any]:
    """Accuracy of the class whose sentence is nearest, in per cent, over pictures and as the mean over classes."""
    names = sorted({row["label"] for row in rows})
    sentences = encoder.sentences(caption_vectors([class_sentence(name) for name in names], reader))
    pooled = picture_vectors(see, data, "caltech101", [row["image"] for row in rows], reader.d_model)
    gold = np.array([names.index(row["label"]) for row in rows])
    right = (pooled @ sentences.T).argmax(-1).numpy() == gold
    rng = np.random.default_rng(seed)
    means = [right[rng.integers(0, len(right), len(right))].mean() for _ in range(500)]
    return {
        "caltech_accuracy": 100 * float(right.mean()),
        "caltech_accuracy_95": [100 * float(v) for v in np.percentile(means, [2.5, 97.5])],
        "caltech_class_accuracy": 100 * float(np.mean([right[gold == c].mean() for c in range(len(names))])),
        "majority": 100 * float(np.bincount(gold).max() / len(gold)),
    }
