"""Teaches a model that answers about pictures to read drawings by their parts; how it sees photographs stays as it is.

Only the fusion of parts is trained (models.seqdialn.parts), so that its joint vectors mean to the reasoning and to the
decoders, which are frozen, what those of photographs do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.corpora.derived.visual_examples import Talk, load_talks
from dialog.evaluation.pictures.validation import accuracies, predict
from dialog.pictures.bank import Bank
from dialog.pictures.batches import Batcher, Batches
from dialog.pictures.parts import D_PART
from dialog.pictures.seqdialn import VisualDialog
from dialog.training.averaging import Average
from dialog.training.loop import Progress, Schedule, finish, run
from dialog.training.pictures.seqdialn import text_version
from models.catalogue import VISUAL, path_of
from models.device import Where
from models.seqdialn.model import SeqDialN

COLLECTION = "nlvr"
"""Of several things a drawing; easy-VQA's are of one."""
STEPS = 600
ROUNDS = 96
"""Of a batch."""
LR = 2e-3
DECAY = 0.99
"""Of the running mean of the weights, which is what is kept."""
DRAWN = {"scene": 24}
"""Of the statements made about a scene, how many an epoch takes."""


class DrawingTraining(nn.Module):
    """A model's network of which the fusion of parts learns, and the mean of its weights."""

    def __init__(self, dialog: VisualDialog, bank: Bank) -> None:
        super().__init__()
        self.network = dialog.network
        if self.network.parts is None:
            raise ValueError("expected a network with an eye for parts")
        self.network.requires_grad_(False)
        self.network.parts.requires_grad_(True)
        self.average = Average(self.network.parts.state_dict(), DECAY)
        self.dialog, self.batcher = dialog, Batcher(bank, blind=False, device=dialog.device)
        self.place = {a: i for i, a in enumerate(dialog.config.answers)}

    def loss(self, talks: Sequence[Talk], step: int) -> Tensor:
        """The cross-entropy of the right answers among all there are, those that are in the list."""
        assert self.network.parts is not None
        if step:
            self.average.update(self.network.parts.state_dict(), step)
        encoded, rounds = self.batcher.encode(self.dialog, talks)
        listed = torch.tensor(
            [self.place.get(r.answer, -1) for t in talks for r in t.rounds], device=self.dialog.device
        )
        scores = self.network.discriminative(encoded.z[rounds], self.dialog.options).float()
        return F.cross_entropy(scores, listed, ignore_index=-1)


def train_drawings(
    data: Path,
    out: Path,
    *,
    start: str | Path | None = None,
    seed: int = 0,
    steps: int = STEPS,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """The model `start`, by default the shipped one, taught to read drawings, into `out`; its scores on validation.

    Texts that were read are kept in `out` until the run is done, and a killed run resumes.
    """
    old = VisualDialog.load(path_of(str(start or VISUAL)), device=device)
    dialog = with_eye(old, seed)
    parts = {
        part: [t for t in load_talks(data, part) if t.collection == COLLECTION] for part in ("train", "validation")
    }
    bank = Bank(exact=True)
    version = {"eyes": "", "reader": text_version(dialog.reader)}
    bank.fill_from(out, **version)
    every = [t for talks in parts.values() for t in talks]
    bank.take_apart(data, {(t.collection, t.image) for t in every}, dialog.config.network.d_region)
    n_before = len(bank.texts)
    bank.read([text for t in every for r in t.rounds for text in (r.question, r.answer)], dialog.reader)
    if len(bank.texts) > n_before:
        bank.save(out, **version)
    parts = {part: [t for t in talks if (t.collection, t.image) in bank.pictures] for part, talks in parts.items()}
    module = DrawingTraining(dialog, bank)
    batches = Batches(parts["train"], ROUNDS, (), seed, balanced=True, drawn=DRAWN, most=2)
    schedule = Schedule(steps=steps, lr=LR, lr_new=LR, weight_decay=0.02)
    module.train()
    run(module, [], lambda step: module.loss(batches.at(step), step), schedule, out, seed, report)
    assert dialog.network.parts is not None
    module.average.copy_to(dialog.network.parts.state_dict())
    dialog.network.eval()
    dialog.save(out)
    finish(out)
    alone = [Talk(t.collection, t.image, (r,)) for t in parts["validation"] for r in t.rounds]
    return accuracies(dialog, predict(dialog, bank, alone))


def with_eye(dialog: VisualDialog, seed: int) -> VisualDialog:
    """The same model with a fusion of parts, a new one if it had none."""
    if dialog.network.parts is not None:
        return dialog
    torch.manual_seed(seed)
    config = replace(dialog.config, network=replace(dialog.config.network, d_part=D_PART))
    network = SeqDialN(config.network).to(dialog.device)
    known: Mapping[str, Tensor] = dialog.network.state_dict()
    network.load_state_dict({**network.state_dict(), **known})
    return VisualDialog(
        dialog.name, "training", config, network, dialog.options, dialog.eyes, dialog.reader, dialog.familiarity
    )
