"""The tasks: recall what stood before, forecast series most of which is hidden, tell feelings in a dialogue."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.bench.review.kuramoto import KuramotoSivashinsky
from dialog.bench.review.lorenz import Floats, Lorenz96
from dialog.bench.review.parts import Reader
from dialog.corpora import gold, load_corpus
from dialog.evaluation.recall import NO_LABEL, TEST_SEEDS
from dialog.evaluation.recall import Task as RecallTask
from dialog.metrics import emotion_scores
from dialog.reading.batching import pad_rows

Scores = dict[str, float]


class Task(ABC):
    """What a `Reader` learns, how it is asked, and what it is held against. Nothing is chosen by any of the scores."""

    name: str
    n_out: int
    steps: int
    learning_rate: float = 3e-3
    dropout: float = 0.0

    @abstractmethod
    def embed(self, width: int) -> nn.Module: ...

    @abstractmethod
    def loss(self, model: Reader, random: np.random.Generator) -> Tensor:
        """Over one batch drawn by `random`."""

    @abstractmethod
    def scores(self, model: Reader) -> Scores:
        """On what no batch is drawn from; `score` first."""

    @abstractmethod
    def baselines(self) -> Mapping[str, Callable[[], Scores]]:
        """By name: the same scores of something plain."""


@dataclass(kw_only=True)
class Recall(Task):
    """Multi-query associative recall: `score` is per cent of the queries answered right."""

    task: RecallTask = field(default_factory=lambda: RecallTask(T=32, N=4, V=64))
    batch: int = 32
    n_test: int = 512
    steps: int = 400
    name: str = "recall"

    def __post_init__(self) -> None:
        self.n_out = self.task.V

    def embed(self, width: int) -> nn.Module:
        embedding = nn.Embedding(self.task.V, width)
        nn.init.normal_(embedding.weight, std=0.02)  # from N(0, 1) attention binds its keys in twice as many steps
        return embedding

    def loss(self, model: Reader, random: np.random.Generator) -> Tensor:
        x, y = self.task.draw(self.batch, int(random.integers(TEST_SEEDS)))
        return F.cross_entropy(model(x).flatten(0, 1), y.flatten(), ignore_index=NO_LABEL)

    def scores(self, model: Reader) -> Scores:
        x, y = self.task.draw(self.n_test, TEST_SEEDS)
        asked = y != NO_LABEL
        return {"score": 100 * float((model(x).argmax(-1) == y)[asked].double().mean())}

    def baselines(self) -> Mapping[str, Callable[[], Scores]]:
        return {"any value of the example": lambda: {"score": 100 / self.task.N}}


class System(Protocol):
    """A chaos of which some is seen."""

    @property
    def n_seen(self) -> int: ...
    @property
    def dt(self) -> float: ...

    def series(self, n: int, n_samples: int, every: int, seed: int) -> Floats:
        """(n, n_samples, n_seen), a sample every so many steps of dt."""


@dataclass(kw_only=True)
class Forecast(Task):
    """The slow variables of Lorenz-96, a step of 0.1 ahead: each trajectory's first three quarters to learn from, its
    last to be asked. `score` is the root of the mean squared error of one step, per cent of the series' deviation;
    `valid_time` how long a free run stays within half a deviation, in the system's time, the mean over runs that end
    with the window; `spectrum` how far the free runs' mean power over the ring's waves is from the truth's, per cent.
    """

    n_series: int = 32
    n_samples: int = 400
    every: int = 20
    window: int = 32
    heard: int = 8
    """Samples of a window that are read before the model is asked, or goes on by itself."""
    lags: int = 4
    """Of the linear baseline."""
    batch: int = 16
    steps: int = 250
    system: System = field(default_factory=Lorenz96)
    name: str = "forecast"

    def __post_init__(self) -> None:
        self.n_out = self.system.n_seen
        self.cut = self.n_samples * 3 // 4

    @cached_property
    def series(self) -> Tensor:
        """(n_series, n_samples, n_seen), in deviations from the mean of what is learned from."""
        raw = self.system.series(self.n_series, self.n_samples, self.every, seed=0)
        known = raw[:, : self.cut]
        return torch.from_numpy((raw - known.mean()) / known.std()).float()

    @cached_property
    def asked(self) -> Tensor:
        """(N, window + 1, n_seen): the later part in pieces."""
        return self.series[:, self.cut :].unfold(1, self.window + 1, self.window + 1).flatten(0, 1).transpose(1, 2)

    def embed(self, width: int) -> nn.Module:
        return nn.Linear(self.n_out, width)

    def loss(self, model: Reader, random: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(random.integers(self.n_series, size=self.batch))
        starts = torch.from_numpy(random.integers(self.cut - self.window, size=self.batch))
        piece = self.series[rows[:, None], starts[:, None] + torch.arange(self.window + 1)]
        return F.mse_loss(model(piece[:, :-1]), piece[:, 1:] - piece[:, :-1])

    def scores(self, model: Reader) -> Scores:
        x = self.asked
        ahead = x[:, :-1] + model(x[:, :-1])
        change, state = model.read(x[:, : self.heard])
        now, run = x[:, self.heard - 1] + change[:, -1], []
        for _ in range(self.heard, self.window + 1):
            run.append(now)
            change, state = model.step(now, state)
            now = now + change
        return self._scored(ahead, torch.stack(run, 1))

    def baselines(self) -> Mapping[str, Callable[[], Scores]]:
        return {"the last value": self._last_value, f"a linear map of the last {self.lags}": self._linear}

    def _last_value(self) -> Scores:
        x = self.asked
        free = x[:, self.heard - 1, None].expand(-1, self.window + 1 - self.heard, -1)
        return self._scored(x[:, :-1], free)

    def _linear(self) -> Scores:
        """Least squares on the known part; run freely by its own answers."""
        known = self.series[:, : self.cut].double()
        past = known.unfold(1, self.lags, 1)[:, :-1].flatten(2).flatten(0, 1)
        weights = torch.linalg.lstsq(past, known[:, self.lags :].flatten(0, 1)).solution.float()
        x = self.asked
        ahead = x[:, :-1].clone()
        ahead[:, self.lags - 1 :] = x.unfold(1, self.lags, 1)[:, :-1].flatten(2) @ weights
        last, run = x[:, self.heard - self.lags : self.heard], []
        for _ in range(self.heard, self.window + 1):
            run.append(last.transpose(1, 2).flatten(1) @ weights)
            last = torch.cat([last[:, 1:], run[-1][:, None]], 1)
        return self._scored(ahead, torch.stack(run, 1))

    def _scored(self, ahead: Tensor, free: Tensor) -> Scores:
        """ahead (N, window, n_seen) one step on from each sample; free (N, window + 1 - heard, n_seen)."""
        truth = self.asked
        error = (ahead - truth[:, 1:])[:, self.heard - 1 :].square().mean().sqrt()
        good = (free - truth[:, self.heard :]).square().mean(2).sqrt() <= 0.5
        valid = good.long().cumprod(1).sum(1).double().mean() * self.every * self.system.dt
        power, true = (torch.fft.rfft(z.double()).abs().square().mean((0, 1)) for z in (free, truth[:, self.heard :]))
        return {
            "score": 100 * float(error),
            "valid_time": float(valid),
            "spectrum": 100 * float((power - true).abs().sum() / true.sum()),
        }


def kuramoto() -> Forecast:
    """Eight of 64 points of the Kuramoto-Sivashinsky equation, a step of 2 ahead; a run of 50 is two Lyapunov times."""
    return Forecast(system=KuramotoSivashinsky(), every=8, name="kuramoto")


@dataclass(kw_only=True)
class Emotion(Task):
    """MELD: each utterance's feeling from sentence vectors of the built-in encoder, which reads every utterance by
    itself and stays as it came. `score` is weighted F1 over the test split, `macro_f1` beside it; who speaks is not
    told.
    """

    data: Path
    corpus: str = "meld"
    most: int = 400
    """Dialogues of the train split that are learned from, its first."""
    batch: int = 16
    steps: int = 200
    learning_rate: float = 1e-3
    dropout: float = 0.2
    name: str = "emotion"

    def __post_init__(self) -> None:
        self.splits = {split: load_corpus(self.data, self.corpus, split) for split in ("train", "test")}
        self.splits["train"] = self.splits["train"][: self.most]
        said = {label for talk in self.splits["train"] for label in gold(talk, self.corpus) if label}
        self.labels = sorted(said)
        self.n_out = len(self.labels)

    @cached_property
    def vectors(self) -> dict[str, list[Tensor]]:
        """By split: (N, 384) a dialogue."""
        # Imported where they are wanted: the other tasks need no transformer.
        from dialog.reading.text_vectors import TextReader
        from models.encoders.text import TextEncoder

        reader = TextReader(TextEncoder.load(device="cpu"), cache_texts=1)
        read = {}
        for split, talks in self.splits.items():
            each = [v.sentence for v in reader.read([u.text for talk in talks for u in talk.utterances])]
            whole = torch.stack(each) * each[0].numel() ** 0.5  # a sentence vector has length 1
            read[split] = list(whole.split([len(talk.utterances) for talk in talks]))
        return read

    @cached_property
    def targets(self) -> dict[str, list[Tensor]]:
        """By split: (N,) a dialogue, labels' places, -100 where there is none."""
        place = {label: i for i, label in enumerate(self.labels)}
        return {
            split: [torch.tensor([place.get(label or "", NO_LABEL) for label in gold(t, self.corpus)]) for t in talks]
            for split, talks in self.splits.items()
        }

    def embed(self, width: int) -> nn.Module:
        return nn.Linear(self.vectors["train"][0].shape[1], width)

    def loss(self, model: Callable[..., Tensor], random: np.random.Generator) -> Tensor:
        logits, targets = self._answers(model, "train", random.integers(len(self.splits["train"]), size=self.batch))
        return F.cross_entropy(logits, targets)

    def scores(self, model: Callable[..., Tensor]) -> Scores:
        logits, targets = self._answers(model, "test", np.arange(len(self.splits["test"])))
        return self._scored(logits.argmax(-1), targets)

    def baselines(self) -> Mapping[str, Callable[[], Scores]]:
        return {"the commonest label": self._commonest, "a linear map of the utterance": self._alone}

    def _commonest(self) -> Scores:
        targets = torch.cat(self.targets["test"])
        targets = targets[targets != NO_LABEL]
        known = torch.cat(self.targets["train"])
        common = known[known != NO_LABEL].bincount().argmax()
        return self._scored(common.expand(len(targets)), targets)

    def _alone(self) -> Scores:
        torch.manual_seed(0)
        layer, random = nn.Linear(self.vectors["train"][0].shape[1], self.n_out), np.random.default_rng(0)
        optimiser = torch.optim.AdamW(layer.parameters(), lr=self.learning_rate)

        def answer(x: Tensor, mask: Tensor) -> Tensor:
            y: Tensor = layer(x)
            return y

        for _ in range(2 * self.steps):  # few parameters, and twice the steps cost nothing
            optimiser.zero_grad()
            self.loss(answer, random).backward()
            optimiser.step()
        with torch.no_grad():
            return self.scores(answer)

    def _answers(self, model: Callable[..., Tensor], split: str, which: np.ndarray) -> tuple[Tensor, Tensor]:
        """Logits (N, n_out) and labels (N,) of the utterances that have one."""
        x, mask = pad_rows([self.vectors[split][i] for i in which])
        targets, _ = pad_rows([self.targets[split][i] for i in which])
        asked = mask & (targets != NO_LABEL)
        return model(x, mask)[asked], targets[asked]

    def _scored(self, predicted: Tensor, targets: Tensor) -> Scores:
        said, meant = ([self.labels[i] for i in z.tolist()] for z in (predicted, targets))
        found = emotion_scores(meant, said, self.labels)
        return {"score": found["weighted_f1"], "macro_f1": found["macro_f1"]}
