"""Conversions against their sheets: what is inherited, what is gained, and what is left of the past."""

import pytest
import torch

from models.decoder.config import DecoderConfig
from models.decoder.linearise import attention_outputs, from_token_model, gained, linearised, projections
from models.decoder.model import Decoder
from models.low_rank import make_low_rank, merge
from models.mixers.softmax import SoftmaxAttentionConfig
from models.responder.writer import writer_network
from models.token_model import TokenModel

T = 12


def teacher(**fields):
    torch.manual_seed(0)
    shape = {"d_model": 16, "n_heads": 4, "n_kv_heads": 2, "d_head": 6, "qk_norm": "rms", **fields}
    mixers = (SoftmaxAttentionConfig(**shape), SoftmaxAttentionConfig(**shape, window=5))
    config = DecoderConfig(n_tokens=30, d_model=16, d_hidden=24, mixers=mixers, post_norms=True, embedding_scale=4.0)
    return Decoder(config).double().eval()


def student(before, *args, **fields):
    return linearised(before, *args, **fields).double()


@pytest.fixture
def tokens():
    return torch.randint(30, (2, T))


@pytest.mark.parametrize("method", ["liger", "lizard"])
def test_every_projection_is_inherited_to_the_bit(method):
    before = teacher()
    after = student(before, method)
    for old, new in zip(before.every_layer(), after.every_layer(), strict=True):
        for name, weight in zip(("query", "key", "value", "out"), projections(old.mixer), strict=True):
            assert torch.equal(getattr(new.mixer, name).weight, weight)
    own, theirs = after.state_dict(), before.state_dict()
    assert all(torch.equal(own[k], theirs[k]) for k in theirs if ".mixer." not in k or "_norm" in k)


def test_liger_gains_nothing_and_lizard_what_its_sheet_says():
    before = teacher()
    counts = [sum(p.numel() for p in d.parameters()) for d in (before, student(before, "liger"))]
    assert counts[0] == counts[1]
    assert gained(student(before, "liger")) == []
    # Maps (H + H_kv, d, F) with F = d / 2, a gate (D + 1), 4 sinks and a share, in each of two layers.
    assert sum(p.numel() for _, p in gained(student(before, "lizard"))) == 2 * ((4 + 2) * 6 * 3 + 17 + 4 + 1)


@pytest.mark.parametrize("method", ["liger", "lizard"])
def test_it_streams_and_its_state_does_not_grow(method, tokens):
    decoder = student(teacher(), method, window=4)
    whole, _ = decoder(tokens)
    state, said = decoder.initial_state(2), []
    for t in range(T):
        logits, state = decoder.step(tokens[:, t], state)
        said.append(logits)
    torch.testing.assert_close(torch.stack(said, 1), whole)
    assert decoder.state_floats(100) == decoder.state_floats(100_000)
    head, state = decoder(tokens[:, :5])
    tail, _ = decoder(tokens[:, 5:], state=state)
    torch.testing.assert_close(torch.cat([head, tail], 1), whole)


@pytest.mark.parametrize("window", [T, 40])
def test_ligers_window_alone_is_the_teacher_as_long_as_it_sees_everything(window, tokens):
    config = teacher().config
    before = Decoder(DecoderConfig(**{**_fields(config), "mixers": (config.mixers[0],) * 2})).double().eval()
    alone = student(before, "liger", window=window, branches="window")
    torch.testing.assert_close(alone(tokens)[0], before(tokens)[0])
    narrow = student(before, "liger", window=3, branches="window")
    assert not torch.allclose(narrow(tokens)[0], before(tokens)[0])


def _fields(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


@pytest.mark.parametrize("method", ["liger", "lizard"])
def test_no_token_sees_a_later_one(method, tokens):
    decoder = student(teacher(), method, window=4)
    other = tokens.clone()
    other[:, 7:] = (other[:, 7:] + 1) % 30
    torch.testing.assert_close(decoder(tokens)[0][:, :7], decoder(other)[0][:, :7])


def test_layers_with_a_window_of_their_own_may_keep_it(tokens):
    before = teacher()
    after = student(before, "liger", near=True)
    assert after.config.mixers[1] == before.config.mixers[1]
    assert after.config.mixers[0] != before.config.mixers[0]
    assert after.state_floats(100) == after.state_floats(9000)


def test_what_mixers_said_is_what_the_text_goes_on_with(tokens):
    before = teacher()
    x, y = list(attention_outputs(before, tokens))[-1]
    torch.testing.assert_close(before.every_layer()[-1].mixer(x)[0], y)


def test_a_writer_of_softmax_is_a_decoder_and_no_other_is(tokens):
    model = TokenModel(writer_network("softmax", 30, d_model=16, n_layers=2, d_hidden=8)).double().eval()
    decoder = from_token_model(model, context=64, ends=(1,), origin="x").double()
    torch.testing.assert_close(decoder(tokens)[0], model(tokens)[0])
    with pytest.raises(ValueError, match="no causal softmax"):
        from_token_model(
            TokenModel(writer_network("gla", 30, d_model=16, n_layers=1, d_hidden=8)), context=9, ends=(), origin=""
        )
    with pytest.raises(ValueError, match="no method 'magic'"):
        linearised(decoder, "magic")


def test_it_is_kept_and_read_again(tmp_path, tokens):
    decoder = student(teacher(), "lizard").float()
    decoder.save(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(Decoder.load(tmp_path, device="cpu")(tokens)[0], decoder(tokens)[0])


def test_low_rank_deltas_change_nothing_at_first_and_are_added_in_at_last(tokens):
    decoder = student(teacher(), "liger")
    plain = decoder(tokens)[0]
    trained = make_low_rank(decoder, ("query", "key", "value"), rank=2, alpha=4.0)
    assert len(trained) == 2 * 3 * 2
    torch.testing.assert_close(decoder(tokens)[0], plain)
    decoder(tokens)[0].square().mean().backward()
    assert all(p.grad is not None for p in trained)
    assert decoder.layers[0].mixer.query.base.weight.grad is None
    with torch.no_grad():
        for p in trained:
            p.add_(torch.randn_like(p))
    changed = decoder(tokens)[0]
    assert not torch.allclose(changed, plain)
    merge(decoder)
    torch.testing.assert_close(decoder(tokens)[0], changed)
    assert {name for name, _ in decoder.named_parameters()} == {name for name, _ in teacher_names()}


def teacher_names():
    return student(teacher(), "liger").named_parameters()
