"""How far each witness is to be believed: two logistic regressions over what they say, of pictures none has learned
from."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from torch import Tensor

from dialog.corpora.derived.visual_examples import Asked, Talk
from dialog.corpora.pictures import read_pictures
from dialog.evaluation.pictures.presence import Key, Thing, asked_things, claims
from dialog.evaluation.pictures.validation import predict
from dialog.pictures.bank import Bank
from dialog.pictures.everyday import Everyday, open_witness
from dialog.pictures.evidence import THINGS, Evidence, Presence, Witness
from dialog.pictures.names import canonical
from dialog.pictures.seqdialn import VisualDialog
from dialog.reading.pictures import open_picture
from dialog.reading.seeing import see
from dialog.training.loop import Progress
from models.catalogue import VISUAL, path_of
from models.checkpoint import is_model
from models.device import Where
from models.tensors import read_file, read_note, write_file

CACHE = "evidence.safetensors"
"""In the output folder: what was gathered of the pictures, for when the command is run again."""
KEPT = ("pooled", "words", "classes", "most")
LOOKED = ("cells", "whole")
"""What there may be more or less of, by how wide a picture is; kept end to end."""
OFTEN = 25
"""Things asked for so often have a shift of their own."""
EASE = 1.5
"""How easily a thing takes one: the width of its indicator beside standardised features."""
BOLDNESS = 0.3
"""Scikit-learn's C. This, EASE and the features were chosen in five folds over the pictures of `train`."""
WEIGHTS = {"coco_mini": 2.0, "caltech101": 0.3, "daquar": 0.3}
"""What looks for things by name was taught on other photographs of the last two, and is to be believed less elsewhere;
nothing but the boxes was taught on any like the first's. Chosen in the same five folds."""
SAVED_EVERY = 200


def train_presence(
    data: Path,
    out: Path,
    *,
    start: str | Path | None = None,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """Fits the regressions of the model `start`, by default the shipped one, and writes them into `out`.

    `out` may be the model's own folder. Returns, in per cent and by collection, how often it is right of what is there
    and of what is not, on pictures left out in five folds.
    """
    folder = path_of(str(start or VISUAL))
    dialog = VisualDialog.load(folder, device=device)
    config = dialog.config
    things_folder = (out if is_model(out / THINGS) else folder) / THINGS
    witness = open_witness(config.picture_encoder, dialog.eyes, dialog.reader, config.detector, things_folder)  # type: ignore[arg-type]
    if witness is None:
        raise ValueError(f"{folder} sees with {config.picture_encoder}, which tells no words and classes to believe")
    things, stated = asked_things(data, "train"), list(claims(data, "train"))
    keys = {key for some in things.values() for key, _, _ in some} | {key for key, _, _ in stated}
    out.mkdir(parents=True, exist_ok=True)
    evidence = gathered(dialog, witness, data, keys, out / CACHE, report)
    everyday = Everyday(witness, Presence((), 0.0, (), 0.0))
    bank = Bank(exact=True)
    bank.see(data, {key for key, _, _ in stated}, dialog.eyes)
    found, scores = fit_presence(everyday, things, stated, evidence, p_said(dialog, bank, stated))
    found.save(out)
    return scores


def gathered(
    dialog: VisualDialog,
    witness: Witness,
    data: Path,
    keys: Iterable[Key],
    cache: Path,
    report: Callable[[Progress], None] | None = None,
) -> dict[Key, Evidence]:
    """What there is to know of the pictures, without boxes and colours; kept in `cache` as it grows."""
    of_things = "" if witness.things is None else witness.things.version
    version = f"{dialog.config.picture_encoder_version} {dialog.config.detector} {of_things}"
    found = dict[Key, Evidence]()
    if cache.is_file() and (note := read_note(cache))["version"] == version:
        kept = read_file(cache)
        looked = {name: kept[name].float().split(note["lengths"][name]) for name in LOOKED}
        for i, (collection, image) in enumerate(note["keys"]):
            known = {name: kept[name][i].float() for name in KEPT} | {name: looked[name][i] for name in LOOKED}
            found[collection, image] = _bare(**known)
    wanted = set(keys) - set(found)
    steps = len(wanted)

    def save() -> None:
        tensors = {n: torch.stack([getattr(e, n) for e in found.values()]).half() for n in KEPT}
        tensors |= {name: torch.cat([getattr(e, name) for e in found.values()]).half() for name in LOOKED}
        lengths = {name: [len(getattr(e, name)) for e in found.values()] for name in LOOKED}
        write_file(cache, tensors, {"version": version, "keys": list(found), "lengths": lengths})

    for collection in sorted({collection for collection, _ in wanted}):
        for image, content in read_pictures(data, collection):
            if (key := (collection, image)) not in wanted:
                continue
            picture = open_picture(content)
            one = witness.evidence(picture, see(dialog.eyes, [picture])[0])
            found[key] = _bare(**{name: getattr(one, name) for name in (*KEPT, *LOOKED)})
            wanted.discard(key)
            if len(wanted) % SAVED_EVERY == 0:
                save()
            if report:
                report(Progress(steps - len(wanted), steps, 0.0))
    if wanted:
        raise ValueError(f"{len(wanted)} pictures are missing, {'/'.join(sorted(wanted)[0])} among them")
    return found


def _bare(**known: Tensor) -> Evidence:
    """Evidence without boxes and colours."""
    none, small = torch.zeros(0), torch.zeros(3, 1, 1, dtype=torch.uint8)
    return Evidence(labels=none.long(), p=none, boxes=none.view(-1, 4), small=small, **known)


def p_said(dialog: VisualDialog, bank: Bank, stated: Sequence[Thing]) -> dict[tuple[Key, str], float]:
    """How likely the reasoner finds each sentence, as one of yes and no; the bank has its pictures."""
    bank.read([text for _, text, _ in stated], dialog.reader)
    yes, no = (dialog.config.answers.index(answer) for answer in ("yes", "no"))
    talks = [Talk(*key, (Asked(text, "yes", "statement"),)) for key, text, _ in stated]
    bank.read(["yes"], dialog.reader)
    return {
        ((row.talk.collection, row.talk.image), row.asked.question): float(row.p[yes] / (row.p[yes] + row.p[no]))
        for row in predict(dialog, bank, talks)
    }


def fit_presence(
    everyday: Everyday,
    things: Mapping[str, Sequence[Thing]],
    stated: Sequence[Thing],
    evidence: Mapping[Key, Evidence],
    said: Mapping[tuple[Key, str], float],
) -> tuple[Presence, dict[str, float]]:
    """The regressions, over whatever pictures evidence is given of: of things being there, of sentences being true.
    `said` is the reasoner's yes to a sentence, a half where it is not asked. A collection weighs as the square root
    of what is asked of it, so that the largest does not decide alone, times its WEIGHTS."""
    asked = [(c, thing) for c, some in things.items() for thing in some if thing[0] in evidence]
    rows = table(everyday.witness, [thing for _, thing in asked], evidence)
    truth, names = [thing[2] for _, thing in asked], [canonical(thing[1]) for _, thing in asked]
    sizes = Counter(c for c, _ in asked)
    weights = np.array([WEIGHTS.get(c, 1.0) * sizes[c] ** -0.5 for c, _ in asked])
    scores = _folds(rows, truth, names, weights / weights.mean(), asked)
    thing_weights, intercept, shifts = regression(rows, truth, names, weights / weights.mean())
    true = [(key, text, holds) for key, text, holds in stated if key in evidence]
    features = torch.stack(
        [everyday.claims.claim_features(evidence[key], text, said.get((key, text), 0.5)) for key, text, _ in true]
    )
    claim_weights, claim_intercept, _ = regression(features, [holds for _, _, holds in true])
    return Presence(thing_weights, intercept, claim_weights, claim_intercept, shifts), scores


def table(witness: Witness, things: Sequence[Thing], evidence: Mapping[Key, Evidence]) -> Tensor:
    """The features (N, F) of every thing asked for, in order."""
    places = dict[Key, list[int]]()
    for i, (key, _, _) in enumerate(things):
        places.setdefault(key, []).append(i)
    rows: list[Tensor] = [torch.zeros(0)] * len(things)
    for key, some in places.items():
        for i, row in zip(some, witness.features(evidence[key], [things[i][1] for i in some]), strict=True):
            rows[i] = row
    return torch.stack(rows)


def regression(
    rows: Tensor, truth: Sequence[bool], nouns: Sequence[str] = (), weights: "np.ndarray | None" = None
) -> tuple[tuple[float, ...], float, dict[str, float]]:
    """Weights and intercept of a logistic regression over rows (N, F), and the shifts of `nouns` that come often; both
    sides of the truth weigh the same."""
    x, mean, spread = rows.numpy(), rows.numpy().mean(0), np.maximum(rows.numpy().std(0), 1e-6)
    often = sorted(n for n, times in Counter(nouns).items() if times >= OFTEN)
    own = np.array([[EASE * (n == one) for one in often] for n in nouns]).reshape(len(x), len(often))
    model = LogisticRegression(C=BOLDNESS, max_iter=2000, class_weight="balanced")
    model.fit(np.concatenate([(x - mean) / spread, own], 1), np.array(truth), sample_weight=weights)
    learned = model.coef_[0]
    slopes = learned[: x.shape[1]] / spread
    shifts = {n: float(EASE * w) for n, w in zip(often, learned[x.shape[1] :], strict=True)}
    return tuple(map(float, slopes)), float(model.intercept_[0] - slopes @ mean), shifts


def _folds(
    rows: Tensor, truth: Sequence[bool], nouns: Sequence[str], weights: "np.ndarray", asked: Sequence[tuple[str, Thing]]
) -> dict[str, float]:
    """Balanced accuracy by collection, each picture told by a regression over the others."""
    pictures = ["/".join(key) for _, (key, _, _) in asked]
    right = dict[tuple[str, bool], list[bool]]()
    for learned, told in GroupKFold(min(5, len(set(pictures)))).split(rows, truth, pictures):
        some = [nouns[i] for i in learned]
        found = Presence(*_thing(regression(rows[learned], [truth[i] for i in learned], some, weights[learned])))
        for i, p in zip(told, found.p(rows[told], [nouns[i] for i in told]).tolist(), strict=True):
            right.setdefault((asked[i][0], truth[i]), []).append((p > 0.5) == truth[i])
    return {
        collection: 50 * sum(sum(some) / len(some) for (c, _), some in right.items() if c == collection)
        for collection in dict.fromkeys(c for c, _ in asked)
    }


def _thing(
    found: tuple[tuple[float, ...], float, dict[str, float]],
) -> tuple[tuple[float, ...], float, tuple[float, ...], float, dict[str, float]]:
    weights, intercept, shifts = found
    return weights, intercept, (), 0.0, shifts
