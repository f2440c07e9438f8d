"""Think-at-Hard against its sheet (section 9), in float64."""

import pytest
import torch
import torch.nn.functional as F

from models.decoder.config import DecoderConfig
from models.decoder.model import Decoder
from models.mixers.softmax import SoftmaxAttentionConfig
from models.positions import rotary
from models.thinking.attention import Slots, duo_causal_attention
from models.thinking.config import ThinkingConfig
from models.thinking.model import ThinkAtHard

T = 9
MIXER = SoftmaxAttentionConfig(d_model=16, n_heads=4, n_kv_heads=2)
DECODER = DecoderConfig(n_tokens=20, d_model=16, d_hidden=24, mixers=(MIXER, MIXER))


def thinking(*, lora=True, **fields):
    torch.manual_seed(0)
    shape = {"rank": 2, "top_k": 5, "decider_width": 8, "decider_blocks": 1, "layers": (0, -1), "threshold": 0.5}
    model = ThinkAtHard(ThinkingConfig(decoder=DECODER, **{**shape, **fields})).double().eval()
    for name, p in model.named_parameters():
        if name.endswith(".b") and lora:
            torch.nn.init.normal_(p, std=0.3)
    torch.nn.init.normal_(model.decoder.embedding.weight)
    return model


@pytest.fixture
def tokens():
    return torch.randint(20, (3, T), generator=torch.Generator().manual_seed(1))


def half(seed=2):
    return torch.rand(3, T, generator=torch.Generator().manual_seed(seed)) < 0.5


def test_who_never_thinks_again_is_the_decoder(tokens):
    model = thinking()
    thought, state = model(tokens, policy="never")
    torch.testing.assert_close(thought.logits, model.decoder(tokens)[0])
    assert (thought.depth == 1).all()
    assert all(layer[1].k.shape[1] == 0 for layer in state.slots)


def test_one_pass_of_duo_causal_attention_is_causal_attention():
    q, k, v = (torch.randn(2, 7, heads, 4, dtype=torch.float64) for heads in (4, 2, 2))
    position = torch.arange(7).expand(2, 7)
    o = duo_causal_attention(q, position, [Slots(k, v, position, torch.ones(2, 7, dtype=torch.bool))])
    k, v = (z.repeat_interleave(2, 2) for z in (k, v))
    expected = torch.nn.functional.scaled_dot_product_attention(
        *(z.transpose(1, 2) for z in (q, k, v)), is_causal=True
    ).transpose(1, 2)
    torch.testing.assert_close(o, expected)


def test_a_second_pass_sees_both_passes_of_the_past_and_none_of_the_future(tokens):
    """By hand: one query of pass 1 at position 2 over slots of both passes."""
    q = torch.randn(1, 1, 1, 4, dtype=torch.float64)
    k, v = torch.randn(2, 1, 5, 1, 4, dtype=torch.float64)
    zero = Slots(k[:, :3], v[:, :3], torch.tensor([[0, 2, 3]]), torch.ones(1, 3, dtype=torch.bool))
    one = Slots(k[:, 3:], v[:, 3:], torch.tensor([[1, 2]]), torch.tensor([[False, True]]))
    o = duo_causal_attention(q, torch.tensor([[2]]), [zero, one])
    seen = [0, 1, 4]  # position 3 is later, and the row did not think at position 1
    p = (k[0, seen, 0] @ q[0, 0, 0] / 2).softmax(0)
    torch.testing.assert_close(o[0, 0, 0], p @ v[0, seen, 0])


@pytest.mark.parametrize("policy", ["never", "always", "decider", "oracle"])
def test_steps_are_the_forward(tokens, policy):
    model = thinking()
    told = half() if policy == "oracle" else policy
    whole, _ = model(tokens, policy=told)
    state = model.initial_state(3)
    for t in range(T):
        one, state = model.step(tokens[:, t], state, policy=told[:, t] if policy == "oracle" else told)
        torch.testing.assert_close(one.logits, whole.logits[:, t])
        assert torch.equal(one.depth, whole.depth[:, t])


@pytest.mark.parametrize("cut", [1, 4, 8])
def test_a_text_may_be_cut_anywhere(tokens, cut):
    model, told = thinking(max_depth=3), half()
    whole, _ = model(tokens, policy=told)
    head, state = model(tokens[:, :cut], policy=told[:, :cut])
    tail, _ = model(tokens[:, cut:], policy=told[:, cut:], state=state)
    torch.testing.assert_close(torch.cat([head.logits, tail.logits], 1), whole.logits)


def test_the_past_ignores_the_future_in_every_pass(tokens):
    model, other = thinking(), tokens.clone()
    other[:, 5:] = (other[:, 5:] + 1) % 20
    one, two = (model(z, policy="always")[0].logits for z in (tokens, other))
    torch.testing.assert_close(one[:, :5], two[:, :5])
    assert not torch.allclose(one[:, 5:], two[:, 5:])


def test_thinking_at_a_place_changes_no_first_pass_and_nothing_before_it(tokens):
    model, some = thinking(), half()
    more = some.clone()
    more[:, 4] = ~more[:, 4]
    one, two = model(tokens, policy=some)[0], model(tokens, policy=more)[0]
    torch.testing.assert_close(one.first, two.first)
    torch.testing.assert_close(one.logits[:, :4], two.logits[:, :4])
    assert not torch.allclose(one.logits[:, 4], two.logits[:, 4])


def test_with_low_rank_weights_at_zero_a_second_pass_differs_by_what_it_reads_and_sees(tokens):
    model = thinking(lora=False)
    before = model(tokens, policy="always")[0]
    torch.testing.assert_close(_second_pass_by_hand(model, tokens), before.logits)
    for delta in model.deltas.parameters():
        torch.nn.init.normal_(delta)
    after = model(tokens, policy="always")[0]
    assert not torch.allclose(after.logits, before.logits)
    torch.testing.assert_close(after.first, before.first)


def _second_pass_by_hand(model, tokens):
    """The decoder over twice as many tokens, the soft ones at the places of the others, by a mask of its own."""
    decoder, position = model.decoder, torch.arange(T).repeat(2)
    first = decoder(tokens)[0]
    top = first.topk(5, -1)
    soft = (top.values.softmax(-1)[..., None] * decoder.embedding(top.indices)).sum(-2)
    x, late = torch.cat([decoder.embedding(tokens), soft], 1), torch.arange(2 * T) >= T
    seen = (position <= position[:, None]) & (late <= late[:, None])
    for layer in decoder.every_layer():
        q, k, v = layer.mixer.project(layer.mixer_norm(x)).split(layer.mixer.widths, -1)
        q, k, v = (z.unflatten(-1, (-1, 4)) for z in (q, k, v))
        q, k = (rotary(z, position.expand(3, -1)) for z in (q, k))
        k, v = (z.repeat_interleave(2, 2) for z in (k, v))
        o = F.scaled_dot_product_attention(*(z.transpose(1, 2) for z in (q, k, v)), attn_mask=seen)
        x = layer.after_mixer(x, layer.mixer.out(o.transpose(1, 2).flatten(2)))
    return first + decoder.head(decoder.norm(x))[:, T:]


def test_padding_is_invisible_and_never_thought_about(tokens):
    model, lengths = thinking(), torch.tensor([T, 4, 1])
    mask = torch.arange(T) < lengths[:, None]
    padded, state = model(tokens, mask=mask, policy="always")
    assert torch.equal(padded.depth, 2 * mask.long())
    for row, n in enumerate(lengths.tolist()):
        alone, _ = model(tokens[row : row + 1, :n], policy="always")
        torch.testing.assert_close(padded.logits[row, :n], alone.logits[0])
    assert torch.equal(state.position, lengths)


def test_a_depth_is_a_pass_and_the_decider_stops_where_it_is_unsure(tokens):
    model = thinking(max_depth=3)
    assert (model(tokens, policy="always")[0].depth == 3).all()
    thought, _ = model(tokens, policy="decider")
    assert torch.equal(thought.depth > 1, thought.again.sigmoid() > 0.5)


def test_every_weight_learns(tokens):
    model = thinking()
    thought, _ = model(tokens, policy="always")
    (thought.logits.square().mean() + thought.again.square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_what_does_not_fit_is_refused():
    near = DecoderConfig(n_tokens=9, d_model=16, d_hidden=8, mixers=(SoftmaxAttentionConfig(d_model=16, window=4),))
    with pytest.raises(ValueError, match="without a window"):
        ThinkingConfig(decoder=near)
    with pytest.raises(ValueError, match=r"layers \(2,\) of 2"):
        thinking(layers=(2,))
    with pytest.raises(ValueError, match="policy is 'often'"):
        thinking()(torch.zeros(1, 2, dtype=torch.long), policy="often")


def test_it_is_made_of_a_decoder_and_kept(tmp_path, tokens):
    decoder = Decoder(DECODER)
    model = ThinkAtHard.of(decoder, ThinkingConfig(decoder=DECODER, rank=2, top_k=4, decider_blocks=1)).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(tokens, policy="never")[0].logits, decoder(tokens)[0])
        model.save(tmp_path)
        again = ThinkAtHard.load(tmp_path, device="cpu")
        torch.testing.assert_close(again(tokens, policy="always")[0].logits, model(tokens, policy="always")[0].logits)
