"""Who listens to whom, against the rules walked through one utterance at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.rnn import Links, Turns, link, no_turns

Row = tuple[int | None, bool, bool, int]


def walked(speakers: list[int], n_speakers: int = 2) -> list[Row]:
    """(prev, inertia, contagion, m) of each utterance, by the bookkeeping of the paper's code.

    prev is the most recent earlier utterance of the same speaker, linked or not. A link is kept while fewer than
    n_speakers others have spoken since.
    """
    rows: list[Row] = []
    run, last_other = 0, None
    for i, speaker in enumerate(speakers):
        prev = max((j for j in range(i) if speakers[j] == speaker), default=None)
        contagion = i > 0 and speakers[i - 1] != speaker
        inertia = prev is not None and len(set(speakers[prev + 1 : i])) < n_speakers
        m = 0
        if i > 0:
            m = run + 1 if speaker == last_other else 0
            if contagion:
                run, last_other = m, speakers[i - 1]
        rows.append((prev, inertia, contagion, m if contagion else 0))
    return rows


def linked(speakers: list[int], n_speakers: int = 2) -> list[Row]:
    """The same from the op; prev only where there is a link, and d checked against it."""
    ids = torch.tensor([speakers])
    links, _, _ = link(ids, torch.tensor([len(speakers)]), no_turns(1, n_speakers))
    rows: list[Row] = []
    for i in range(len(speakers)):
        on = bool(links.inertia[0, i])
        prev = int(links.source[0, i]) - n_speakers if on else None
        if prev is not None:
            assert int(links.between[0, i]) == i - prev - 1
        rows.append((prev, on, bool(links.contagion[0, i]), int(links.alternation[0, i])))
    return rows


def without_cut(rows: list[Row]) -> list[Row]:
    return [(prev if inertia else None, inertia, contagion, m) for prev, inertia, contagion, m in rows]


def test_the_table_made_by_hand() -> None:
    """Invariant 14: A A B A C A B B."""
    by_hand: list[Row] = [
        (None, False, False, 0),  # A opens
        (0, True, False, 0),  # A goes on
        (None, False, True, 0),  # B answers for the first time
        (1, True, True, 1),  # A again, over one utterance of B
        (None, False, True, 0),  # C comes in, and the alternation ends
        (3, True, True, 1),  # A again, over C
        (2, False, True, 0),  # B last spoke two turns before A's: the link is cut
        (6, True, False, 0),  # B goes on
    ]
    assert walked([0, 0, 1, 0, 2, 0, 1, 1]) == by_hand
    assert linked([0, 0, 1, 0, 2, 0, 1, 1]) == without_cut(by_hand)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.sampled_from([2, 3, 5]))
def test_every_pattern_of_speakers(speakers: list[int], n_speakers: int) -> None:
    assert linked(speakers, n_speakers) == without_cut(walked(speakers, n_speakers))


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=20),
    st.integers(0, 20),
    st.sampled_from([2, 3]),
)
def test_links_do_not_care_where_a_conversation_is_cut(speakers: list[int], cut: int, n_speakers: int) -> None:
    cut = min(cut, len(speakers))
    whole, turns, kept = linked_tensors(speakers, no_turns(1, n_speakers))
    _, between, places = linked_tensors(speakers[:cut], no_turns(1, n_speakers))
    tail, after, after_kept = linked_tensors(speakers[cut:], between)
    for a, b in zip(turns, after, strict=True):
        assert torch.equal(a, b)
    # Where a state lies in cat([memory, outputs]) of the tail, said in places of the whole.
    absolute = torch.cat([places, torch.arange(n_speakers + cut, n_speakers + len(speakers))[None]], 1)
    assert torch.equal(absolute.gather(1, after_kept), kept)
    assert torch.equal(absolute.gather(1, tail.source)[tail.inertia], whole.source[:, cut:][tail.inertia])
    for name in ("inertia", "contagion", "alternation"):
        assert torch.equal(getattr(tail, name), getattr(whole, name)[:, cut:])
    assert torch.equal(tail.between[tail.inertia], whole.between[:, cut:][tail.inertia])


def linked_tensors(speakers: list[int], turns: Turns) -> tuple[Links, Turns, torch.Tensor]:
    ids = torch.tensor(speakers, dtype=torch.long)[None]
    return link(ids, torch.tensor([len(speakers)]), turns)


def test_rows_of_a_batch_end_where_they_end() -> None:
    ids = torch.tensor([[0, 1, 0, 2, 0], [1, 1, 2, 9, 9], [3, 9, 9, 9, 9], [9, 9, 9, 9, 9]])
    lengths = torch.tensor([5, 3, 1, 0])
    for n_speakers in (2, 4):
        links, turns, kept = link(ids, lengths, no_turns(4, n_speakers))
        for row, n in enumerate(lengths.tolist()):
            alone, alone_turns, alone_kept = link(ids[[row], :n], lengths[[row]], no_turns(1, n_speakers))
            for a, b in zip(links, alone, strict=True):
                assert torch.equal(a[[row], :n], b)
            for a, b in zip(turns, alone_turns, strict=True):
                assert torch.equal(a[[row]], b)
            assert torch.equal(kept[[row]], alone_kept)


def test_a_table_of_one_speaker_is_refused() -> None:
    with pytest.raises(ValueError, match="1 slots"):
        link(torch.zeros(1, 1, dtype=torch.long), torch.ones(1, dtype=torch.long), no_turns(1, 1))
