"""`rapport evaluate visual`: real questions and statements about held-out pictures, beside what needs no picture.

Each score comes with its 95 % interval over pictures, the same model blind, the question-type prior and the commonest
answer; the gain over the blind model with its paired interval. What our own rules made is a diagnostic, printed apart.
"""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dialog.corpora.derived.visual_examples import Talk, load_talks
from dialog.corpora.pictures import read_table, vision_folder
from dialog.evaluation.picture_encoder import evaluate_judged
from dialog.evaluation.visual_baselines import Priors, lenient, roc_area
from dialog.evaluation.visual_validation import PHOTOGRAPHED, Predicted, predict, said
from dialog.metrics import calibration_error, mean_interval
from dialog.pictures.bank import Bank
from dialog.pictures.familiarity import picture_features
from dialog.pictures.seqdialn import TWIN, VisualDialog
from dialog.reading.seeing import see
from models.catalogue import CONFIG_FILE, VISUAL, path_of
from models.device import Where

NAMES = {"daquar": "daquar", "statement": "statements", "nlvr": "nlvr", "easyvqa": "easyvqa"}
"""Kind of round -> how its metrics are called."""
STRANGE = 200
"""Made pictures unlike any of training that the out-of-distribution score is tried on."""


def evaluate_visual(
    data: Sequence[Path],
    model: str | Path = VISUAL,
    *,
    bank: Bank | None = None,
    device: Where = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate visual --json`; `data` is the folder with the picture collections.

    `bank` is filled, and may be full already, where several models over the same encoders are compared.
    """
    if len(data) != 1 or not data[0].is_dir():
        raise ValueError(f"expected one folder with the picture collections, got {', '.join(map(str, data)) or 'none'}")
    folder, begun = vision_folder(data[0]), time.perf_counter()
    dialog = VisualDialog.load(model, device=device)
    twin = path_of(str(model)) / TWIN
    blind = VisualDialog.load(twin, device=device) if (twin / CONFIG_FILE).is_file() else None
    talks = load_talks(folder, "test")
    judged = _judged(folder)
    bank = Bank(exact=True) if bank is None else bank
    pictures = {(t.collection, t.image) for t in talks} | {("flickr8k", row[0]) for row in judged}
    bank.see(folder, pictures, dialog.eyes, progress)
    rounds = [r for t in talks for r in t.rounds]
    bank.read([*(x for r in rounds for x in (r.question, r.answer)), *(row[1] for row in judged)], dialog.reader)

    alone = [Talk(t.collection, t.image, (r,)) for t in talks for r in t.rounds if r.kind in NAMES]
    rows = predict(dialog, bank, alone)
    blind_rows = predict(blind, bank, alone) if blind else None
    train = [(r.question, r.answer, r.kind) for t in load_talks(folder, "train") for r in t.rounds]
    metrics, baselines = dict[str, Any](), dict[str, dict[str, Any]]()
    near = _similarity(bank, dialog)
    for kind, name in NAMES.items():
        places = [i for i, r in enumerate(rows) if r.asked.kind == kind]
        priors = Priors((q, a) for q, a, k in train if k == kind)
        mine = [rows[i] for i in places]
        answers = {
            "model": [said(dialog, r) for r in mine],
            "question_type": [priors.by_type(r.asked.question) for r in mine],
            "majority": [priors.majority] * len(mine),
        }
        if blind and blind_rows:
            answers["blind"] = [said(blind, blind_rows[i]) for i in places]
        measured = {"daquar": ("exact", "lenient")}.get(kind, ("accuracy",))
        for metric in measured:
            _score(f"{name}_{metric}", metric, mine, answers, near, metrics, baselines)
        metrics[f"{name}_n"] = len(mine)
    real = [r for r in rows if r.asked.kind in PHOTOGRAPHED]
    metrics["ece"] = calibration_error(
        [_confidence(dialog, r) for r in real], [said(dialog, r) == r.asked.answer for r in real]
    )
    metrics |= _captions(judged, bank, dialog)
    fits, blind_fits = _fits(folder, judged, bank, dialog)
    metrics |= fits
    for who, scores in blind_fits.items():
        baselines.setdefault(who, {}).update(scores)
    return {
        "task": "visual",
        "model": dialog.version,
        "data": [str(p) for p in data],
        "n": len(rows),
        "seconds": time.perf_counter() - begun,
        "metrics": metrics,
        "baselines": baselines,
        "diagnostics": {"history": _history(dialog, bank, talks), "unlike_training": _strange(dialog, bank, talks)},
    }


def _score(
    name: str,
    metric: str,
    rows: Sequence[Predicted],
    answers: dict[str, list[str]],
    near: Callable[[str, str], float],
    metrics: dict[str, Any],
    baselines: dict[str, dict[str, Any]],
) -> None:
    """Adds one metric in per cent, of the model and of everything beside it."""
    groups = [r.talk.image for r in rows]
    values = {}
    for who, some in answers.items():
        pairs = zip(some, (r.asked.answer for r in rows), strict=True)
        values[who] = [100 * (lenient(a, t, near) if metric == "lenient" else float(a == t)) for a, t in pairs]
        into = metrics if who == "model" else baselines.setdefault(who, {})
        into[name], into[f"{name}_95"] = float(np.mean(values[who])), list(mean_interval(values[who], groups))
    if "blind" in values:
        gain = [a - b for a, b in zip(values["model"], values["blind"], strict=True)]
        metrics[f"{name}_over_blind"] = float(np.mean(gain))
        metrics[f"{name}_over_blind_95"] = list(mean_interval(gain, groups))


def _similarity(bank: Bank, dialog: VisualDialog) -> Callable[[str, str], float]:
    """The cosine of two answers' sentence vectors, each read once."""

    def near(a: str, b: str) -> float:
        bank.read([a, b], dialog.reader)
        return float(bank.texts[a].sentence.float() @ bank.texts[b].sentence.float())

    return near


def _confidence(dialog: VisualDialog, row: Predicted) -> float:
    """The probability of what is said; of a statement, as one of yes and no."""
    places = dialog.config.answers
    p = float(row.p[places.index(said(dialog, row))])
    if row.asked.kind != "statement":
        return p
    return p / max(1e-9, float(row.p[places.index("yes")] + row.p[places.index("no")]))


def _judged(folder: Path) -> list[tuple[str, str, bool]]:
    """(picture, caption, fits) where the crowd was unanimous, three that do not fit for each that does."""
    rows = [r for r in read_table(folder, "flickr8k", "judged_captions") if "crowd_yes" in r]
    fits = [(r["image"], r["caption"], True) for r in rows if r["crowd_no"] == 0 and r["crowd_yes"] > 0]
    not_fits = [(r["image"], r["caption"], False) for r in rows if r["crowd_yes"] == 0 and r["crowd_no"] > 0]
    return fits + random.Random(0).sample(not_fits, min(len(not_fits), 3 * len(fits)))


def _captions(judged: Sequence[tuple[str, str, bool]], bank: Bank, dialog: VisualDialog) -> dict[str, Any]:
    """The area under the ROC curve of whether a caption fits, by the dialogue's yes."""
    fits = [row[2] for row in judged]
    from dialog.corpora.derived.visual_examples import Asked

    talks = [Talk("flickr8k", image, (Asked(caption, "yes", "caption"),)) for image, caption, _ in judged]
    order = {id(t.rounds[0]): i for i, t in enumerate(talks)}
    scores, yes, no = [0.0] * len(talks), *(dialog.config.answers.index(a) for a in ("yes", "no"))
    for row in predict(dialog, bank, talks):
        scores[order[id(row.asked)]] = float(row.p[yes].clamp(min=1e-9).log() - row.p[no].clamp(min=1e-9).log())
    found = {"judged_captions_roc": roc_area(scores, fits), "judged_captions_n": len(judged)}
    return found


def _fits(
    folder: Path, judged: Sequence[tuple[str, str, bool]], bank: Bank, dialog: VisualDialog
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same area by encoders that share a space (dialog.pictures.match) and by nothing else; and blind."""
    keys = sorted({image for image, _, _ in judged})
    pooled = [p for key in keys if (p := bank.pictures["flickr8k", key].pooled) is not None]
    if len(pooled) < len(keys):
        return {}, {}
    name, reader = dialog.config.picture_encoder, dialog.reader.encoder
    found = evaluate_judged(folder, name, reader, torch.stack(pooled).float(), keys)
    return found, {"blind": {"judged_roc_area": found.pop("blind")}}


def _history(dialog: VisualDialog, bank: Bank, talks: Sequence[Talk]) -> dict[str, Any]:
    """The rounds of made chains that speak in pronouns: answered with the rounds before them, and without."""
    chained = [t for t in talks if t.chained]
    answered = []
    for history in (True, False):
        later = [r for r in predict(dialog, bank, chained, history=history) if r.asked.kind == "rule-5"]
        answered.append({(id(r.talk), r.round): 100.0 * (said(dialog, r) == r.asked.answer) for r in later})
    keys = list(answered[0])
    image = {id(t): t.image for t in chained}
    if not keys:
        return {"n": 0}
    gain = [answered[0][k] - answered[1][k] for k in keys]
    return {
        "made_not_a_result": True,
        "n": len(keys),
        "with_history": float(np.mean([answered[0][k] for k in keys])),
        "without_history": float(np.mean([answered[1][k] for k in keys])),
        "gain": float(np.mean(gain)),
        "gain_95": list(mean_interval(gain, [image[k[0]] for k in keys])),
    }


def _strange(dialog: VisualDialog, bank: Bank, talks: Sequence[Talk]) -> dict[str, Any]:
    """How well pictures unlike training are told: test pictures against made ones (noise, flat, stripes, text-like)."""
    if dialog.familiarity is None:
        return {}
    kept = dict.fromkeys((t.collection, t.image) for t in talks)
    known = torch.stack([picture_features(bank.pictures[k].vectors.float()) for k in kept])
    made = see(dialog.eyes, strange_pictures(STRANGE))
    strange = torch.stack([picture_features(s.vectors) for s in made])
    scores = [dialog.familiarity.strangeness(x).tolist() for x in (known, strange)]
    return {
        "roc": roc_area([*scores[0], *scores[1]], [False] * len(scores[0]) + [True] * len(scores[1])),
        "test_pictures_refused": 100 * float(np.mean([s > 1 for s in scores[0]])),
        "strange_pictures_refused": 100 * float(np.mean([s > 1 for s in scores[1]])),
    }


def strange_pictures(n: int, seed: int = 0) -> "list[Image.Image]":
    """Pictures that show nothing: noise, blotches, stripes and flat colour, in turn."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        kind = i % 4
        pixels: NDArray[Any]
        if kind == 0:
            pixels = rng.integers(0, 256, (96, 96, 3))
        elif kind == 1:
            pixels = np.kron(rng.integers(0, 256, (6, 6, 3)), np.ones((16, 16, 1)))
        elif kind == 2:
            dark = (np.arange(96) // rng.integers(2, 9) % 2)[:, None, None] > 0
            one, other = rng.integers(0, 256, (2, 1, 1, 3))
            pixels = np.broadcast_to(np.where(dark, one, other), (96, 96, 3))
        else:
            pixels = np.broadcast_to(rng.integers(0, 256, (1, 1, 3)), (96, 96, 3))
        found.append(Image.fromarray(pixels.astype(np.uint8)))
    return found
