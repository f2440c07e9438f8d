"""DialogGRU against its sheet: the invariants 8 to 14, and the official code's faults that concern it."""

import pytest
import torch
from torch import Tensor

from kernels.backend import use_backend
from models.mixers.base import state_bytes
from models.mixers.dialog_gru import DialogGRU, DialogGRUConfig


def build(d_model: int = 6, **fields: object) -> DialogGRU:
    return DialogGRU(DialogGRUConfig(d_model=d_model, **fields)).double()  # type: ignore[arg-type]


def one_dialogue(mixer: DialogGRU, x: Tensor, speakers: list[int]) -> Tensor:
    """One dialogue (T, D) by the paper's rules and equations, utterance by utterance, sharing no code with ours."""
    for layer in mixer.layers:
        width = layer.w_inertia.shape[1]
        zero, states = x.new_zeros(width), []
        run, last_other = 0, None
        w_ir, w_iz, w_is, w_in = layer.input.weight.chunk(4)
        b_ir, b_iz, b_is, b_in = layer.input.bias.chunk(4)
        w_hr, w_cz, w_cn = layer.w_contagion.chunk(3)
        b_hr, b_cz, b_cn = layer.b_contagion.chunk(3)
        w_sz, w_hs, w_sn = layer.w_inertia.chunk(3)
        b_sz, b_hs, b_sn = layer.b_inertia.chunk(3)
        for i, speaker in enumerate(speakers):
            earlier = [j for j in range(i) if speakers[j] == speaker]
            reach = len(set(speakers[earlier[-1] + 1 : i])) if earlier else None
            h_i, h_c = zero, zero
            if reach is not None and reach < mixer.config.n_remembered:
                between = torch.tensor(3.0 - (i - earlier[-1] - 1), dtype=x.dtype)
                h_i = torch.sigmoid(between) * states[earlier[-1]]
            if i > 0:
                m = run + 1 if speaker == last_other else 0
                if speakers[i - 1] != speaker:
                    h_c = torch.sigmoid(torch.tensor(m / 2, dtype=x.dtype)) * states[-1]
                    run, last_other = m, speakers[i - 1]
            r = torch.sigmoid(w_ir @ x[i] + b_ir + w_hr @ h_c + b_hr)
            s = torch.sigmoid(w_is @ x[i] + b_is + w_hs @ h_i + b_hs)
            z = torch.sigmoid(w_iz @ x[i] + b_iz + w_cz @ h_c + b_cz + w_sz @ h_i + b_sz)
            n = torch.tanh(w_in @ x[i] + b_in + r * (w_cn @ h_c + b_cn) + s * (w_sn @ h_i + b_sn))
            states.append((1 - z) * n + z * h_i)
        x = torch.stack(states)
    return mixer.out(x)


@pytest.mark.parametrize("fields", [{}, {"n_layers": 3, "d_hidden": 5}, {"long_links": True, "n_speakers": 4}])
@pytest.mark.parametrize("backend", ["torch", "reference"])
def test_it_equals_a_plain_loop_in_output_and_gradient(fields: dict[str, int], backend: str) -> None:
    """Invariant 13, at 1e-10 in float64, on ragged dialogues of up to five speakers."""
    mixer = build(**fields)
    lengths, ids = [11, 4, 1], torch.randint(0, 5, (3, 11))
    x = torch.randn(3, 11, 6, dtype=torch.float64, requires_grad=True)
    leaves = [x, *mixer.parameters()]
    with use_backend(backend):  # type: ignore[arg-type]
        y, _ = mixer(x, ids=ids, mask=torch.arange(11) < torch.tensor(lengths)[:, None])
    plain = [one_dialogue(mixer, x[b, :n], ids[b, :n].tolist()) for b, n in enumerate(lengths)]
    weights = [torch.randn_like(p) for p in plain]
    ours = sum((y[b, :n] * w).sum() for (b, n), w in zip(enumerate(lengths), weights, strict=True))
    theirs = sum((p * w).sum() for p, w in zip(plain, weights, strict=True))
    for b, n in enumerate(lengths):
        torch.testing.assert_close(y[b, :n], plain[b], rtol=1e-10, atol=1e-10)
    for a, b in zip(torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_an_edit_changes_no_earlier_output_in_a_single_bit() -> None:
    """Invariant 8."""
    mixer = build(n_layers=2)
    x, ids = torch.randn(1, 9, 6, dtype=torch.float64), torch.randint(0, 3, (1, 9))
    y, _ = mixer(x, ids=ids)
    for i in range(9):
        edited = x.clone()
        edited[0, i] += 1
        assert torch.equal(mixer(edited, ids=ids)[0][:, :i], y[:, :i])


def test_in_a_monologue_contagion_is_never_read() -> None:
    """Invariant 12."""
    mixer = build(n_layers=2)
    y, _ = mixer(torch.randn(2, 8, 6, dtype=torch.float64), ids=torch.full((2, 8), 3))
    y.square().sum().backward()
    for layer in mixer.layers:
        assert not layer.w_contagion.grad.any()
        assert layer.w_inertia.grad.any()


def test_official_fault_4_a_dialogue_may_be_longer_than_128_utterances() -> None:
    """The official code keeps indices of previous utterances in int8."""
    mixer = build(d_model=2)
    speakers = [i % 2 for i in range(300)]
    x = torch.randn(300, 2, dtype=torch.float64)
    y, _ = mixer(x[None], ids=torch.tensor([speakers]))
    torch.testing.assert_close(y[0], one_dialogue(mixer, x, speakers), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [1, 2, 129, 500])
def test_any_length_runs(length: int) -> None:
    """Invariant 23."""
    y, _ = build()(torch.randn(2, length, 6, dtype=torch.float64), ids=torch.randint(0, 3, (2, length)))
    assert y.isfinite().all()


def test_a_state_weighs_the_same_after_any_history() -> None:
    for fields in ({}, {"long_links": True, "n_speakers": 5}):
        mixer = build(**fields)
        _, short = mixer(torch.randn(1, 1, 6, dtype=torch.float64), ids=torch.zeros(1, 1, dtype=torch.long))
        _, long = mixer(torch.randn(1, 200, 6, dtype=torch.float64), ids=torch.randint(0, 50, (1, 200)))
        assert state_bytes(short) == state_bytes(long)


def test_long_links_bring_back_a_speaker_whom_the_paper_forgets() -> None:
    ids = torch.tensor([[0, 1, 2, 0]])
    x = torch.randn(1, 4, 6, dtype=torch.float64, requires_grad=True)
    for long_links in (False, True):
        mixer = build(long_links=long_links)
        with torch.no_grad():
            for layer in mixer.layers:
                layer.w_contagion.zero_()  # so that only inertia can reach back
        y, _ = mixer(x, ids=ids)
        (gradient,) = torch.autograd.grad(y[0, 3].sum(), x)
        assert gradient[0, 0].any() == long_links
        assert not gradient[0, 1].any()


def test_learned_distances_start_at_the_papers_constants() -> None:
    torch.manual_seed(1)
    fixed = build()
    torch.manual_seed(1)
    learned = build(learned_distance=True)
    x, ids = torch.randn(2, 9, 6, dtype=torch.float64), torch.randint(0, 3, (2, 9))
    assert torch.equal(fixed(x, ids=ids)[0], learned(x, ids=ids)[0])
    assert "layers.0.distance" in learned.state_dict()
    assert "layers.0.distance" not in fixed.state_dict()


def test_it_has_the_papers_number_of_parameters() -> None:
    d, h = 6, 10
    mixer = build(d_model=d, d_hidden=h, n_layers=2)
    expected = 4 * h * d + 6 * h * h + 10 * h + (4 * h * h + 6 * h * h + 10 * h)
    assert sum(p.numel() for p in mixer.layers.parameters()) == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_layers": 0}, "n_layers is 0"),
        ({"d_hidden": 0}, "d_hidden is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"long_links": True, "n_speakers": 1}, "n_speakers is 1"),
    ],
)
def test_a_config_checks_itself(fields: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**fields)
