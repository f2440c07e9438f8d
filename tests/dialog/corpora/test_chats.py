"""The chats we wrote to train on: well formed, varied, and no line of them in a file that scores us."""

import re
from collections import Counter
from pathlib import Path

import pytest

from dialog.conversation import Conversation, Utterance
from dialog.corpora import chats, read_jsonl
from dialog.labels import LABEL_SETS

EVALUATION = tuple(Path(__file__).parents[1] / name for name in ("everyday.jsonl", "own_chats.jsonl"))


@pytest.fixture(scope="module")
def conversations() -> list[Conversation]:
    return chats.read()


def test_there_are_chats_and_pairs_and_every_id_is_its_own(conversations: list[Conversation]) -> None:
    ids = Counter(c.id for c in conversations)
    assert not [i for i, times in ids.items() if times > 1]
    whole = [c for c in conversations if "pair" not in c.extra]
    pairs = Counter(c.extra["pair"] for c in conversations if "pair" in c.extra)
    assert len(whole) >= 650
    assert all(3 <= len(c.utterances) <= 14 for c in whole)
    assert sum(pairs.values()) >= 570
    assert min(pairs.values()) >= 2
    assert sum(len(c.utterances) for c in conversations) >= 5100


def test_every_message_has_a_known_label_that_is_among_those_accepted(conversations: list[Conversation]) -> None:
    labels = set(LABEL_SETS["ekman"])
    for utterance in (u for c in conversations for u in c.utterances):
        assert utterance.text.strip()
        assert set(chats.accepted(utterance)) <= labels
        assert utterance.emotion in utterance.extra.get("accepted", [utterance.emotion])


def test_no_feeling_is_rare_and_neutral_is_about_half(conversations: list[Conversation]) -> None:
    counts = Counter(u.emotion for c in conversations for u in c.utterances)
    assert min(counts.values()) / counts.total() > 0.05
    assert 0.4 < counts["neutral"] / counts.total() < 0.52


def test_a_tenth_is_held_out_and_no_pair_is_parted() -> None:
    train, validation = chats.read("train"), chats.read("validation")
    assert 0.07 < len(validation) / (len(train) + len(validation)) < 0.13
    assert {c.id for c in train}.isdisjoint(c.id for c in validation)
    pairs = [{c.extra["pair"] for c in part if "pair" in c.extra} for part in (train, validation)]
    assert pairs[0].isdisjoint(pairs[1])


def test_a_part_that_is_neither_is_refused() -> None:
    with pytest.raises(ValueError, match="no part 'test'"):
        chats.read("test")  # type: ignore[arg-type]


def test_an_utterance_without_a_label_accepts_none() -> None:
    assert chats.accepted(Utterance(speaker="A", text="hello")) == ()


@pytest.mark.parametrize("file", EVALUATION, ids=lambda path: path.stem)
def test_no_line_of_more_than_three_words_is_also_in_a_file_that_scores_us(
    file: Path, conversations: list[Conversation]
) -> None:
    """Only the number is told: whoever writes these chats does not read those."""
    shared = len(_lines(conversations) & _lines(list(read_jsonl(file))))
    assert shared == 0


def _lines(conversations: list[Conversation]) -> set[tuple[str, ...]]:
    """The words of every message that has more than three, without case and signs."""
    words = (tuple(re.findall(r"\w+", u.text.lower())) for c in conversations for u in c.utterances)
    return {line for line in words if len(line) > 3}
