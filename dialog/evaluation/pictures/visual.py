"""`rapport evaluate visual`: real questions and statements about held-out pictures, beside what needs no picture.

Each score comes with its 95 % interval over pictures, the same model blind, the question-type prior and the commonest
answer; the gain over the blind model with its paired interval. What our own rules made is a diagnostic, printed apart.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from dialog.corpora.derived.visual_examples import Talk, load_talks
from dialog.corpora.pictures import read_pictures, read_table, vision_folder
from dialog.evaluation.pictures.baselines import Priors, lenient, roc_area
from dialog.evaluation.pictures.encoder import evaluate_judged
from dialog.evaluation.pictures.photo_questions import mark, read_questions, shares
from dialog.evaluation.pictures.presence import asked_things, balanced_accuracy
from dialog.evaluation.pictures.strange import strange_pictures
from dialog.evaluation.pictures.validation import PHOTOGRAPHED, Predicted, predict, said
from dialog.metrics import calibration_error, mean_interval
from dialog.pictures.answers import UNSURE
from dialog.pictures.bank import Bank
from dialog.pictures.drawing import taken_apart
from dialog.pictures.familiarity import picture_features
from dialog.pictures.scene import Scene, read_scene
from dialog.pictures.scene_answers import scene_answer
from dialog.pictures.seqdialn import TWIN, SeqDialNLook, VisualDialog
from dialog.reading.pictures import open_picture
from models.catalogue import CONFIG_FILE, VISUAL, path_of
from models.checkpoint import read_json
from models.device import Where
from models.encoders.base import ImageEncoder

NAMES = {"daquar": "daquar", "statement": "statements", "nlvr": "nlvr", "easyvqa": "easyvqa"}
"""Kind of round -> how its metrics are called."""
STRANGE = 126
"""Made pictures unlike any of training that the out-of-distribution score is tried on."""
PARTS = "parts.json"
PRESENCE = 200
"""Pictures of a collection in which things are asked for, at most."""


def evaluate_visual(
    data: Sequence[Path],
    model: str | Path = VISUAL,
    *,
    questions: Path | None = None,
    bank: Bank | None = None,
    keep: Path | None = None,
    device: Where = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate visual --json`; `data` is the folder with the picture collections.

    `questions` is a file of everyday questions about pictures of theirs, as `photo_questions` beside this reads.
    A folder without training parts is as good: the priors are those of the model's own training.

    `bank` is filled, and may be full already, where several models over the same encoders are compared. `keep` is a
    folder for what was made of the pictures and for the parts of the score that are done: a stopped run goes on there.
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
    eyes = dialog.config.picture_encoder_version or dialog.config.picture_encoder
    versions = {"eyes": f"{eyes} exact", "reader": dialog.config.text_encoder}
    # The weights' hash knows nothing of how far each witness is believed.
    believed = None if dialog.everyday is None else asdict(dialog.everyday.presence)
    once = Once(keep, f"{dialog.version} {eyes} {believed} {folder} {questions}")
    pictures = sorted({(t.collection, t.image) for t in talks} | {("flickr8k", row[0]) for row in judged})
    if keep is None:
        bank.see(folder, pictures, dialog.eyes, progress)
    else:
        bank.fill_from(keep, **versions)
        n_before = len(bank.pictures)
        bank.see(folder, pictures, dialog.eyes, progress, keep=lambda: bank.save(keep, **versions))
        if len(bank.pictures) > n_before:
            bank.save(keep, **versions)
    rounds = [r for t in talks for r in t.rounds]
    bank.read([*(x for r in rounds for x in (r.question, r.answer)), *(row[1] for row in judged)], dialog.reader)

    alone = [Talk(t.collection, t.image, (r,)) for t in talks for r in t.rounds if r.kind in NAMES]
    rows, scenes = predict(dialog, bank, alone), _scenes(folder, alone)
    blind_rows = predict(blind, bank, alone) if blind else None
    train = [(r.question, r.answer, r.kind) for t in load_talks(folder, "train") for r in t.rounds]
    metrics, baselines = dict[str, Any](), dict[str, dict[str, Any]]()
    near = _similarity(bank, dialog)
    for kind, name in NAMES.items():
        places = [i for i, r in enumerate(rows) if r.asked.kind == kind]
        if not places:
            continue
        known = [(q, a) for q, a, k in train if k == kind]
        priors = Priors(known) if known else Priors.stored(dialog.config.priors, kind)
        mine = [rows[i] for i in places]
        answers = {
            "model": [told(dialog, bank, r, scenes) for r in mine],
            "question_type": [priors.by_type(r.asked.question) for r in mine],
            "majority": [priors.majority] * len(mine),
        }
        if blind and blind_rows:
            answers["blind"] = [said(blind, blind_rows[i]) for i in places]
        measured = {"daquar": ("exact", "lenient")}.get(kind, ("accuracy",))
        for metric in measured:
            _score(f"{name}_{metric}", metric, mine, answers, near, metrics, baselines)
        metrics[f"{name}_n"] = len(mine)
        if kind == "nlvr":
            counted = [told_by_scene(scenes, r) is not None for r in mine]
            metrics["nlvr_counted_out"] = 100 * float(np.mean(counted))
    real = [r for r in rows if r.asked.kind in PHOTOGRAPHED]
    metrics["ece"] = calibration_error(
        [_confidence(dialog, bank, r) for r in real], [told(dialog, bank, r) == r.asked.answer for r in real]
    )
    metrics |= _captions(judged, bank, dialog)
    fits, blind_fits = _fits(folder, judged, bank, dialog)
    metrics |= fits
    for who, scores in blind_fits.items():
        baselines.setdefault(who, {}).update(scores)
    metrics |= once("presence", lambda: _presence(dialog, folder))
    if questions is not None:
        marked = once("everyday", lambda: shares(mark(dialog, folder, read_questions(questions))))
        metrics |= {f"everyday_{name}": value for name, value in marked.items()}
    return {
        "task": "visual",
        "model": dialog.version,
        "data": [str(p) for p in data],
        "n": len(rows),
        "seconds": time.perf_counter() - begun,
        "metrics": metrics,
        "baselines": baselines,
        "diagnostics": {
            "history": _history(dialog, bank, talks),
            "unlike_training": once("unlike_training", lambda: _strange(dialog, bank, talks)),
        },
    }


class Once:
    """Parts of a score, each worked out once for a model and kept in a folder's PARTS; in no folder, each time."""

    def __init__(self, folder: Path | None, version: str) -> None:
        self.file, self.version = None if folder is None else folder / PARTS, version
        stored = {} if self.file is None or not self.file.is_file() else read_json(self.file)
        self.done: dict[str, Any] = stored["parts"] if stored.get("version") == version else {}

    def __call__(self, name: str, work_out: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if name not in self.done:
            self.done[name] = work_out()
            if self.file is not None:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                self.file.write_text(json.dumps({"version": self.version, "parts": self.done}), encoding="utf-8")
        found: dict[str, Any] = self.done[name]
        return found


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


def told(dialog: VisualDialog, bank: Bank, row: Predicted, scenes: Mapping[str, Scene] = MappingProxyType({})) -> str:
    """What is said to a round: of a photograph's statement by the reasoner and the evidence together, of a drawing's
    what is counted out on its scene, where the statement can be read so."""
    if (counted := told_by_scene(scenes, row)) is not None:
        return counted
    p = _p_true(dialog, bank, row)
    return said(dialog, row) if p is None else "yes" if p >= 0.5 else "no"


def told_by_scene(scenes: Mapping[str, Scene], row: Predicted) -> str | None:
    """What is counted out on a drawing's scene; None where it has none or the statement is not read."""
    scene = scenes.get(row.talk.image)
    counted = None if scene is None else scene_answer(scene, row.asked.question)
    return None if counted is None else counted.answers[0][0]


def _p_true(dialog: VisualDialog, bank: Bank, row: Predicted) -> float | None:
    """How likely a statement about a photograph is true; None of any other round, or where there is no evidence."""
    regions = bank.pictures[row.talk.collection, row.talk.image]
    if dialog.everyday is None or row.asked.kind not in ("statement", "caption") or regions.words is None:
        return None
    yes, no = (float(row.p[dialog.config.answers.index(a)]) for a in ("yes", "no"))
    evidence = dialog.everyday.witness.evidence_of(regions)
    return dialog.everyday.claims.claim(evidence, row.asked.question, yes / max(1e-9, yes + no))


def _scenes(folder: Path, talks: Sequence[Talk]) -> dict[str, Scene]:
    """The scenes of NLVR's drawings."""
    wanted = {t.image for t in talks if t.collection == "nlvr"}
    pictures = read_pictures(folder, "nlvr") if wanted else ()
    taken = ((key, taken_apart(open_picture(content))) for key, content in pictures if key in wanted)
    return {key: read_scene(drawing) for key, drawing in taken if drawing is not None}


def _confidence(dialog: VisualDialog, bank: Bank, row: Predicted) -> float:
    """The probability of what is said; of a statement, as one of yes and no."""
    if (true := _p_true(dialog, bank, row)) is not None:
        return max(true, 1 - true)
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
        true = _p_true(dialog, bank, row)
        odds = float(row.p[yes].clamp(min=1e-9).log() - row.p[no].clamp(min=1e-9).log())
        scores[order[id(row.asked)]] = odds if true is None else true
    found = {"judged_captions_roc": roc_area(scores, fits), "judged_captions_n": len(judged)}
    return found


def _fits(
    folder: Path, judged: Sequence[tuple[str, str, bool]], bank: Bank, dialog: VisualDialog
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same area by encoders that share a space (dialog.pictures.match) and by nothing else; and blind."""
    keys = sorted({image for image, _, _ in judged})
    pooled = [p for key in keys if (p := bank.pictures["flickr8k", key].pooled) is not None]
    if len(pooled) < len(keys) or not isinstance(dialog.eyes, ImageEncoder):
        return {}, {}
    name, reader = dialog.config.picture_encoder, dialog.reader.encoder
    found = evaluate_judged(folder, name, dialog.eyes, reader, torch.stack(pooled).float(), keys)
    return found, {"blind": {"judged_roc_area": found.pop("blind")}}


def _presence(dialog: VisualDialog, folder: Path) -> dict[str, Any]:
    """Asked of each collection's test pictures whether things are there, by name, as a person asks."""
    found = dict[str, Any]()
    for collection, things in asked_things(folder, "test").items():
        kept = list(dict.fromkeys(key for key, _, _ in things))
        kept = kept[:: max(1, len(kept) // PRESENCE)][:PRESENCE]
        looks = dict(zip(kept, _looks(dialog, folder, collection, [image for _, image in kept]), strict=True))
        asked = [t for t in things if t[0] in looks]
        scores = balanced_accuracy(asked, lambda key, noun, at=looks: _says_yes(dialog, at[key], noun))  # type: ignore[misc]
        found |= {f"presence_{collection}_{name}": value for name, value in scores.items()}
    return found


def _looks(dialog: VisualDialog, folder: Path, collection: str, images: Sequence[str]) -> list[SeqDialNLook]:
    wanted = dict[str, SeqDialNLook]()
    for key, content in read_pictures(folder, collection):
        if key in images:
            wanted[key] = dialog.look(open_picture(content))
    return [wanted[image] for image in images]


def _says_yes(dialog: VisualDialog, look: SeqDialNLook, noun: str) -> bool:
    """By the likelier answer, also where it is not likely enough to be said; a strange picture says nothing."""
    answer, _ = dialog.ask(dialog.start(look), f"Is there {'an' if noun[0] in 'aeiou' else 'a'} {noun} in the picture?")
    return (answer.answers[0].text if answer.why == UNSURE else answer.text) == "yes"


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
    made = [dialog.look(picture).strangeness or 0.0 for picture in strange_pictures(STRANGE)]
    scores = [dialog.familiarity.strangeness(known).tolist(), made]
    return {
        "roc": roc_area([*scores[0], *scores[1]], [False] * len(scores[0]) + [True] * len(scores[1])),
        "test_pictures_refused": 100 * float(np.mean([s > 1 for s in scores[0]])),
        "strange_pictures_refused": 100 * float(np.mean([s > 1 for s in scores[1]])),
    }
