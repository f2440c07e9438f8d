"""Laying utterances out as sequences: covered once, never too long, owners right; and batches of like length."""

import itertools
import random
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dialog.reading.batching import Layout, Packer, Tokens, bucket, bucket_tightly, collate, cut, live_windows, pad_rows
from models.encoders.text import TextEncoder
from tests.dialog.tiny import LAYOUT

MARK, SEPARATOR = 2, 1


class Letters:
    """A tokenizer whose tokens are characters, and names therefore long."""

    max_tokens = 48
    start_id, separator_id = 1, 2

    def tokenize(self, texts: list[str], limit: int) -> list[list[int]]:
        return [[ord(c) for c in text][:limit] for text in texts]


def sizes(packer: Packer, utterances: list[Tokens]) -> list[int]:
    return [len(packer.pack([u]).ids) - 1 for u in utterances]


texts = st.lists(st.tuples(st.sampled_from(["Ann", "Bo", "Wolfeschlegelstein", ""]), st.text(max_size=30)), max_size=30)
layouts = st.sampled_from([LAYOUT, replace(LAYOUT, speaker_marks="name"), replace(LAYOUT, speaker_marks="none")])


@given(lines=texts, layout=layouts)
def test_cuts_cover_every_utterance_once_in_order_and_never_exceed_a_sequence(
    lines: list[tuple[str, str]], layout: Layout
) -> None:
    packer = Packer(Letters(), layout)
    utterances = packer.tokenize([s for s, _ in lines], [t for _, t in lines])
    spans = cut(packer.lengths(utterances), layout)
    assert [i for span in spans for i in range(span.first, span.end)] == list(range(len(lines)))
    for span in spans:
        packed = packer.pack(utterances[span.begin : span.end])
        assert span.begin <= span.first < span.end
        assert len(packed.ids) <= layout.max_tokens
        assert set(packed.owner) - {-1} == set(range(span.end - span.begin)), "an utterance lost all its tokens"
        assert sum(sizes(packer, utterances[span.begin : span.first])) <= layout.context_tokens


@given(lines=texts, layout=layouts)
def test_a_live_window_ends_with_its_message_and_holds_as_much_before_it_as_fits(
    lines: list[tuple[str, str]], layout: Layout
) -> None:
    packer = Packer(Letters(), layout)
    utterances = packer.tokenize([s for s, _ in lines], [t for _, t in lines])
    lengths = packer.lengths(utterances)
    for i, span in enumerate(live_windows(lengths, layout)):
        assert (span.first, span.end) == (i, i + 1)
        assert len(packer.pack(utterances[span.begin : span.end]).ids) <= layout.live_tokens
        if span.begin:
            assert 1 + sum(n + MARK + SEPARATOR for n in lengths[span.begin - 1 : i + 1]) > layout.live_tokens


def test_a_cut_repeats_the_end_of_what_went_before_and_no_more_than_it_may() -> None:
    spans = cut([5] * 12, LAYOUT)  # 8 tokens each: five fill a sequence, one is repeated
    assert spans[0] == (0, 0, 5)
    assert [(s.begin, s.first) for s in spans[1:]] == [(4, 5), (8, 9)]


def test_alone_means_a_sequence_of_its_own() -> None:
    alone = replace(LAYOUT, alone=True)
    assert cut([3, 4], alone) == live_windows([3, 4], alone) == [(0, 0, 1), (1, 1, 2)]


def test_tokens_belong_to_their_utterance_and_marks_to_nobody(encoder: TextEncoder) -> None:
    packer = Packer(encoder, LAYOUT)
    packed = packer.pack(packer.tokenize(["Zoe", "Al", "Zoe"], ["hello dog", "", "no"]))
    tokens = " ".join(encoder.tokenizer.convert_ids_to_tokens(packed.ids))
    assert tokens == "[CLS] a : hello dog [SEP] b : [SEP] a : no [SEP]"
    assert packed.owner == [-1, -1, -1, 0, 0, 0, -1, -1, 1, -1, -1, 2, 2]
    assert packed.n_utterances == 3


def test_letters_say_who_is_who_and_not_who_it_is(encoder: TextEncoder) -> None:
    packer = Packer(encoder, LAYOUT)
    first, second = (
        packer.pack(packer.tokenize(names, ["hi", "hello", "hi"])) for names in (["Ann", "Bob", "Ann"], ["B", "A", "B"])
    )
    assert first == second


def test_the_thirtieth_speaker_still_has_a_letter(encoder: TextEncoder) -> None:
    packer = Packer(encoder, replace(LAYOUT, max_tokens=64))
    assert len(packer.pack(packer.tokenize([str(i) for i in range(30)], [""] * 30)).ids) == 64


def test_names_and_no_marks_are_laid_out_as_asked(encoder: TextEncoder) -> None:
    for marks, expected in (("name", "[CLS] dog : hi [SEP]"), ("none", "[CLS] hi [SEP]")):
        packer = Packer(encoder, replace(LAYOUT, speaker_marks=marks))
        packed = packer.pack(packer.tokenize(["Dog Smith"], ["hi"]))
        assert " ".join(encoder.tokenizer.convert_ids_to_tokens(packed.ids)) == expected


def test_only_what_was_cut_is_called_truncated(encoder: TextEncoder) -> None:
    limit = LAYOUT.utterance_tokens
    whole, one_more = Packer(encoder, LAYOUT).tokenize(["A", "A"], ["no " * limit, "no " * (limit + 1)])
    assert len(whole.text) == len(one_more.text) == limit
    assert (whole.truncated, one_more.truncated) == (False, True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_tokens": 20}, "needs sequences of 30 tokens"),
        ({"live_tokens": 29}, "live_tokens 29"),
        ({"context_tokens": 40}, "leaves no room"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(fields: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(LAYOUT, **fields)


def test_a_layout_longer_than_the_encoder_takes_is_refused(encoder: TextEncoder) -> None:
    with pytest.raises(ValueError, match="192 tokens, the encoder takes 64"):
        Packer(encoder, Layout())


@given(
    lengths=st.lists(st.integers(0, 300), max_size=60), budget=st.integers(1, 400), seed=st.none() | st.integers(0, 9)
)
def test_buckets_hold_everything_once_and_keep_to_the_budget(lengths: list[int], budget: int, seed: int | None) -> None:
    batches = bucket(lengths, budget, None if seed is None else random.Random(seed))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert batch
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    if seed is None:
        flat = [lengths[i] for batch in batches for i in batch]
        assert all(a <= b for a, b in pairwise(flat)), "not shortest first"


@given(st.lists(st.integers(1, 60), max_size=7), st.integers(1, 150), st.integers(0, 40))
def test_tight_buckets_cost_less_than_any_others_within_the_budget(lengths: list[int], budget: int, call: int) -> None:
    def cost(batches: list[list[int]]) -> int:
        return sum(call + len(batch) * max(lengths[i] for i in batch) for batch in batches)

    batches = bucket_tightly(lengths, budget, call)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    possible = []
    for cuts in itertools.product([False, True], repeat=max(0, len(order) - 1)):
        others: list[list[int]] = [[i] for i in order[:1]]
        for i, apart in zip(order[1:], cuts, strict=True):
            others = [*others, [i]] if apart else [*others[:-1], [*others[-1], i]]
        if all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= budget for b in others):
            possible.append(others)
    assert batches in possible
    assert cost(batches) == min(map(cost, possible))


def test_a_batch_pads_on_the_right_and_counts_utterances_through() -> None:
    packer = Packer(Letters(), replace(LAYOUT, speaker_marks="none"))
    two = [packer.pack([Tokens("A", [7, 8, 9])]), packer.pack([Tokens("A", [7]), Tokens("B", [])])]
    ids, mask, owner, n = collate(two)
    assert ids.tolist() == [[1, 7, 8, 9, 2], [1, 7, 2, 2, 0]]
    assert mask.tolist() == [[True] * 5, [True] * 4 + [False]]
    assert owner.tolist() == [[-1, 0, 0, 0, 0], [-1, 1, 1, 2, -1]]
    assert n == 3


def test_rows_of_any_length_become_one_tensor() -> None:
    padded, mask = pad_rows([torch.ones(2, 3), torch.ones(0, 3), torch.ones(1, 3)])
    assert padded.shape == (3, 2, 3)
    assert mask.tolist() == [[True, True], [False, False], [True, False]]
    assert torch.equal(padded.sum(2), 3.0 * mask)


def test_what_cannot_be_read_stands_apart_and_is_nobodys_context() -> None:
    layout = Layout(max_tokens=120, context_tokens=10, live_tokens=120, utterance_tokens=96)
    lengths = [3] * 6
    assert [tuple(s) for s in cut(lengths, layout)] == [(0, 0, 6)]
    assert [tuple(s) for s in cut(lengths, layout, 0, frozenset({2, 5}))] == [
        (0, 0, 2),
        (2, 2, 3),
        (3, 3, 5),
        (5, 5, 6),
    ]
    assert [tuple(s) for s in cut(lengths, layout, 1, frozenset({2}))] == [(0, 1, 2), (2, 2, 3), (3, 3, 6)]
