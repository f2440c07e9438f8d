"""The recurrent mixers against their sheet and against PyTorch; what every mixer promises is in test_contract.py."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kernels.backend import use_backend
from models.mixers import build_mixer
from models.mixers.base import SequenceMixer, detach
from models.mixers.brnn import BRNN, BRNNConfig
from models.mixers.elman import Elman, ElmanConfig
from models.mixers.gru import GRU, GRUConfig
from models.mixers.lstm import LSTM, LSTMConfig
from models.mixers.min_rnn import MinRNN, MinRNNConfig
from models.mixers.recurrent import BlockLinear
from models.mixers.rhn import RHN, RHNConfig

WIDTH, TOKENS = 6, 9


def random(mixer: Any) -> Any:
    for parameter in mixer.double().parameters():
        nn.init.normal_(parameter, std=0.5)
    return mixer


def tokens(batch: int = 3) -> Tensor:
    return torch.randn(batch, TOKENS, WIDTH, dtype=torch.float64)


def test_an_lstm_is_pytorchs() -> None:
    mixer = random(LSTM(LSTMConfig(d_model=WIDTH, d_hidden=4, n_layers=2)))
    peer = nn.LSTM(WIDTH, 4, num_layers=2, batch_first=True).double()
    with torch.no_grad():
        for layer, cell in enumerate(mixer.cells):
            getattr(peer, f"weight_ih_l{layer}").copy_(cell.inputs.weight)
            getattr(peer, f"weight_hh_l{layer}").copy_(cell.recurrent.weight[0])
            getattr(peer, f"bias_ih_l{layer}").copy_(cell.inputs.bias)
            getattr(peer, f"bias_hh_l{layer}").zero_()
    x = tokens()
    for backend in ("reference", "torch"):
        with use_backend(backend):  # type: ignore[arg-type]
            y, state = mixer(x)
        expected, (h, c) = peer(x)
        torch.testing.assert_close(y, mixer.out(expected))
        for layer in range(2):
            torch.testing.assert_close(state.layers[layer], (h[layer], c[layer]))


def test_a_gru_is_pytorchs() -> None:
    mixer = random(GRU(GRUConfig(d_model=WIDTH)))
    peer = nn.GRU(WIDTH, WIDTH, batch_first=True).double()
    cell = mixer.cells[0]
    with torch.no_grad():
        peer.weight_ih_l0.copy_(cell.inputs.weight)
        peer.weight_hh_l0.copy_(torch.cat([cell.recurrent.weight[0], cell.candidate.weight[0]]))
        peer.bias_ih_l0.copy_(cell.inputs.bias)
        peer.bias_hh_l0.copy_(torch.cat([torch.zeros(2 * WIDTH), cell.candidate_bias]))
    x = tokens()
    for backend in ("reference", "torch"):
        with use_backend(backend):  # type: ignore[arg-type]
            torch.testing.assert_close(mixer(x)[0], peer(x)[0])


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("lstm", {}), ("gru", {}), ("gru", {"reset_after": False}), ("elman", {"contract": True}), ("rhn", {}),
        ("rhn", {"coupled": False, "depth": 1}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("n_heads", [1, 3])
def test_the_quick_loop_is_the_walk_step_by_step_on_rows_of_every_length(
    name: str, fields: dict[str, Any], n_heads: int
) -> None:
    mixer = random(build_mixer(name, d_model=WIDTH, n_heads=n_heads, **fields))
    x = tokens(5)
    mask = torch.arange(TOKENS) < torch.tensor([4, 9, 0, 1, 9])[:, None]
    state = detach(mixer(x.flip(0))[1])
    answers = []
    for backend in ("reference", "torch"):
        with use_backend(backend):  # type: ignore[arg-type]
            y, after = mixer(x, mask=mask, state=state)
        gradients = torch.autograd.grad(y.square().sum() + sum(z.sum() for z in after.layers[0]), mixer.parameters())
        answers.append((y, after.layers, gradients))
    torch.testing.assert_close(answers[0], answers[1])


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_directions_side_by_side_are_each_by_itself(cell: Any) -> None:
    mixer = random(BRNN(BRNNConfig(d_model=WIDTH, cell=cell)))
    x, mask = tokens(4), torch.arange(TOKENS) < torch.tensor([4, 9, 0, 1])[:, None]
    results = []
    for backend in ("reference", "torch"):
        with use_backend(backend):  # type: ignore[arg-type]
            y, _ = mixer(x, mask=mask)
        results.append((y, torch.autograd.grad(y.square().sum(), mixer.parameters())))
    torch.testing.assert_close(results[0], results[1])


def test_a_gru_with_reset_before_is_the_original() -> None:
    mixer = random(GRU(GRUConfig(d_model=WIDTH, reset_after=False)))
    cell, x, h = mixer.cells[0], tokens(1), torch.zeros(1, WIDTH, dtype=torch.float64)
    W_r, W_z, W_n = cell.inputs.weight.chunk(3)
    b_r, b_z, b_n = cell.inputs.bias.chunk(3)
    R_r, R_z = cell.recurrent.weight[0].chunk(2)
    R_n = cell.candidate.weight[0]
    for t in range(TOKENS):
        u = x[:, t]
        r, z = (u @ W_r.T + h @ R_r.T + b_r).sigmoid(), (u @ W_z.T + h @ R_z.T + b_z).sigmoid()
        h = (1 - z) * (u @ W_n.T + (r * h) @ R_n.T + b_n).tanh() + z * h
        torch.testing.assert_close(mixer(x)[0][:, t], h)


@pytest.mark.parametrize("coupled", [True, False])
def test_a_highway_is_the_sheets_equations(coupled: bool) -> None:
    mixer = random(RHN(RHNConfig(d_model=WIDTH, depth=2, coupled=coupled)))
    cell, x, s = mixer.cells[0], tokens(1), torch.zeros(1, WIDTH, dtype=torch.float64)
    for t in range(TOKENS):
        for layer in range(2):
            heard = cell.inputs(x[:, t]) + cell.recurrent(s) if layer == 0 else cell.deeper[0](s) + cell.biases[0]
            a, gate, *carry = heard.chunk(2 if coupled else 3, -1)
            kept = 1 - gate.sigmoid() if coupled else carry[0].sigmoid()
            s = gate.sigmoid() * a.tanh() + kept * s
        torch.testing.assert_close(mixer(x)[0][:, t], s)


def test_a_highway_of_one_coupled_layer_is_a_gru_without_reset() -> None:
    """h = t tanh(..) + (1 - t) h: a GRU whose z is 1 - t and whose r is 1."""
    highway = random(RHN(RHNConfig(d_model=WIDTH, depth=1)))
    gru = random(GRU(GRUConfig(d_model=WIDTH)))
    u, r = highway.cells[0].inputs, highway.cells[0].recurrent.weight[0]
    with torch.no_grad():
        cell = gru.cells[0]
        cell.inputs.weight.copy_(torch.cat([torch.zeros(WIDTH, WIDTH), -u.weight[WIDTH:], u.weight[:WIDTH]]))
        cell.inputs.bias.copy_(torch.cat([torch.full((WIDTH,), 1e4), -u.bias[WIDTH:], u.bias[:WIDTH]]))
        cell.recurrent.weight[0].copy_(torch.cat([torch.zeros(WIDTH, WIDTH), -r[WIDTH:]]))
        cell.candidate.weight[0].copy_(r[:WIDTH])
        cell.candidate_bias.zero_()
    x = tokens()
    torch.testing.assert_close(highway(x)[0], gru(x)[0])


def test_an_lstm_that_forgets_and_writes_nothing_keeps_its_cell() -> None:
    mixer = random(LSTM(LSTMConfig(d_model=WIDTH)))
    cell = mixer.cells[0]
    with torch.no_grad():
        cell.inputs.weight[: 2 * WIDTH] = 0
        cell.recurrent.weight[0, : 2 * WIDTH] = 0
        cell.inputs.bias[:WIDTH], cell.inputs.bias[WIDTH : 2 * WIDTH] = -1e4, 1e4
    _, state = mixer(tokens())
    start = state._replace(layers=((state.layers[0][0], torch.randn_like(state.layers[0][1])),))
    _, after = mixer(tokens(), state=start)
    torch.testing.assert_close(after.layers[0][1], start.layers[0][1])


@pytest.mark.parametrize(
    ("fields", "per_unit"),
    [({}, 4), ({"coupled": True}, 3), ({"forget_gate": False}, 3)],
)
def test_a_variants_missing_gate_has_no_weights(fields: dict[str, Any], per_unit: int) -> None:
    mixer = LSTM(LSTMConfig(d_model=WIDTH, **fields))
    assert sum(p.numel() for p in mixer.parameters()) == per_unit * (2 * WIDTH**2 + WIDTH)


def test_gates_start_where_they_keep_the_state() -> None:
    lstm, gru, rhn = (build_mixer(n, d_model=WIDTH).cells[0].inputs.bias for n in ("lstm", "gru", "rhn"))  # type: ignore[union-attr, index]
    assert lstm.unflatten(0, (4, -1))[:, 0].tolist() == [0, 1, 0, 0]
    assert gru.unflatten(0, (3, -1))[:, 0].tolist() == [0, 1, 0]
    assert rhn.unflatten(0, (2, -1))[:, 0].tolist() == [0, -2]
    recurrent = LSTM(LSTMConfig(d_model=WIDTH)).cells[0].recurrent.weight[0, :WIDTH]
    torch.testing.assert_close(recurrent @ recurrent.T, torch.eye(WIDTH))


def test_blocks_are_a_block_diagonal_matrix() -> None:
    blocks = BlockLinear(6, 2, 3).double()
    h = torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(blocks(h), h @ blocks.dense().T)
    assert (blocks.dense() != 0).sum() == 2 * 3 * 2 * 2


def test_without_recurrent_weights_a_cell_hears_nothing_but_its_token() -> None:
    mixer = random(Elman(ElmanConfig(d_model=WIDTH)))
    with torch.no_grad():
        mixer.cells[0].recurrent.weight.zero_()
    x = tokens(1)
    order = torch.randperm(TOKENS)
    torch.testing.assert_close(mixer(x[:, order])[0], mixer(x)[0][:, order])


def test_a_contracting_network_never_moves_states_apart() -> None:
    mixer = random(Elman(ElmanConfig(d_model=WIDTH, contract=True)))
    assert torch.linalg.matrix_norm(mixer.cells[0].recurrent.weight, 2).max() <= 1 + 1e-9
    x, starts = tokens(1), torch.randn(2, 1, WIDTH, dtype=torch.float64)
    states = [mixer(x, state=mixer.initial_state(1)._replace(layers=((s,),)))[0] for s in starts]
    apart = (states[0] - states[1]).norm(dim=-1)[0]
    assert (apart.diff() <= 1e-12).all()


@pytest.mark.parametrize("kind", ["gru", "lstm", "qlstm"])
def test_a_scanned_recurrence_is_its_loop(kind: Any) -> None:
    mixer = random(MinRNN(MinRNNConfig(d_model=WIDTH, kind=kind)))
    x, h = tokens(2), torch.zeros(2, WIDTH, dtype=torch.float64)
    for t in range(TOKENS):
        parts = mixer.inputs(x[:, t]).chunk(mixer.n_parts, -1)
        if kind == "gru":
            h = (1 - parts[0].sigmoid()) * h + parts[0].sigmoid() * parts[1]
        elif kind == "lstm":
            f, i = parts[0].sigmoid(), parts[1].sigmoid()
            h = (f * h + i * parts[2]) / (f + i)
        else:
            h = parts[0].sigmoid() * h + parts[1].sigmoid() * parts[3].tanh()
        y = parts[2].sigmoid() * h.tanh() if kind == "qlstm" else h
        torch.testing.assert_close(mixer(x)[0][:, t], y)


def test_a_reversed_forget_gate_is_mambas_decay() -> None:
    """exp(-a softplus(w)) = sigmoid(-w)^a (dsf sheet, section 4)."""
    mixer = random(MinRNN(MinRNNConfig(d_model=WIDTH, kind="qlstm", reversed_sigmoid=True)))
    with torch.no_grad():
        mixer.exponent.fill_(1.7)
    parts = mixer.inputs(tokens()).chunk(4, -1)
    torch.testing.assert_close(mixer._gates(parts)[0], (-1.7 * nn.functional.softplus(parts[0])).exp())


def test_a_bidirectional_network_on_a_reversed_row_swaps_its_directions() -> None:
    mixer = random(BRNN(BRNNConfig(d_model=WIDTH)))
    swapped = random(BRNN(BRNNConfig(d_model=WIDTH)))
    swapped.left.load_state_dict(mixer.right.state_dict())
    swapped.right.load_state_dict(mixer.left.state_dict())
    with torch.no_grad():
        swapped.out.weight.copy_(torch.cat(list(mixer.out.weight.chunk(2, 1))[::-1], 1))
        swapped.out.bias.copy_(mixer.out.bias)
    x = tokens()
    torch.testing.assert_close(swapped(x.flip(1))[0].flip(1), mixer(x)[0])


def test_a_bidirectional_gru_is_pytorchs() -> None:
    mixer = random(BRNN(BRNNConfig(d_model=WIDTH, cell="gru", d_hidden=4)))
    peer = nn.GRU(WIDTH, 4, batch_first=True, bidirectional=True).double()
    with torch.no_grad():
        for cell, end in ((mixer.left, ""), (mixer.right, "_reverse")):
            getattr(peer, f"weight_ih_l0{end}").copy_(cell.inputs.weight)
            both = torch.cat([cell.recurrent.weight[0], cell.candidate.weight[0]])
            getattr(peer, f"weight_hh_l0{end}").copy_(both)
            getattr(peer, f"bias_ih_l0{end}").copy_(cell.inputs.bias)
            getattr(peer, f"bias_hh_l0{end}").copy_(torch.cat([torch.zeros(8), cell.candidate_bias]))
    x = tokens()
    torch.testing.assert_close(mixer(x)[0], mixer.out(peer(x)[0]))


@pytest.mark.parametrize("cell", ["elman", "lstm"])
def test_a_lookahead_sees_that_far_and_no_further(cell: Any) -> None:
    mixer = random(BRNN(BRNNConfig(d_model=WIDTH, cell=cell, lookahead=2)))
    x = tokens(1)
    other = x.clone()
    other[:, 6] += 1.0
    same = [torch.equal(mixer(x)[0][:, t], mixer(other)[0][:, t]) for t in range(TOKENS)]
    assert same == [True] * 4 + [False] * 5
    whole = random(BRNN(BRNNConfig(d_model=WIDTH, cell=cell)))
    far = BRNN(BRNNConfig(d_model=WIDTH, cell=cell, lookahead=TOKENS)).double()
    far.load_state_dict(whole.state_dict())
    torch.testing.assert_close(far(x)[0], whole(x)[0])


@pytest.mark.parametrize("attention", ["after", "feedback"])
def test_attention_sees_the_states_and_with_feedback_the_cells_hear_it(attention: Any) -> None:
    mixer: SequenceMixer[Any] = random(RHN(RHNConfig(d_model=8, attention=attention, attention_heads=2)))
    plain = RHN(RHNConfig(d_model=8)).double()
    plain.load_state_dict({k: v for k, v in mixer.state_dict().items() if k.startswith("cells")})
    x = torch.randn(1, TOKENS, 8, dtype=torch.float64)
    y, state = mixer(x)
    h, plain_state = plain(x)
    same = torch.equal(state.layers[0][0], plain_state.layers[0][0])
    assert same == (attention == "after")
    if attention == "after":
        m, _ = mixer.attention(h)  # type: ignore[operator, union-attr]
        g = mixer.join.gate(torch.cat([h, m], -1)).sigmoid()  # type: ignore[operator, union-attr]
        torch.testing.assert_close(y, (1 - g) * h + g * m)


def test_numbers_that_disagree_are_named() -> None:
    with pytest.raises(ValueError, match="width 6 is not a multiple of n_heads 4"):
        GRUConfig(d_model=6, n_heads=4)
    with pytest.raises(ValueError, match="coupled gates"):
        LSTMConfig(d_model=6, coupled=True, forget_gate=False)
    with pytest.raises(ValueError, match="depth is 0"):
        RHNConfig(d_model=6, depth=0)
    with pytest.raises(ValueError, match="lookahead is -1"):
        BRNNConfig(d_model=6, lookahead=-1)
    with pytest.raises(ValueError, match="reversed_sigmoid"):
        MinRNNConfig(d_model=6, reversed_sigmoid=True)
