"""The network that scores what was meant: blind to padding and to batch mates, causal where it foretells."""

from pathlib import Path

import pytest
import torch

from models import checkpoint
from models.corrector import Corrector, CorrectorConfig
from models.corrector.characters import LONGEST, CharacterWords, encode_words
from models.corrector.model import reversed_rows, shifted

TINY = CorrectorConfig(d_model=16, d_char=6, n_filters=(4, 6, 6), d_query=8, d_word=6, n_words=20, n_features=3)
WORDS = ["the", "cat", "sat", "on", "teh", "mat"]


@pytest.fixture
def network() -> Corrector:
    torch.manual_seed(0)
    return Corrector(TINY).eval()


def vectors(network: Corrector, words: list[str]) -> torch.Tensor:
    return network.vectors(encode_words(words))[None]


def test_words_are_numbers_of_their_characters_whatever_their_case() -> None:
    numbers = encode_words(["Cat", "cat", "c’t", "", "x" * 90])
    assert numbers.shape == (5, LONGEST)
    assert torch.equal(numbers[0], numbers[1])
    assert not torch.equal(numbers[0], numbers[2])
    assert encode_words([]).shape[0] == 0


def test_a_words_vector_does_not_hang_on_the_words_beside_it(network: Corrector) -> None:
    alone = network.characters(encode_words(["at"]))
    beside = network.characters(encode_words(["at", "constantinople"]))[:1]
    torch.testing.assert_close(alone, beside)


def test_a_convolution_sees_every_window_of_a_word_and_none_behind_it() -> None:
    torch.manual_seed(1)
    words = CharacterWords(4, (3, 3, 3), 5)
    ids = encode_words(["abcd", "ab"])
    embedded = words.embed(ids)
    n = (ids != 0).sum(-1)
    for row in range(2):
        found = []
        for width, conv in enumerate(words.convolutions, 1):
            x = embedded[row, : n[row]]
            windows = [x[i : i + width] for i in range(max(1, int(n[row]) - width + 1))]
            each = [torch.tanh(torch.einsum("fcw,wc->f", conv.weight, w) + conv.bias) for w in windows]
            found.append(torch.stack(each).amax(0))
        wanted = words.norm(words.join(torch.cat(found)))
        torch.testing.assert_close(words(ids)[row], wanted, rtol=1e-5, atol=1e-6)


def test_padding_and_batch_mates_change_no_score(network: Corrector) -> None:
    def scores(words: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        read = network.read(words, mask)
        spoken, _ = network.speak(shifted(words), mask)
        return network.queries(read, spoken)[:, :4]

    alone = scores(vectors(network, WORDS[:4]), torch.ones(1, 4, dtype=torch.bool))
    padded = torch.cat([vectors(network, WORDS), vectors(network, [*WORDS[:4], "", ""])])
    padded[1, 4:] = 1e3
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    torch.testing.assert_close(scores(padded, mask)[1:], alone)


def test_what_is_read_sees_both_sides_and_what_is_foretold_only_what_came_before(network: Corrector) -> None:
    mask = torch.ones(1, 6, dtype=torch.bool)
    one, two = vectors(network, WORDS), vectors(network, [*WORDS[:5], "hat"])
    assert not torch.allclose(network.read(one, mask).states[:, 0], network.read(two, mask).states[:, 0])
    foretold = [network.next_scores(network.speak(shifted(x), mask)[0]) for x in (one, two)]
    torch.testing.assert_close(foretold[0], foretold[1])  # the last word is the first nobody has heard yet
    spoken, state = network.speak(shifted(one)[:, :3], mask[:, :3])
    rest, _ = network.speak(shifted(one)[:, 3:], mask[:, 3:], state)
    torch.testing.assert_close(torch.cat([spoken, rest], 1), network.speak(shifted(one), mask)[0])


def test_one_place_asked_alone_asks_the_same(network: Corrector) -> None:
    mask = torch.ones(1, 6, dtype=torch.bool)
    x = vectors(network, WORDS)
    read, spoken = network.read(x, mask), network.speak(shifted(x), mask)[0]
    torch.testing.assert_close(network.queries(read, spoken)[:, 4:5], network.queries(read, spoken[:, 4:5], 4))


def test_scores_are_log_probabilities_of_keeping_and_of_the_candidates_there_are(network: Corrector) -> None:
    allowed = torch.tensor([[True, False], [True, True]])
    scores = network.scores(torch.randn(2, 8), torch.randn(2, 3), torch.randn(2, 2, 16), torch.randn(2, 2, 3), allowed)
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(2))
    assert scores[0, 2] == -torch.inf
    assert (scores.exp() >= 0).all()


def test_rows_are_reversed_within_their_length_and_back() -> None:
    x = torch.arange(8.0).view(2, 4, 1)
    mask = torch.tensor([[True, True, True, False], [True] * 4])
    back = reversed_rows(x, mask)
    assert back[0, :, 0].tolist() == [2, 1, 0, 3]
    assert torch.equal(reversed_rows(back, mask), x)


def test_every_parameter_is_reached_by_a_gradient(network: Corrector) -> None:
    mask = torch.ones(1, 6, dtype=torch.bool)
    x = vectors(network, WORDS)
    read, spoken = network.read(x, mask), network.speak(shifted(x), mask)[0]
    queries = network.queries(read, spoken)[0]
    scores = network.scores(
        queries, torch.randn(6, 3), torch.randn(6, 2, 16), torch.randn(6, 2, 3), torch.ones(6, 2, dtype=torch.bool)
    )
    (scores[:, 1].sum() + network.next_scores(spoken).logsumexp(-1).sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_it_comes_back_from_disk_as_it_was(network: Corrector, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, network, TINY)
    again = checkpoint.load(tmp_path, Corrector, CorrectorConfig)
    torch.testing.assert_close(vectors(again, WORDS), vectors(network, WORDS))


@pytest.mark.parametrize("fields", [{"d_model": 0}, {"n_filters": ()}, {"dropout": 1.0}, {"encoder": ("nothing",)}])
def test_what_cannot_be_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"positive|expected|no mixer"):
        CorrectorConfig(**fields)  # type: ignore[arg-type]
