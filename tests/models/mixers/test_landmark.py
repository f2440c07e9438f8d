"""Landmark attention: what it contains, what it reads, and what it costs to go on."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from models.mixers import build_mixer, pieces
from models.mixers import landmark as landmark_module
from models.mixers.base import state_numbers
from models.mixers.landmark import Landmark, with_landmarks
from tests.models.mixers.projections import randomised


def landmark(**fields: Any) -> Landmark:
    torch.manual_seed(0)
    mixer = randomised(build_mixer("landmark", **({"d_model": 16, "n_heads": 2, "block": 4} | fields))).eval()
    assert isinstance(mixer, Landmark)
    return mixer


def tokens(n: int) -> Tensor:
    return torch.randn(2, n, 16, dtype=torch.float64)


def heads(z: Tensor) -> Tensor:
    return z.unflatten(-1, (2, 8)).transpose(1, 2)


def test_within_one_block_it_is_softmax_attention() -> None:
    mixer, x = landmark(positions="none", block=9), tokens(9)
    q, k, v = (heads(z(x)) for z in (mixer.query, mixer.key, mixer.value))
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mixer(x)[0], mixer.out(expected))


def test_external_landmarks_are_the_papers_grouped_softmax() -> None:
    """By the paper's words, token by token: groups, a softmax in each, and a block's times its landmark's."""
    mixer, x = landmark(landmarks="external", block=3, positions="none"), tokens(14)
    q, k, v = (heads(z(x)) for z in (mixer.query, mixer.key, mixer.value))
    rows = []
    for i in range(14):
        own = i // 4
        s = (k[:, :, : i + 1] @ q[:, :, i, :, None])[..., 0] * 8**-0.5  # (B, H, i + 1)
        here = [j for j in range(i + 1) if (j // 4 == own and j % 4 != 3) or (j // 4 < own and j % 4 == 3)]
        shared = dict(zip(here, s[..., here].softmax(-1).unbind(-1), strict=True))
        o = sum(shared[j][..., None] * v[:, :, j] for j in here if j % 4 != 3)
        for c in range(own):
            block = [4 * c, 4 * c + 1, 4 * c + 2]
            within = s[..., block].softmax(-1)
            o = o + shared[4 * c + 3][..., None] * (within[..., None] * v[:, :, block]).sum(-2)
        rows.append(o)
    torch.testing.assert_close(mixer(x)[0], mixer.out(torch.stack(rows, 2).transpose(1, 2).flatten(2)))  # type: ignore[arg-type]


def test_a_landmark_is_seen_by_later_blocks_alone() -> None:
    mixer, x = landmark(landmarks="external", block=3), tokens(14)
    other = x.clone()
    other[:, 3] += 1.0
    moved = (mixer(other)[0] - mixer(x)[0]).abs().amax((0, 2)) > 1e-9
    assert moved.tolist() == [t >= 3 for t in range(14)]  # at 3 its own query, before it nothing
    mixer.key.weight.data.zero_()  # its own key does not matter to itself, and it has no value
    moved = (mixer(other)[0] - mixer(x)[0]).abs().amax((0, 2)) > 1e-9
    assert not moved.any()


def test_looking_into_every_block_is_looking_into_all_and_fewer_differ() -> None:
    whole, every, few = (landmark(retrieve=n) for n in (None, 5, 1))
    x = tokens(23)
    torch.testing.assert_close(every(x)[0], whole(x)[0])
    assert not torch.allclose(few(x)[0], whole(x)[0])
    torch.testing.assert_close(few.train()(x)[0], whole(x)[0])  # training looks into all of them


def test_stingy_positions_are_the_true_ones_up_to_their_reach_and_no_further() -> None:
    stingy, true = landmark(positions="stingy", retrieve=2), landmark(retrieve=2)
    x = tokens(12)
    torch.testing.assert_close(stingy(x)[0], true(x)[0])
    x = tokens(30)
    assert not torch.allclose(stingy(x)[0], true(x)[0])


def test_far_blocks_may_change_places_under_stingy_positions() -> None:
    order, x = torch.cat([torch.arange(4, 8), torch.arange(4), torch.arange(8, 30)]), tokens(30)
    for positions, free in (("stingy", True), ("rotary", False)):
        mixer = landmark(positions=positions)  # all blocks, true up to four of them back
        assert torch.allclose(mixer(x[:, order])[0][:, 28:], mixer(x)[0][:, 28:]) == free


def test_a_bounded_memory_neither_grows_nor_sees_what_it_has_dropped() -> None:
    mixer = landmark(memory=2, retrieve=1)
    x, state = tokens(40), mixer.initial_state(2)
    sizes = set()
    for t in range(40):
        _, state = mixer.step(x[:, t], state)
        sizes.add(state_numbers(state))
    assert len(sizes) == 1
    forgotten = x.clone()
    forgotten[:, :28] += 1.0  # the last token's block is 9; 7 and 8 are kept
    torch.testing.assert_close(mixer(forgotten)[0][:, 36:], mixer(x)[0][:, 36:])


def test_a_step_multiplies_no_more_for_a_longer_past_than_its_landmarks() -> None:
    mixer, work = landmark(retrieve=1), []
    for n in (64, 128, 256):
        _, state = mixer(tokens(n))
        with FlopCounterMode(display=False) as counter:
            mixer.step(tokens(1)[:, 0], state)
        work.append(counter.get_total_flops())
    blocks = 2 * 16 * 2 * 16  # multiplications of 16 more landmarks 16 wide, two rows
    assert work[1] - work[0] <= blocks
    assert work[2] - work[1] <= 2 * blocks


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"positions": "none", "memory": 3},
        {"positions": "stingy", "together": True},
        {"positions": "stingy", "landmarks": "external", "memory": 3},
    ],
)
def test_fetching_a_few_blocks_is_scoring_all_and_leaving_out_the_others(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "TABLE", 2**12)  # several queries a piece, and several pieces
    mixer, x = landmark(retrieve=2, **fields), tokens(30).requires_grad_()
    mask = torch.arange(30) < torch.tensor([30, 21])[:, None]
    results = []
    for crowd in (0, 1000):
        monkeypatch.setattr(landmark_module, "CROWD", crowd)
        y, state = mixer(x, mask=mask)
        z, _ = mixer(x[:, :3], state=state)  # rows of different lengths go on
        loss = y.square().sum() + z.square().sum()
        results.append([y, z, *torch.autograd.grad(loss, [x, *mixer.parameters()], allow_unused=True)])
    for few, all_of_them in zip(*results, strict=True):
        torch.testing.assert_close(few, all_of_them)


def test_fetching_every_block_is_the_form_that_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmark_module, "CROWD", 0)
    mixer, x = landmark(retrieve=7), tokens(32)  # the last block has seven before it
    torch.testing.assert_close(mixer(x)[0], mixer.train()(x)[0])


def test_with_a_bounded_memory_a_long_text_costs_by_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "TABLE", 2**15)
    mixer, work = landmark(retrieve=1, memory=4), []
    for n in (128, 512):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            mixer(tokens(n))
        work.append(counter.get_total_flops())
    assert work[1] <= 6 * work[0]  # all landmarks of all tokens would be sixteen times as much


def test_landmarks_go_in_after_every_block_and_out_again() -> None:
    x, mark = tokens(7), torch.full((16,), 9.0)
    longer, places = with_landmarks(x, mark, 3)
    assert longer.shape == (2, 9, 16)
    assert torch.equal(longer[:, places], x)
    assert (longer[:, [3, 7]] == 9.0).all()
