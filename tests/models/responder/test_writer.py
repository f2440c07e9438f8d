import pytest

from models.responder.writer import MIXTURES, writer_network
from models.token_model import TokenModel


def n_parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_the_mixtures_are_of_one_size_and_those_with_gla_need_no_more_memory_later():
    sizes = {m: TokenModel(writer_network(m, 4096)) for m in MIXTURES}
    counts = [n_parameters(model) for model in sizes.values()]
    assert max(counts) < 1.01 * min(counts)
    assert min(counts) > 4_700_000
    for name, model in sizes.items():
        early, late = (model.backbone.state_floats(n) for n in (300, 16_000))
        assert (early < late) == (name == "softmax")


def test_a_mixture_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="no mixture 'gru'"):
        writer_network("gru", 4096)
