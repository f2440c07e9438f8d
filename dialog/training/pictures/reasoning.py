"""Which way of reasoning over the rounds does best: everything above the fusion trained anew, once a way and seed.

The joint vectors h_t and u_t of a trained model's fusion (models.seqdialn.fusion) are made once; what reasons over
them, and both decoders, begin with nothing and take as many steps in every row. That is cheap enough to run until the
ways can be told apart, but the fusion learned under the reasoning of the model it is taken from.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.corpora.derived.visual_examples import Talk, dialogues, limited, load_talks
from dialog.evaluation.pictures.validation import accuracies, of_pronouns, predicted
from dialog.pictures.bank import Bank
from dialog.pictures.batches import Batcher
from dialog.pictures.seqdialn import TWIN, VisualDialog
from dialog.reading.text_vectors import batched
from dialog.training.loop import Progress, Schedule, finish, run
from dialog.training.pictures.seqdialn import filled_bank
from models.catalogue import CONFIG_FILE, VISUAL, path_of
from models.device import Where
from models.seqdialn.config import SPECIAL_WORDS
from models.seqdialn.decoders import END, SCALE, START, UNKNOWN
from models.seqdialn.model import SeqDialN

WAYS = ("mr", "ip", "gla", "aaren", "gru")
"""The paper's two, and three mixers in the LSTM's place."""
BLIND = "blind"
"""How the rows of the model's blind twin are called: its own way, above its own fusion, without a picture."""
ROWS = "reasoning.json"
"""In the output folder: what was measured, by way and seed. A row that is there is not run again."""
LONGEST = 11
"""Words of a written answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasoningRecipe:
    """How long each way learns, and from what."""

    ways: tuple[str, ...] = WAYS
    twin: bool = True
    """Whether the blind twin of the model, where it has one, has rows too."""
    seeds: int = 3
    steps: int = 1500
    batch_talks: int = 128
    lr: float = 2e-3
    weight_decay: float = 0.05
    words_weight: float = 0.3
    """Of the generative decoder's loss."""
    cuts: int = 3
    """How often the independent rounds are cut into dialogues: joint vectors are made of each cut."""
    chained: int = 3
    """How often a cut has the rounds that speak in pronouns."""
    pictures: tuple[tuple[str, int], ...] = (("flickr8k", 1200), ("easyvqa", 150), ("nlvr", 200))
    """At most so many training pictures of a collection, those first of which most is asked; a fifth as many for
    validation."""


class Joint(NamedTuple):
    """Dialogues as the fusion leaves them."""

    h: Tensor  # (N, T, D)
    u: Tensor  # (N, T, D)
    mask: Tensor  # (N, T)
    talks: Sequence[Talk]

    def rows(self, places: Tensor) -> "Joint":
        return Joint(self.h[places], self.u[places], self.mask[places], [self.talks[i] for i in places.tolist()])


class Ground(NamedTuple):
    """A trained model, and what its fusion makes of the dialogues to learn from and of those to be judged on."""

    dialog: VisualDialog
    learned: Joint
    judged: Mapping[str, Joint]
    answers: tuple[Tensor, Tensor]


class Above(nn.Module):
    """Reasoning and decoders, which learn; the fusion is not asked."""

    def __init__(self, dialog: VisualDialog, recipe: ReasoningRecipe, answers: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.network, self.recipe, self.answers = dialog.network, recipe, answers
        self.network.fusion.requires_grad_(False)
        if self.network.nothing is not None:
            self.network.nothing.requires_grad_(False)
        self.place = {a: i for i, a in enumerate(dialog.config.answers)}
        self.word = {w: i + SPECIAL_WORDS for i, w in enumerate(dialog.config.words)}

    def loss(self, some: Joint) -> Tensor:
        """The N-pair loss over the answer list plus the words' cross-entropy, as in `seqdialn` beside this."""
        z = self.network.reason(some.h, some.u, some.mask)[0][some.mask]
        said = [r.answer for t in some.talks for r in t.rounds]
        listed = torch.tensor([self.place.get(a, -1) for a in said], device=z.device)
        scores = self.network.discriminative(z, self.network.discriminative.options(*self.answers))
        y = F.cross_entropy(scores / SCALE, listed, ignore_index=-1)
        if self.network.generative is not None and self.recipe.words_weight:
            y = y + self.recipe.words_weight * self.network.generative.loss(z, *self._words(said))
        return y

    def _words(self, answers: Sequence[str]) -> tuple[Tensor, Tensor]:
        rows = [[*(self.word.get(w, UNKNOWN) for w in _split(a)[:LONGEST]), END] for a in answers]
        n, device = max(map(len, rows)), self.answers[0].device
        tokens = torch.tensor([row + [END] * (n - len(row)) for row in rows], device=device)
        return tokens, torch.tensor([[i < len(row) for i in range(n)] for row in rows], device=device)


def train_reasoning(
    data: Path,
    out: Path,
    *,
    recipe: ReasoningRecipe | None = None,
    start: str | Path | None = None,
    seed: int = 0,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """Trains every way over the fusion of `start`, by default the shipped model, `recipe.seeds` times from `seed` on.

    Writes the rows into `out / ROWS` as they are done, and goes on from those that are there. Returns, in per cent on
    validation, the mean over the seeds of each way and of the BLIND twin: of its rounds that speak in pronouns with and
    without the rounds before them, of each kind of round, and of what the generative decoder writes of all.
    """
    recipe = recipe or ReasoningRecipe()
    dialog_folder = path_of(str(start or VISUAL))
    dialog = VisualDialog.load(dialog_folder, device=device)
    train = limited(load_talks(data, "train"), recipe.pictures)
    held = limited(load_talks(data, "validation"), [(c, -(-n // 5)) for c, n in recipe.pictures])
    bank = filled_bank(data, [*train, *held], dialog.config.answers, dialog.eyes, dialog.reader, out)  # type: ignore[arg-type]
    grounds = dict.fromkeys(recipe.ways, _ground(dialog, bank, train, held, recipe))
    if recipe.twin and (twin := dialog_folder / TWIN / CONFIG_FILE).is_file():
        blind = VisualDialog.load(twin.parent, device=device)
        bank.read(blind.config.answers, blind.reader)
        grounds[BLIND] = _ground(blind, bank, train, held, recipe)
    rows, file = dict[str, dict[str, float]](), out / ROWS
    if file.is_file():
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    # By seed, so that a run that is stopped has compared all ways as often.
    for one in range(seed, seed + recipe.seeds):
        for way, ground in grounds.items():
            if (name := f"{way} {one}") not in rows:
                folder = out / f"{way}-{one}"
                kind = ground.dialog.config.network.reasoning if way == BLIND else way
                rows[name] = _row(ground, kind, recipe, folder, one, report)
                told = {"steps": recipe.steps, "talks": len(ground.learned.talks), "rows": rows}
                file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
                finish(folder)
                folder.rmdir()
    return means(rows)


def _ground(
    dialog: VisualDialog, bank: Bank, train: Sequence[Talk], held: Sequence[Talk], recipe: ReasoningRecipe
) -> Ground:
    batcher = Batcher(bank, blind=dialog.config.blind, device=dialog.device)
    alone = [Talk(t.collection, t.image, (r,)) for t in held if not t.chained for r in t.rounds]
    chained = [t for t in held if t.chained]
    judged = {
        "alone": joint(dialog, batcher, alone),
        "chained": joint(dialog, batcher, chained),
        "chained_without_history": joint(dialog, batcher, chained, history=False),
    }
    texts = batched([bank.texts[a] for a in dialog.config.answers], dialog.device)
    return Ground(dialog, joint(dialog, batcher, list(_cuts(train, recipe))), judged, (texts.words, texts.mask))


def means(rows: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Of rows named by way and seed, the mean of each score and its standard deviation, by way."""
    found = dict[str, float]()
    for way in dict.fromkeys(name.split()[0] for name in rows):
        own = [row for name, row in rows.items() if name.split()[0] == way]
        for score in own[0]:
            values = torch.tensor([row[score] for row in own])
            found[f"{way}_{score}"] = float(values.mean())
            if len(own) > 1:
                found[f"{way}_{score}_sd"] = float(values.std())
    return found


@torch.inference_mode()
def joint(dialog: VisualDialog, batcher: Batcher, talks: Sequence[Talk], *, history: bool = True) -> Joint:
    """What the fusion makes of every round, padded to the longest dialogue, on the network's device."""
    longest, width = max(len(t.rounds) for t in talks), dialog.config.network.d_model
    shape = (len(talks), longest)
    h, u = (torch.zeros(*shape, width, device=dialog.device) for _ in range(2))
    mask = torch.zeros(shape, dtype=torch.bool, device=dialog.device)
    order = sorted(range(len(talks)), key=lambda i: (talks[i].collection, len(talks[i].rounds)))
    for begin in range(0, len(order), 64):
        places = order[begin : begin + 64]
        some = [talks[i] for i in places]
        items, questions, rounds = batcher.texts(some, history=history)
        states = dialog.states([batcher.regions(t) for t in some])
        one, two = dialog.network.joint(states, items, questions, rounds)
        n = rounds.shape[1]
        h[places, :n], u[places, :n], mask[places, :n] = one.vector, two.vector, rounds
    return Joint(h, u, mask, talks)


def _cuts(talks: Sequence[Talk], recipe: ReasoningRecipe) -> Iterator[Talk]:
    """The training dialogues of every cut."""
    several = [t for t in talks for _ in range(recipe.chained if t.chained else 1)]
    for cut in range(recipe.cuts):
        yield from dialogues(several, random.Random(f"cut-{cut}"))


def _row(
    ground: Ground,
    way: str,
    recipe: ReasoningRecipe,
    folder: Path,
    seed: int,
    report: Callable[[Progress], None] | None,
) -> dict[str, float]:
    """One way trained with one seed, and its scores."""
    dialog, learned, judged, answers = ground
    torch.manual_seed(seed)
    config = replace(dialog.config, network=replace(dialog.config.network, reasoning=way))
    network = SeqDialN(config.network).to(dialog.device)
    own = VisualDialog(way, "training", config, network, dialog.options, dialog.eyes, dialog.reader)
    module = Above(own, recipe, answers)
    module.train()
    schedule = Schedule(
        steps=recipe.steps, lr=recipe.lr, lr_new=recipe.lr, weight_decay=recipe.weight_decay, save_every=500
    )

    def loss_at(step: int) -> Tensor:
        del step  # the loop has seeded it
        return module.loss(learned.rows(torch.randint(len(learned.talks), (recipe.batch_talks,))))

    run(module, [], loss_at, schedule, folder, seed, report)
    network.eval()
    return scores(own, judged, answers)


@torch.inference_mode()
def scores(dialog: VisualDialog, judged: Mapping[str, Joint], answers: tuple[Tensor, Tensor]) -> dict[str, float]:
    """In per cent: `chained`, `chained_without_history`, `written`, and each kind of round."""
    network = dialog.network
    dialog.options = network.discriminative.options(*answers) / SCALE
    z = {name: network.reason(some.h, some.u, some.mask)[0][some.mask] for name, some in judged.items()}
    found = {name: of_pronouns(dialog, predicted(dialog, judged[name].talks, z[name])) for name in z if name != "alone"}
    alone = judged["alone"].talks
    found |= accuracies(dialog, predicted(dialog, alone, z["alone"]))
    if network.generative is not None:
        texts = written(network, z["alone"], dialog.config.words)
        right = [a == " ".join(_split(t.rounds[0].answer)) for a, t in zip(texts, alone, strict=True)]
        found["written"] = 100 * sum(right) / len(right)
    return found


def written(network: SeqDialN, z: Tensor, words: Sequence[str]) -> list[str]:
    """The likeliest word after word of the generative decoder, for each z (N, K)."""
    assert network.generative is not None
    state, tokens = network.generative.initial_state(z), torch.full((len(z),), START, device=z.device)
    texts, going = [list[str]() for _ in range(len(z))], torch.ones(len(z), dtype=torch.bool, device=z.device)
    for _ in range(LONGEST + 1):
        logits, state = network.generative.step(tokens, state)
        tokens = logits.argmax(-1)
        going &= tokens != END
        if not bool(going.any()):
            break
        for i in going.nonzero()[:, 0].tolist():
            place = int(tokens[i]) - SPECIAL_WORDS
            texts[i].append(words[place] if place >= 0 else "?")
    return [" ".join(some) for some in texts]


def _split(answer: str) -> list[str]:
    return answer.replace(",", " ,").split()
