"""Which model answers: the one named, the one with the label set named, or the default."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dialog.labels import COLOURS, LABEL_SETS, SENTIMENT, SYMBOLS
from serve.config import AppConfig, imported
from serve.edge.problems import Fault, Refusal
from serve.emotion.schemas import LabelOut, LabelSet, ModelCard

TASK = "emotion"


class Choice:
    """The emotion models of this service, by name. Only these may be asked for: a name is never a path."""

    def __init__(
        self,
        cards: Mapping[str, ModelCard],
        default: str,
        others: Sequence[ModelCard] = (),
        responders: Sequence[str] = (),
    ) -> None:
        self.cards = MappingProxyType(dict(cards))
        self.default = default
        self.others = tuple(others)
        """Models of other tasks, which are not asked for by name."""
        self.responders = tuple(responders)
        """The names of those who answer in conversations; the first is the default."""

    @classmethod
    def of(cls, config: AppConfig) -> "Choice":
        """The models of the configured catalogue, and the default one in any case."""
        shipped = imported(config.catalogue)()
        default = config.model_name
        in_use = (default, config.visual.engine, next(iter(config.replies.responders.values())))
        cards = {card.name: _card(card, in_use) for card in shipped if card.task == TASK}
        if default not in cards:  # a folder of one's own
            summary = "a model of this service's own"
            cards[default] = ModelCard(
                name=default, task=TASK, labels=[], label_set=None, summary=summary, scores={}, default=True
            )
        others = [_card(card, in_use) for card in shipped if card.task != TASK]
        return cls(cards, default, others, tuple(config.replies.responders))

    def model(self, model: str | None, label_set: str | None, place: str) -> str:
        """The name of the model to ask. Refusal 422, at `place`, for a name or a set there is not, or both at odds."""
        if model is not None and model not in self.cards:
            raise _unknown(f"{place}/model", "model", self.cards)
        if label_set is None:
            return model or self.default
        by_set = {name: card for name, card in self.cards.items() if _has(card, label_set)}
        if not by_set:
            raise _unknown(f"{place}/label_set", "label set", [s.name for s in self.label_sets()])
        if model is not None and model not in by_set:
            raise _wrong(f"{place}/label_set", f"the model {model} has other labels")
        return model or (self.default if self.default in by_set else next(iter(by_set)))

    def label_sets(self) -> list[LabelSet]:
        """Every label set that one of the models has, with how to show its labels."""
        found = [name for name in LABEL_SETS if any(_has(card, name) for card in self.cards.values())]
        return [LabelSet(name=name, labels=[_label(label) for label in LABEL_SETS[name]]) for name in found]


def _has(card: ModelCard, label_set: str) -> bool:
    return tuple(card.labels) == tuple(LABEL_SETS.get(label_set, ()))


def _card(card: Any, in_use: Collection[str]) -> ModelCard:
    # Two corpora may share their labels; the model's own name says which of the sets it was made for.
    own = card.name.rpartition("/")[2]
    same = [name for name, labels in LABEL_SETS.items() if tuple(labels) == tuple(card.labels)]
    return ModelCard(
        name=card.name,
        task=card.task,
        labels=list(card.labels),
        label_set=own if own in same else next(iter(same), None),
        summary=card.summary,
        scores=dict(card.scores),
        default=card.name in in_use,
    )


def _label(name: str) -> LabelOut:
    return LabelOut(name=name, sentiment=SENTIMENT.get(name), symbol=SYMBOLS.get(name), colour=COLOURS.get(name))


def _unknown(place: str, what: str, known: Any) -> Refusal:
    return _wrong(place, f"there is no such {what}; there are {', '.join(sorted(known)) or 'none'}")


def _wrong(place: str, detail: str) -> Refusal:
    return Refusal(422, "invalid", "1 fault in the request", faults=[Fault(pointer=place, detail=detail)])
