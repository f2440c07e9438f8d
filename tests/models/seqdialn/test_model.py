"""SeqDialN: the invariants of its sheet, for both published ways of reasoning and for any mixer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.mixers import MIXERS
from models.seqdialn.config import SeqDialNConfig
from models.seqdialn.model import EncodedRounds, LiveState, RegionStates, SeqDialN, Texts, side_by_side
from models.seqdialn.parts import Tally

E, R, W, L = 12, 5, 10, 6  # token width, regions, region width, tokens


def build(reasoning: str = "mr", **fields: Any) -> SeqDialN:
    """A small model in float64, deterministic."""
    torch.manual_seed(1)
    small: dict[str, Any] = {"d_text": E, "d_region": W, "d_sentence": 8, "d_model": 16, "n_heads": 2, "d_answer": 12}
    return SeqDialN(SeqDialNConfig(**(small | {"reasoning": reasoning, "n_words": 7} | fields))).double().eval()


OURS: dict[str, Any] = {"gist": True, "question_reads": "previous", "learned_nothing": True, "n_text_layers": 0}


@pytest.fixture(params=["mr", "ip", "gla", "aaren", "softmax", "ours"])
def model(request: pytest.FixtureRequest) -> SeqDialN:
    return build(**OURS) if request.param == "ours" else build(request.param)


def picture(batch: int) -> dict[str, Tensor]:
    mask = torch.ones(batch, R, dtype=torch.bool)
    mask[0, -2:] = False
    f = torch.float64
    return {
        "regions": torch.randn(batch, R, W, dtype=f),
        "mask": mask,
        "boxes": torch.rand(batch, R, 4, dtype=f),
        "pooled": torch.randn(batch, 8, dtype=f),
    }


def texts(batch: int, n_rounds: int) -> Texts:
    lengths = torch.randint(1, L + 1, (batch, n_rounds, 1))
    words = torch.randn(batch, n_rounds, L, E, dtype=torch.float64)
    return Texts(words, torch.arange(L) < lengths, torch.randn(batch, n_rounds, 8, dtype=torch.float64))


def rounds(lengths: list[int]) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def changed(some: Texts, *places: tuple[int, int]) -> Texts:
    words, sentence = some.words.clone(), some.sentence.clone() if some.sentence is not None else None
    for b, t in places:
        words[b, t] = torch.randn_like(words[b, t])
        if sentence is not None:
            sentence[b, t] = torch.randn_like(sentence[b, t])
    return some._replace(words=words, sentence=sentence)


def padded(some: Texts, n: int) -> Texts:
    """The same texts with n more tokens of padding, which holds garbage."""
    garbage = torch.full((*some.words.shape[:2], n, E), 1e3, dtype=torch.float64)
    return some._replace(
        words=torch.cat([some.words, garbage], 2),
        mask=torch.cat([some.mask, torch.zeros(garbage.shape[:-1], dtype=torch.bool)], 2),
    )


@torch.no_grad()
def test_a_round_never_depends_on_later_rounds(model: SeqDialN) -> None:
    p, h, q, mask = model.look(**picture(2)), texts(2, 6), texts(2, 6), rounds([6, 5])
    before = model(p, h, q, mask).z
    after = model(p, changed(h, (0, 4), (1, 4)), changed(q, (0, 4), (0, 5)), mask).z
    torch.testing.assert_close(after[:, :4], before[:, :4], rtol=0, atol=1e-12)
    assert not torch.allclose(after[:, 4], before[:, 4])  # what is said does matter where it may


@torch.no_grad()
@pytest.mark.parametrize("reasoning", ["mr", "ip"])
def test_a_question_is_heard_by_no_other_question_in_mr_and_by_no_earlier_one_in_ip(reasoning: str) -> None:
    model = build(reasoning)
    p, h, q, mask = model.look(**picture(2)), texts(2, 6), texts(2, 6), rounds([6, 6])
    before, after = model(p, h, q, mask).z, model(p, h, changed(q, (0, 2)), mask).z
    moved = (after - before).abs().amax(-1)[0]
    assert moved[2] > 1e-4
    assert moved[:2].max() < 1e-12
    assert (moved[3:].max() < 1e-12) == (reasoning == "mr")


@torch.no_grad()
@pytest.mark.parametrize("region_norm", ["region", "channel", "none"])
def test_the_order_of_regions_does_not_matter(region_norm: str) -> None:
    model = build(region_norm=region_norm)
    seen, h, q, mask = picture(2), texts(2, 3), texts(2, 3), rounds([3, 2])
    order = torch.randperm(R)
    mixed = {k: v if k == "pooled" else v[:, order] for k, v in seen.items()}
    one, two = model(model.look(**seen), h, q, mask), model(model.look(**mixed), h, q, mask)
    torch.testing.assert_close(two.z, one.z)
    torch.testing.assert_close(two.p_regions, one.p_regions[..., order])
    assert one.p_regions[0, :, -2:].abs().max() == 0  # nobody looks at a region that is not there


@torch.no_grad()
def test_padding_of_texts_regions_and_rounds_is_invisible(model: SeqDialN) -> None:
    seen, h, q, mask = picture(2), texts(2, 3), texts(2, 3), rounds([3, 2])
    one = model(model.look(**seen), h, q, mask)
    more = {
        "regions": torch.cat([seen["regions"], torch.full((2, 4, W), 1e3, dtype=torch.float64)], 1),
        "mask": torch.cat([seen["mask"], torch.zeros(2, 4, dtype=torch.bool)], 1),
        "boxes": torch.cat([seen["boxes"], torch.ones(2, 4, 4, dtype=torch.float64)], 1),
        "pooled": seen["pooled"],
    }
    two = model(model.look(**more), padded(h, 3), padded(q, 3), mask)
    torch.testing.assert_close(two.z, one.z)
    assert two.z[1, 2].abs().max() == 0


@torch.no_grad()
def test_a_dialogue_alone_scores_as_in_a_batch_of_mixed_lengths(model: SeqDialN) -> None:
    seen, h, q, mask = picture(3), texts(3, 5), texts(3, 5), rounds([2, 5, 3])
    whole = model(model.look(**seen), h, q, mask).z
    for b, n in enumerate([2, 5, 3]):
        alone = {k: v[b : b + 1] for k, v in seen.items()}
        one = [Texts(*(part[b : b + 1, :n] for part in some if part is not None)) for some in (h, q)]
        z = model(model.look(**alone), *one, torch.ones(1, n, dtype=torch.bool)).z
        torch.testing.assert_close(z, whole[b : b + 1, :n])


def streamed(model: SeqDialN, p: RegionStates, h: Texts, q: Texts) -> tuple[Tensor, LiveState]:
    state, z = model.initial_state(len(p.v)), []
    for t in range(q.words.shape[1]):
        one = [Texts(*(part[:, t] for part in some if part is not None)) for some in (h, q)]
        step = model.step(p, *one, state)
        z.append(step.z)
        state = step.state
    return torch.stack(z, 1), state


@torch.no_grad()
@pytest.mark.parametrize("reasoning", ["ip", "mr", *sorted(set(MIXERS) - {"brnn"})])
def test_round_by_round_equals_all_rounds_at_once(reasoning: str) -> None:
    model = build(reasoning)
    p, h, q = model.look(**picture(2)), texts(2, 5), texts(2, 5)
    whole = model(p, h, q, torch.ones(2, 5, dtype=torch.bool)).z
    z, state = streamed(model, p, h, q)
    torch.testing.assert_close(z, whole, rtol=1e-5, atol=1e-5)
    assert state.h.shape[1] == 5


def test_a_mixer_that_needs_later_rounds_is_refused() -> None:
    with pytest.raises(ValueError, match="later rounds"):
        build("brnn")


@torch.no_grad()
def test_earlier_states_stay_good(model: SeqDialN) -> None:
    p, h, q = model.look(**picture(1)), texts(1, 3), texts(1, 3)
    one = [Texts(*(part[:, 0] for part in some if part is not None)) for some in (h, q)]
    first = model.step(p, *one, model.initial_state(1))
    two = [Texts(*(part[:, 1] for part in some if part is not None)) for some in (h, q)]
    again = [model.step(p, *two, first.state).z for _ in range(2)]
    torch.testing.assert_close(again[0], again[1], rtol=0, atol=0)


@torch.no_grad()
def test_weights_over_rounds_sum_to_one_and_see_no_later_round() -> None:
    model = build("mr")
    encoded: EncodedRounds = model(model.look(**picture(2)), texts(2, 4), texts(2, 4), rounds([4, 4]))
    p = encoded.p_rounds
    assert p is not None
    torch.testing.assert_close(p.sum(-1), torch.ones(2, 4, dtype=torch.float64))
    assert all(p[:, t, t + 1 : 4].abs().max() == 0 for t in range(3))


@torch.no_grad()
def test_emptying_a_round_shows_in_the_answer(model: SeqDialN) -> None:
    p, h, q = model.look(**picture(1)), texts(1, 4), texts(1, 4)
    z, state = streamed(model, p, h, q)
    moved = (model.without_each(state) - z[:, -1]).abs().amax(-1)
    assert moved.shape == (4,)
    assert moved.min() > 0


def test_gradients_reach_every_parameter(model: SeqDialN) -> None:
    model.train()
    p, h, q, mask = model.look(**picture(2)), texts(2, 4), texts(2, 4), rounds([4, 3])
    z = model(p, h, q, mask).z[mask]
    option = texts(5, 1)
    o = model.discriminative.options(option.words[:, 0], option.mask[:, 0])
    assert model.generative is not None
    words, real = torch.randint(3, 10, (len(z), 3)), torch.ones(len(z), 3, dtype=torch.bool)
    (model.discriminative(z, o).logsumexp(-1).sum() + model.generative.loss(z, words, real)).backward()
    # What moves every score of a softmax alike rightly has no gradient; nor has what stands for an empty item, as here
    # none is empty.
    rightly = {"nothing", "fusion.pool_words.score.2.bias", "fusion.pool_regions.score.2.bias"}
    silent = [n for n, q in model.named_parameters() if q.grad is None or not q.grad.abs().max() > 0]
    silent = [n for n in silent if n not in rightly]
    assert not silent


def test_an_empty_history_item_is_fused_too(model: SeqDialN) -> None:
    """The first round has no caption: no word is real, and only the picture speaks."""
    p, h = model.look(**picture(2)), texts(2, 1)
    empty = Texts(h.words[:, 0], torch.zeros(2, L, dtype=torch.bool), torch.zeros(2, 8, dtype=torch.float64))
    fused = model.fuse(p, empty)
    assert bool(fused.vector.isfinite().all())
    assert fused.p_words.abs().max() == 0
    torch.testing.assert_close(fused.p_regions.sum(-1), torch.ones(2, dtype=torch.float64))


def test_a_saved_model_answers_alike(model: SeqDialN, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    again = SeqDialN.load(tmp_path / "m").double()
    seen, h, q, mask = picture(2), texts(2, 3), texts(2, 3), rounds([3, 2])
    torch.testing.assert_close(
        again(again.look(**seen), h, q, mask).z, model(model.look(**seen), h, q, mask).z, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"reasoning": "magic"}, "magic"),
        ({"d_model": 15}, "d_model 15"),
        ({"n_memory": 0}, "n_memory"),
        ({"scale": "big"}, "scale"),
        ({"region_norm": "all"}, "region_norm"),
        ({"dropout": 1.0}, "dropout"),
        ({"n_words": -1}, "n_words"),
    ],
)
def test_a_config_says_what_is_wrong(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SeqDialNConfig(d_region=8, **fields)


@torch.no_grad()
def test_a_question_may_be_read_after_what_was_said_before_it() -> None:
    model = build(**OURS)
    p, h, q, mask = model.look(**picture(2)), texts(2, 3), texts(2, 3), rounds([3, 3])
    read = q.after(h)
    for b in range(2):
        for t in range(3):
            whole = torch.cat([h.words[b, t][h.mask[b, t]], q.words[b, t][q.mask[b, t]]])
            assert torch.equal(read.words[b, t][read.mask[b, t]], whole)
            assert read.earlier is not None
            assert read.earlier[b, t].sum() == h.mask[b, t].sum()
    # Only the round itself hears it by this way: later ones hear it as history, by the item after.
    before, after = model(p, h, q, mask).z, model(p, h, changed(q, (0, 1)), mask).z
    assert (after - before).abs().amax(-1)[0].ne(0).tolist() == [False, True, False]


@torch.no_grad()
def test_where_nothing_was_said_before_the_picture_is_not_fused_with_it() -> None:
    model = build(**OURS)
    p, q = model.look(**picture(2)), texts(2, 2)
    nothing = Texts(torch.zeros_like(q.words), torch.zeros_like(q.mask), torch.zeros_like(q.sentence))  # type: ignore[arg-type]
    whole = model(p, nothing, q, rounds([2, 2])).z
    z, state = streamed(model, p, nothing, q)
    torch.testing.assert_close(z, whole)
    assert torch.equal(state.h, torch.zeros_like(state.h))  # as it starts: the vector is learned
    some = nothing._replace(mask=torch.tensor([[[True] * L, [False] * L], [[False] * L] * 2]))
    torch.testing.assert_close(streamed(model, p, some, q)[0], model(p, some, q, rounds([2, 2])).z)


def test_a_gist_without_whole_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="gist"):
        build(gist=True, d_sentence=0)


PARTS: dict[str, Any] = OURS | {"d_part": 9, "n_tallies": 3}


def test_a_drawing_is_seen_by_its_parts_and_in_any_company() -> None:
    model, some = build(**PARTS), texts(3, 2)
    drawn = torch.tensor([True, False, True])
    parts, there = torch.randn(2, 7, 9, dtype=torch.float64), torch.ones(2, 7, dtype=torch.bool)
    there[1, 4:] = False
    photographs = {k: v[1:2] for k, v in picture(3).items()}
    seen, apart = model.look(**photographs), model.look_at_parts(parts, there)
    real = rounds([2, 2, 1])
    together = model(side_by_side(seen, apart, drawn), some, some, real)
    for i, alone, length in ((0, _row(apart, 0), 2), (1, seen, 2), (2, _row(apart, 1), 1)):
        own = Texts(*(None if part is None else part[i : i + 1, :length] for part in some))  # type: ignore[arg-type]
        expected = model(alone, own, own, rounds([length]))
        torch.testing.assert_close(together.z[i, :length], expected.z[0])
        n = expected.p_regions.shape[-1]
        torch.testing.assert_close(together.p_regions[i, :length, :n], expected.p_regions[0])
        assert not together.p_regions[i, :length, n:].any()


def _row(states: RegionStates, i: int) -> RegionStates:
    n = int(states.mask[i].sum())
    return RegionStates(states.v[i : i + 1, :n], states.mask[i : i + 1, :n], None, torch.ones(1, dtype=torch.bool))


def test_a_tally_tells_two_from_three_where_a_mean_cannot() -> None:
    tally = Tally(4, 1).double()
    with torch.no_grad():
        for name, p in tally.named_parameters():
            p.zero_()
            if name == "gates.2.bias":
                p.fill_(50.0)
        tally.out.weight[0, 2] = 1.0  # how near to two
    v = torch.randn(1, 1, 4, dtype=torch.float64).expand(1, 5, 4)
    mask = torch.arange(5) < torch.tensor([[1], [2], [3]])
    assert tally(v.expand(3, 5, 4), mask)[:, 0].tolist() == pytest.approx([0, 1, 0])


def test_a_network_without_an_eye_for_parts_says_so() -> None:
    with pytest.raises(ValueError, match="its d_part is 0"):
        build().look_at_parts(torch.zeros(1, 2, 9), torch.ones(1, 2, dtype=torch.bool))
