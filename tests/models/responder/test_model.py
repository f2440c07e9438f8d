import math

import pytest
import torch

from models.responder.config import TowersConfig
from models.responder.model import ReplyTowers, contrastive_loss

CONFIG = TowersConfig(emotions=("joy", "neutral"), d_text=12, d_hidden=16, d_out=8, n_messages=3)
UNKNOWN = torch.tensor([2, 2])


def test_untrained_towers_are_the_cosine_of_the_last_message_as_far_as_it_is_projected():
    towers = ReplyTowers(CONFIG).double().eval()
    basis = torch.linalg.qr(torch.randn(12, 8, dtype=torch.float64)).Q.T
    towers.start_at(basis)
    x = torch.randn(2, 8, dtype=torch.float64) @ basis  # vectors that the projection keeps whole
    messages = torch.stack([x, torch.randn_like(x), torch.randn_like(x)], 1)
    cosine = torch.nn.functional.cosine_similarity(x[:1], x[1:])
    scores = towers.context(messages, UNKNOWN, UNKNOWN) @ towers.reply(x).T
    torch.testing.assert_close(scores[0, 1], cosine[0])


def test_every_parameter_learns():
    towers = ReplyTowers(CONFIG)
    for layer in (towers.context_out, towers.reply_out):
        torch.nn.init.normal_(layer.weight)
    context = towers.context(torch.randn(2, 3, 12), torch.tensor([0, 1]), UNKNOWN)
    contrastive_loss(context, towers.reply(torch.randn(2, 12)), torch.eye(2).bool(), towers.log_scale).backward()
    assert [name for name, p in towers.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_a_reply_that_stands_twice_in_a_batch_is_no_mistake():
    context = torch.eye(3, dtype=torch.float64)
    reply = context[[0, 0, 2]]  # the second row's text is the first one's
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    scale = torch.tensor(math.log(2.0), dtype=torch.float64)
    # Row by row: 2 against 0; 0 against 0 (its own reply is elsewhere); 2 against 0, 0.
    rows = [math.log(1 + math.exp(-2)), math.log(2.0), math.log(1 + 2 * math.exp(-2))]
    columns = [math.log(1 + math.exp(-2)), math.log(2.0), math.log(1 + 2 * math.exp(-2))]
    expected = (sum(rows) + sum(columns)) / 6
    assert float(contrastive_loss(context, reply, same, scale)) == pytest.approx(expected)


def test_a_config_names_the_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="d_out 13 is more than d_text 12"):
        TowersConfig(emotions=(), d_text=12, d_out=13)
    with pytest.raises(ValueError, match="n_messages"):
        TowersConfig(emotions=(), n_messages=0)
