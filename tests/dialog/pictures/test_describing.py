"""A picture in a sentence: captions that agree and are not denied, else what is surely there."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dialog.pictures import describing
from dialog.pictures.describing import Describing, agreement, meaning, said
from dialog.pictures.evidence import Evidence
from dialog.pictures.reply import Reply
from models.detector.model import Found

CAPTIONS = [
    "A black dog runs .",
    "A dog runs on grass .",
    "An explosion !",
    "An Asian man runs .",
    "Two dogs jump and play .",
]
LABELS = ("person", "dog", "car")


def seen(*boxes: tuple[str, float]) -> Evidence:
    nothing, most = torch.zeros(0), torch.zeros(len(LABELS))
    for name, likely in boxes:
        most[LABELS.index(name)] = max(float(most[LABELS.index(name)]), likely)
    places = torch.tensor([LABELS.index(name) for name, _ in boxes], dtype=torch.long)
    p = torch.tensor([p for _, p in boxes])
    corners = torch.zeros(len(boxes), 4)
    return Evidence(torch.tensor([1.0, 0.0]), nothing, nothing, most, places, p, corners, nothing, nothing, nothing)


def made(
    p_present: dict[str, float] | None = None,
    *,
    who: tuple[str, float] = ("man", 0.9),
    named: tuple[str, float] | None = None,
    place: tuple[str, float] = ("on the beach", 0.1),
    inside: float = 0.5,
    room: tuple[str, float] = ("kitchen", 0.2),
    done: tuple[str, float] = ("running", 0.1),
) -> Describing:
    """Of a picture of which everything else is as told."""
    vectors = torch.tensor([[0.93, 0.0], [0.9, 0.0], [0.91, 0.0], [0.95, 0.0], [0.86, 0.0]])
    known = p_present or {}

    def things(evidence: Evidence) -> tuple[Found, ...]:
        rows = zip(evidence.labels.tolist(), evidence.p.tolist(), strict=True)
        return tuple(Found(LABELS[i], p, (0.0, 0.0, 1.0, 1.0)) for i, p in rows)

    sight = SimpleNamespace(
        labels=LABELS,
        witness=SimpleNamespace(match=SimpleNamespace(captions=vectors), captions=CAPTIONS),
        p_present=lambda evidence, nouns: torch.tensor([known.get(noun, 0.9) for noun in nouns]),
        boxed=lambda evidence: [(f.label, f.p) for f in things(evidence) if f.p >= 0.5 and f.label != "person"],
        things_of=lambda evidence, noun: tuple(f for f in things(evidence) if f.label == noun),
    )
    naming = SimpleNamespace(
        who=lambda evidence: Reply((who,)),
        named=lambda evidence, kind: None if named is None else Reply((named,)),
        places=lambda evidence: dict([place]),
        room=lambda evidence: Reply((room,)),
        between=lambda evidence, choices: torch.tensor([inside, 1 - inside]),
        doings=lambda evidence: dict([done]),
    )
    return Describing(cast(Any, sight), cast(Any, naming))


@given(st.lists(st.frozensets(st.sampled_from("abcdef")), min_size=2, max_size=6))
def test_agreement_is_the_mean_f1_with_the_others(some: list[frozenset[str]]) -> None:
    found = agreement(some, [1 / len(some)] * len(some))
    for i, own in enumerate(some):
        others = [2 * len(own & o) / ((len(own) + len(o)) or 1) for j, o in enumerate(some) if j != i]
        assert found[i] == pytest.approx(sum(others) / len(others))


def test_the_caption_that_agrees_is_said_and_not_the_nearest() -> None:
    text, _ = made().retrieved(seen())
    assert text == "A dog runs on grass."


def test_a_caption_of_what_is_not_there_is_not_said() -> None:
    assert made({"grass": 0.05}).retrieved(seen())[0] == "A black dog runs."


def test_what_the_boxes_count_differently_is_not_said() -> None:
    found = made({"grass": 0.05}).retrieved(seen(("dog", 0.9), ("dog", 0.8)))
    assert found[0] == "Two dogs jump and play."


def test_nobody_is_said_to_be_of_a_people_by_likeness() -> None:
    assert all("Asian" not in CAPTIONS[i] for i in made()._sayable)


def test_where_they_hardly_agree_what_is_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describing, "INTERCEPT", -20.0)
    found = made().describe(seen(("dog", 0.8)))
    assert found is not None
    assert (found.answers[0][0], found.retrieved) == ("a dog", False)
    monkeypatch.setattr(describing, "INTERCEPT", 20.0)
    again = made().describe(seen(("dog", 0.8)))
    assert again is not None
    assert again.retrieved


@pytest.mark.parametrize(
    ("boxes", "told", "text"),
    [
        ([("person", 0.9)], {}, "a man"),
        ([("person", 0.9)], {"who": ("girl", 0.9)}, "a person"),
        ([("person", 0.9)], {"who": ("boy", 0.6)}, "a person"),
        ([("person", 0.9), ("person", 0.8), ("person", 0.3)], {}, "two people"),
        ([("person", 0.9)] * 7, {"inside": 0.02}, "several people, outdoors"),
        ([("person", 0.9), ("dog", 0.8)], {"place": ("on the beach", 0.8)}, "a man and a dog, on the beach"),
        ([("dog", 0.9)], {"done": ("running", 0.7)}, "a dog running"),
        ([("car", 0.9), ("car", 0.6)], {"place": ("on a bed", 0.9)}, "two cars"),
        ([], {"inside": 0.95, "room": ("kitchen", 0.8)}, "a kitchen"),
        ([("person", 0.9)], {"inside": 0.95, "room": ("office", 0.8)}, "a man, in an office"),
        ([], {"named": ("airplane", 0.9)}, "an airplane"),
        ([], {"named": ("tobacco shop", 0.9)}, None),
        ([], {"named": ("airplane", 0.6)}, None),
        ([], {"named": ("girl", 0.9)}, None),
        ([("person", 0.3)], {"named": ("girl", 0.9)}, "a girl"),
    ],
)
def test_a_sentence_is_composed_of_what_is_sure(
    boxes: list[tuple[str, float]], told: dict[str, Any], text: str | None
) -> None:
    found = made({"woman": 0.1, "girl": 0.1}, **told).composed(seen(*boxes))
    assert (found and found[0]) == text
    assert found is None or 0 < found[1] <= 1


def test_a_caption_is_written_as_a_sentence() -> None:
    assert said("a boy 's dog runs , and jumps .") == "A boy's dog runs, and jumps."
    assert meaning("The puppies are on a sofa") == meaning("a dog on the couch")
