"""A pointer network: probabilities over exactly the inputs, masks, any length, the chain rule, any mixer."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.mixers import MIXERS
from models.mixers.softmax import SoftmaxAttentionConfig
from models.pointer.config import PointerConfig
from models.pointer.decoding import beam_search
from models.pointer.model import END, NO_TARGET, EncodedPoints, PointerNetwork

SET = SoftmaxAttentionConfig(d_model=16, n_heads=2, causal=False, positions="none")
MODELS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "other encoder": {"encoder": ("gla", "gru")},
    "set": {"encoder": (SET, SET)},
    "shared key cache": {"encoder": ("softmax",), "decoder": ("softmax",)},
}


def network(**fields: Any) -> PointerNetwork:
    torch.manual_seed(0)
    return PointerNetwork(PointerConfig(d_model=16, **fields)).double().eval()


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> PointerNetwork:
    return network(**MODELS[request.param])


def points(B: int = 3, n: int = 6) -> torch.Tensor:
    return torch.rand(B, n, 2, dtype=torch.float64)


def some_targets(B: int, n: int) -> torch.Tensor:
    """Each row points at some inputs, one less than the row before it, then ends."""
    targets = torch.full((B, n + 1), NO_TARGET)
    for b in range(B):
        targets[b, : n - b] = torch.randperm(n)[: n - b] + 1
        targets[b, n - b] = END
    return targets


def test_probabilities_cover_the_real_inputs_and_the_end_and_sum_to_one(model: PointerNetwork) -> None:
    mask = torch.tensor([6, 4, 1])[:, None] > torch.arange(6)
    p = model(points(), some_targets(3, 6).clamp(max=1), mask).softmax(-1)
    torch.testing.assert_close(p.sum(-1), torch.ones(3, 7, dtype=p.dtype))
    real = torch.cat([torch.ones(3, 1, dtype=torch.bool), mask], 1)
    assert bool(((p > 0) == real[:, None]).all())


def test_masked_inputs_change_nothing(model: PointerNetwork) -> None:
    x, targets = points(), some_targets(3, 6)
    padded = torch.cat([x, 9 * points(3, 4)], 1)
    mask = (torch.arange(10) < 6).expand(3, -1)
    torch.testing.assert_close(model(padded, targets, mask)[..., :7], model(x, targets))
    torch.testing.assert_close(model.log_prob(padded, targets, mask), model.log_prob(x, targets))
    alike = [beam_search(model, *args, width=3, max_steps=7) for args in ((x,), (padded, mask))]
    torch.testing.assert_close(alike[0].pointers, alike[1].pointers)


def test_a_row_is_its_own_business(model: PointerNetwork) -> None:
    x, targets = points(), some_targets(3, 6)
    torch.testing.assert_close(model(x, targets)[1:2, :6], model(x[1:2], targets[1:2])[:, :6])


def test_any_number_of_points_needs_the_same_weights(model: PointerNetwork) -> None:
    for n in (1, 2, 40):
        assert model(points(2, n), torch.ones(2, 1, dtype=torch.long)).shape == (2, 1, n + 1)


def test_the_chain_rule_is_the_sum_of_single_steps(model: PointerNetwork) -> None:
    x, targets = points(), some_targets(3, 6)
    encoded = model.encode(x)
    heard, state = encoded.start, encoded.state
    total = torch.zeros(3, dtype=x.dtype)
    for target in targets.T:
        logits, state = model.step(heard[:, None], encoded, state)
        known, pointer = target != NO_TARGET, target.clamp(min=END)
        steps = logits[:, 0].log_softmax(-1).gather(1, pointer[:, None])[:, 0]
        total = total + torch.where(known, steps, torch.zeros_like(steps))
        heard = encoded.inputs[torch.arange(3), pointer]
    torch.testing.assert_close(model.log_prob(x, targets), total)
    n = int((targets != NO_TARGET).sum())
    torch.testing.assert_close(model.loss(x, targets), -total.sum() / n)


def test_what_is_heard_is_the_input_pointed_at(model: PointerNetwork) -> None:
    x, targets = points(1), torch.tensor([[2, 5, 3, END]])
    elsewhere = x.clone()
    elsewhere[:, 4] += 1  # input 5, were the encoder not to see it
    states = model.encode(x)
    moved = states._replace(inputs=model.encode(elsewhere).inputs)
    torch.testing.assert_close(states.inputs[:, 1:], model.embed(x))

    def logits(encoded: EncodedPoints) -> list[torch.Tensor]:
        heard, state, found = encoded.start, encoded.state, []
        for pointer in targets[0]:
            u, state = model.step(heard[:, None], encoded, state)
            found.append(u)
            heard = encoded.inputs[:, pointer]
        return found

    same = [torch.equal(a, b) for a, b in zip(logits(states), logits(moved), strict=True)]
    assert same == [True, True, False, False]  # 5 is the second pointer: it is heard at the third step


def test_with_a_set_encoder_permuted_inputs_permute_the_pointers() -> None:
    model, x, targets = network(encoder=(SET, SET)), points(), some_targets(3, 6)
    order = torch.randperm(6)
    place = torch.cat([torch.zeros(1, dtype=torch.long), 1 + order.argsort()])  # of an old pointer among the new ones
    moved = torch.where(targets == NO_TARGET, targets, place[targets.clamp(min=END)])
    torch.testing.assert_close(model.log_prob(x[:, order], moved), model.log_prob(x, targets))
    torch.testing.assert_close(model(x[:, order], moved)[..., place], model(x, targets))


def test_an_lstm_that_reads_and_one_that_points_share_a_state_and_others_do_not() -> None:
    alike, other = network(), network(encoder=(SET,))
    x = points()
    for before, last in zip(alike.encode(x).state.blocks, alike.encoder(alike.embed(x))[1].blocks, strict=True):
        torch.testing.assert_close(before.layers, last.layers)
    assert all(bool((leaf == 0).all()) for leaf in other.encode(x).state.blocks[0].layers[0])
    assert not torch.equal(other.encode(x).start[0], other.encode(x).start[1])


@pytest.mark.parametrize("name", sorted(n for n, (c, m) in MIXERS.items() if not m(c(d_model=16)).takes_ids))
def test_every_mixer_reads_and_those_that_stream_point(name: str) -> None:
    model = network(
        encoder=(name,), decoder=(name,) if MIXERS[name][1](MIXERS[name][0](d_model=16)).streams else ("gru",)
    )
    found = beam_search(model, points(2, 4), width=2, max_steps=3)
    assert found.pointers.shape[:2] == (2, 2)
    model.train().loss(points(2, 4), some_targets(2, 4)).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.pointer.parameters())


def test_gradients_reach_every_parameter(model: PointerNetwork) -> None:
    model.loss(points(), some_targets(3, 6)).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert silent == []


def test_it_is_saved_and_loaded_whole(model: PointerNetwork, tmp_path: Path) -> None:
    loaded, x, targets = PointerNetwork.load(model.float().save(tmp_path)), points().float(), some_targets(3, 6)
    assert loaded.config == model.config
    torch.testing.assert_close(loaded(x, targets), model(x, targets))


def test_what_cannot_point_is_refused() -> None:
    with pytest.raises(ValueError, match="do not all stream"):
        network(decoder=(SET,))
    with pytest.raises(ValueError, match="need ids"):
        network(encoder=("dialog_gru",))
    with pytest.raises(ValueError, match="no mixer 'nonesuch'"):
        PointerConfig(encoder=("nonesuch",))
    with pytest.raises(ValueError, match="d_input 0"):
        PointerConfig(d_input=0)
