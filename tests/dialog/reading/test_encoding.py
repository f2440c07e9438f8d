"""Vectors of utterances: the same alone, in any batch, in any order, cached or not, from any thread."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dialog.conversation import Conversation
from dialog.reading.encoding import ConversationEncoder
from models.encoders.text import TextEncoder
from tests.dialog.tiny import LAYOUT, WORDS, chat, longer, renamed


@pytest.fixture
def conversations() -> list[Conversation]:
    return [longer(n) for n in (3, 30, 1, 12)] + [chat("A: hi"), chat("A: ", "B: \N{CRYING FACE}", "A: good dog")]


def fresh(encoder: TextEncoder, **options: int) -> ConversationEncoder:
    return ConversationEncoder(encoder, LAYOUT, **options)


def vectors(encoder: ConversationEncoder, some: list[Conversation], *, live: bool = False) -> list[Tensor]:
    return [e.vectors for e in encoder.encode(some, live=live)]


def assert_same(some: list[Tensor], others: list[Tensor]) -> None:
    for a, b in zip(some, others, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


lines = st.lists(
    st.tuples(st.sampled_from("AB"), st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)), max_size=14
)


@settings(max_examples=20)
@given(data=st.data(), live=st.booleans(), chats=st.lists(lines, min_size=1, max_size=5))
def test_a_conversation_is_encoded_alike_alone_and_in_any_batch_in_any_order(
    encoder: TextEncoder, data: st.DataObject, live: bool, chats: list[list[tuple[str, str]]]
) -> None:
    some = [chat(*(f"{s}: {t}" for s, t in c), id=str(i)) for i, c in enumerate(chats)]
    alone = [vectors(fresh(encoder), [c], live=live)[0] for c in some]
    order = data.draw(st.permutations(range(len(some))))
    assert_same(vectors(fresh(encoder), [some[i] for i in order], live=live), [alone[i] for i in order])


@pytest.mark.parametrize("room", [0, 1, 2_000, 64 << 20])
def test_the_cache_changes_nothing(encoder: TextEncoder, conversations: list[Conversation], room: int) -> None:
    plain, cached = fresh(encoder, cache_bytes=0), fresh(encoder, cache_bytes=room)
    expected = vectors(plain, conversations)
    for _ in range(3):
        assert_same(vectors(cached, conversations), expected)
        assert_same(vectors(cached, conversations[::-1]), expected[::-1])


def test_what_was_encoded_before_is_not_encoded_again(encoder: TextEncoder, conversations: list[Conversation]) -> None:
    cached, calls = fresh(encoder), list[int]()
    hook = encoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        vectors(cached, conversations)
        first = len(calls)
        vectors(cached, conversations)
        assert first
        assert len(calls) == first
        assert cached.hits >= cached.misses > 0
        vectors(cached, conversations, live=True)
        assert len(calls) > first, "live windows are other sequences"
    finally:
        hook.remove()


def test_a_full_cache_forgets_what_was_used_longest_ago(encoder: TextEncoder) -> None:
    one = 4 * encoder.d_model
    cached, calls = fresh(encoder, cache_bytes=2 * one), list[int]()
    a, b, c = ([chat(f"A: {word}")] for word in ("hi", "dog", "no"))
    hook = encoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        for some in (a, b, a, c):  # c pushes b out
            vectors(cached, some)
        assert len(calls) == 3
        vectors(cached, a)
        assert len(calls) == 3
        vectors(cached, b)
        assert len(calls) == 4
    finally:
        hook.remove()


def test_live_vectors_are_those_of_the_window_that_ends_there(encoder: TextEncoder) -> None:
    c, coder = longer(25), fresh(encoder)
    (expected,) = vectors(coder, [c], live=True)
    tokens = coder.packer.tokenize([u.speaker for u in c.utterances], [u.text for u in c.utterances])
    got = torch.stack([coder.read_last([coder.window(tokens[: i + 1])])[0][0] for i in range(len(tokens))])
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_a_window_of_a_window_is_the_same_window(encoder: TextEncoder) -> None:
    """A live chat keeps only the last window, not the history: that must be enough."""
    c, coder = longer(25), fresh(encoder)
    kept: list = []
    for i, u in enumerate(c.utterances):
        (new,) = coder.packer.tokenize([u.speaker], [u.text])
        kept = list(coder.window([*kept, new]))
        said = c.utterances[: i + 1]
        whole = coder.packer.tokenize([u.speaker for u in said], [u.text for u in said])
        assert kept == list(coder.window(whole))


def test_live_vectors_do_not_know_the_future_and_offline_ones_do(encoder: TextEncoder) -> None:
    coder = fresh(encoder)
    one, other = chat("A: hi", "B: good dog"), chat("A: hi", "B: bad film")
    for live in (True, False):
        first, second = (vectors(coder, [c], live=live)[0][0] for c in (one, other))
        assert torch.equal(first, second) == live


def test_other_names_in_the_same_order_change_nothing(encoder: TextEncoder) -> None:
    c, coder = longer(30), fresh(encoder, cache_bytes=0)
    other = renamed(c, {"X": "Wolfeschlegelstein", "Y": "", "Z": "\N{CRYING FACE}"})
    for live in (False, True):
        assert_same(vectors(coder, [c], live=live), vectors(coder, [other], live=live))


def test_nothing_and_empty_conversations_have_no_vectors(encoder: TextEncoder) -> None:
    coder = fresh(encoder)
    assert coder.encode([]) == []
    (nothing,) = coder.encode([chat()])
    assert nothing.vectors.shape == (0, encoder.d_model)
    assert nothing.truncated == []


def test_an_utterance_without_words_has_a_vector_of_its_own(encoder: TextEncoder) -> None:
    (v,) = vectors(fresh(encoder), [chat("A: ", "B: hello", "A:  ")])
    assert v.isfinite().all()
    assert (v.abs().sum(1) > 0).all()


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("piece", [1, 7, 64, 100])
def test_a_conversation_read_in_pieces_has_the_same_vectors(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch, piece: int, live: bool
) -> None:
    c = replace(longer(100), utterances=(*longer(99).utterances, *chat("A: " + "dog " * 99).utterances))
    for some in (c, longer(1), chat()):
        (whole,) = fresh(encoder).encode([some], live=live)
        told = list[int]()
        monkeypatch.setattr("dialog.reading.encoding.PIECE", piece)
        pieces = list(fresh(encoder).pieces(some, live=live, progress=told.append))
        assert max((len(p.vectors) for p in pieces), default=0) < piece + LAYOUT.max_tokens
        assert sum(told) == len(some.utterances)
        assert [i for p in pieces for i in p.truncated] == whole.truncated
        assert_same([torch.cat([torch.empty(0, encoder.d_model), *(p.vectors for p in pieces)])], [whole.vectors])
        assert len(pieces) > 1 or piece >= len(some.utterances)


def test_what_did_not_fit_is_told(encoder: TextEncoder) -> None:
    long = "dog " * LAYOUT.utterance_tokens
    (encoded,) = fresh(encoder).encode([chat("A: hi", f"B: {long}", f"A: {long} no", f"B: {long * 1000}")])
    assert encoded.truncated == [2, 3]


def test_progress_counts_every_utterance_once(encoder: TextEncoder, conversations: list[Conversation]) -> None:
    for live in (False, True):
        told: list[int] = []
        fresh(encoder).encode(conversations, live=live, progress=told.append)
        assert sum(told) == sum(len(c.utterances) for c in conversations)


def test_threads_share_an_encoder(encoder: TextEncoder, conversations: list[Conversation]) -> None:
    expected = vectors(fresh(encoder, cache_bytes=0), conversations)
    shared, together = fresh(encoder, cache_bytes=5_000), threading.Barrier(4)

    def work(n: int) -> list[Tensor]:
        together.wait()
        for _ in range(3):
            got = vectors(shared, conversations[n:] + conversations[:n])
        return got

    with ThreadPoolExecutor(4) as pool:
        for n, got in enumerate(pool.map(work, range(4))):
            assert_same(got, expected[n:] + expected[:n])


class Halves(torch.nn.Module):
    def forward(self, states: Tensor) -> Tensor:
        return states[:, :4] / 2


def test_tokens_come_at_no_second_reading_and_change_no_vector(
    encoder: TextEncoder, conversations: list[Conversation]
) -> None:
    keep = Halves()
    for live in (False, True):
        plain = vectors(fresh(encoder), conversations, live=live)
        cached, calls = fresh(encoder), list[int]()
        first = cached.encode(conversations, live=live, keep_tokens=keep)
        hook = encoder.network.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        try:
            again = cached.encode(conversations, live=live, keep_tokens=keep)
            cached.encode(conversations, live=live)
        finally:
            hook.remove()
        assert not calls
        assert_same([e.vectors for e in first], plain)
        for one, other, c in zip(first, again, conversations, strict=True):
            assert one.tokens is not None
            assert other.tokens is not None
            assert_same(one.tokens, other.tokens)
            places = cached.offsets([u.text for u in c.utterances])
            assert [t.shape for t in one.tokens] == [(len(p), 4) for p in places]


def test_the_last_message_of_a_window_has_the_tokens_of_the_live_mode(encoder: TextEncoder) -> None:
    c, coder, keep = longer(12), fresh(encoder), Halves()
    (expected,) = coder.encode([c], live=True, keep_tokens=keep)
    tokens = coder.packer.tokenize([u.speaker for u in c.utterances], [u.text for u in c.utterances])
    got = coder.read_last([coder.window(tokens[: i + 1]) for i in range(len(tokens))], keep)
    assert expected.tokens is not None
    assert_same([v for v, _ in got], list(expected.vectors))
    assert_same([t for _, t in got], expected.tokens)


def test_tokens_stand_where_the_raw_text_says(encoder: TextEncoder) -> None:
    coder = fresh(encoder)
    crying = "\N{CRYING FACE}\N{CRYING FACE}"
    texts = ["  Hello,  dog!", f"so {crying} sad", "", f"{crying}", "caf\N{LATIN SMALL LETTER E WITH ACUTE} \ud83d no"]
    said = [[text[a:b] for a, b in places] for text, places in zip(texts, coder.offsets(texts), strict=True)]
    assert said[0] == ["Hello", ",", "dog", "!"]
    assert said[1][0] == "so"
    assert said[1][-1] == "sad"
    assert set(said[1][1:-1]) == {crying}
    assert said[2] == []
    assert set(said[3]) == {crying}
    assert "".join(said[4][:-2]) == "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    assert said[4][-1] == "no"
    long = "dog " * (3 * LAYOUT.utterance_tokens)
    assert coder.offsets([long])[0] == [(4 * i, 4 * i + 3) for i in range(LAYOUT.utterance_tokens)]
