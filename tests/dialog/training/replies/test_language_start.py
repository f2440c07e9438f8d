"""Where pieces start: near what means the same, what cannot be read by chance."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dialog.training.replies.language_start import meanings
from models.responder.pieces import Pieces

WORDS = ("monday", "tuesday", "sad")
WIDTH = 16


def encoder():
    """Reads three words, of which two mean nearly the same, and the letters."""
    table = nn.Embedding(3 + 256, WIDTH)
    nn.init.normal_(table.weight, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        table.weight[1] = table.weight[0] + 0.1 * table.weight[2]

    def tokenize(texts, limit):
        return [[WORDS.index(t)] if t in WORDS else [3 + ord(c) % 256 for c in t][:limit] for t in texts]

    return SimpleNamespace(
        d_model=WIDTH, tokenize=tokenize, network=SimpleNamespace(get_input_embeddings=lambda: table)
    )


def test_pieces_that_mean_much_the_same_start_near_each_other():
    pieces = Pieces.learn([" ".join(WORDS)] * 50, 290, ("joy",))
    start = meanings(pieces, encoder(), WIDTH)
    assert start.shape == (len(pieces), WIDTH)
    assert 0.01 < float(start.std()) < 0.03
    ids = [pieces.ids([word])[0] for word in WORDS]
    assert all(len(one) == 1 for one in ids)
    monday, tuesday, sad = nn.functional.normalize(start[[one[0] for one in ids]], dim=1)
    assert float(monday @ tuesday) > float(monday @ sad) + 0.1
    assert torch.equal(start, meanings(pieces, encoder(), WIDTH))
    assert not torch.equal(start, meanings(pieces, encoder(), WIDTH, seed=1))


def test_an_encoder_narrower_than_the_model_is_refused():
    pieces = Pieces.learn(["a"], 270, ())
    with pytest.raises(ValueError, match="have 16 components, expected at least 17"):
        meanings(pieces, encoder(), 17)
