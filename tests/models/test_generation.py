"""Writing on from a prompt is what running the whole text again each time would give."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.backbone import BackboneConfig
from models.generation import generate
from models.token_model import TokenModel, TokenModelConfig

N_TOKENS = 12


@pytest.fixture(params=["softmax", "gla", "rat"])
def model(request: pytest.FixtureRequest) -> TokenModel:
    """A key cache, a constant state and a cache of chunks."""
    torch.manual_seed(0)
    backbone = BackboneConfig(d_model=16, mixers=("gated_conv", request.param))
    made = TokenModel(TokenModelConfig(n_tokens=N_TOKENS, backbone=backbone, tied=False)).eval()
    torch.nn.init.normal_(made.head.weight)
    torch.nn.init.normal_(made.embedding.weight)
    return made


@torch.no_grad()
def slowly(model: TokenModel, prompt: Tensor, n_tokens: int) -> list[int]:
    """Greedy, one row, everything read again for every token."""
    text = prompt.tolist()
    for _ in range(n_tokens):
        text.append(int(model(torch.tensor([text]))[0][0, -1].argmax()))
    return text[len(prompt) :]


def test_greedy_generation_is_the_slow_one_for_prompts_of_every_length(model: TokenModel) -> None:
    prompt = torch.randint(N_TOKENS, (3, 6))
    lengths = torch.tensor([6, 2, 4])
    written = generate(model, prompt, 7, mask=torch.arange(6) < lengths[:, None])
    assert written.lengths.tolist() == [7, 7, 7]
    for row, length in enumerate(lengths):
        assert written.tokens[row].tolist() == slowly(model, prompt[row, :length], 7)


def test_a_row_that_stops_is_left_alone_and_the_others_go_on(model: TokenModel) -> None:
    prompt = torch.randint(N_TOKENS, (4, 5))
    free = generate(model, prompt, 8).tokens
    stop = int(free[0, 3])
    stopped = generate(model, prompt, 8, stop=[stop])
    for row in range(4):
        wanted = free[row].tolist()
        if stop in wanted:
            n = wanted.index(stop) + 1
            wanted = wanted[:n] + [stop] * (8 - n)
            assert stopped.lengths[row] == n
        assert stopped.tokens[row].tolist() == wanted[: stopped.tokens.shape[1]]


def test_sampling_repeats_with_its_generator_and_keeps_to_the_likeliest(model: TokenModel) -> None:
    prompt = torch.randint(N_TOKENS, (1, 5)).expand(64, 5)
    draws = [
        generate(model, prompt, 3, temperature=1.5, generator=torch.Generator().manual_seed(1)).tokens for _ in range(2)
    ]
    assert torch.equal(draws[0], draws[1])
    assert len(draws[0][:, 0].unique()) > 1
    greedy = generate(model, prompt, 3).tokens
    assert torch.equal(generate(model, prompt, 3, temperature=1.0, top_k=1).tokens, greedy)
    assert torch.equal(generate(model, prompt, 3, temperature=1.0, top_p=1e-9).tokens, greedy)
    two = generate(model, prompt, 1, temperature=5.0, top_k=2).tokens.unique()
    assert set(two.tolist()) <= set(model(prompt[:1])[0][0, -1].topk(2).indices.tolist())


def test_top_p_keeps_the_fewest_tokens_that_reach_it(model: TokenModel) -> None:
    prompt = torch.randint(N_TOKENS, (1, 5))
    p = model(prompt)[0][0, -1].softmax(-1).sort(descending=True)
    n = int((p.values.cumsum(-1) < 0.8).sum()) + 1
    drawn = generate(model, prompt.expand(500, 5), 1, temperature=1.0, top_p=0.8).tokens.unique()
    assert set(drawn.tolist()) <= set(p.indices[:n].tolist())


def test_a_token_model_survives_the_disk_and_computes_its_loss_where_labels_are(
    model: TokenModel, tmp_path: Path
) -> None:
    again = TokenModel.load(model.save(tmp_path))
    text = torch.randint(N_TOKENS, (2, 6))
    assert torch.equal(again(text)[0], model(text)[0])
    labels = torch.full((2, 6), -100)
    labels[0, 2], labels[1, 5] = 3, 4
    logits = model(text)[0].log_softmax(-1)
    torch.testing.assert_close(model.loss(text, labels), -(logits[0, 2, 3] + logits[1, 5, 4]) / 2)


def test_what_cannot_be_written_on_from_is_refused(model: TokenModel) -> None:
    with pytest.raises(ValueError, match="expected a prompt"):
        generate(model, torch.zeros(2, 0, dtype=torch.long), 3)
    with pytest.raises(ValueError, match="no real token"):
        generate(model, torch.zeros(1, 2, dtype=torch.long), 3, mask=torch.zeros(1, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="top_p"):
        generate(model, torch.zeros(1, 2, dtype=torch.long), 3, temperature=1.0, top_p=0.0)
    with pytest.raises(ValueError, match="must be positive"):
        generate(model, torch.zeros(1, 2, dtype=torch.long), 0)
    with pytest.raises(ValueError, match="must not be negative"):
        generate(model, torch.zeros(1, 2, dtype=torch.long), 1, temperature=-1.0)
