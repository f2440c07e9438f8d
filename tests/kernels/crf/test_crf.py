"""The CRF op: every backend means what the definition means, and what a kernel cannot do it refuses by name."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kernels import crf
from kernels.backend import Backend, BackendUnavailable, use_backend
from kernels.crf import filtering, reference, torch_sweep, torch_viterbi
from tests.kernels.accuracy import assert_as_accurate
from tests.kernels.crf.enumeration import enumerate_labellings, skip_chain_edges

# Under the interpreter numpy says what a GPU does not: log(0) is -inf, which is meant.
pytestmark = pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")

BACKENDS: list[Backend] = ["torch", "triton"]
EVERY: list[Backend] = ["reference", *BACKENDS]
CASES = [(("skip", 1), [1]), (("skip", 1), [33, 0, 1])]
CASES += [(graph, [7, 3]) for graph in (("skip", 0), ("skip", 1), ("skip", 2), ("linear", 0))]


def scores(n_labels: int, dtype: torch.dtype, device: torch.device, spread: float = 1.0) -> list[Tensor]:
    """start, end, same, other."""
    shapes = [(n_labels,), (n_labels,), (n_labels, n_labels), (n_labels, n_labels)]
    return [torch.randn(shape, dtype=dtype, device=device) * spread for shape in shapes]


def dialogues(lengths: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """speakers and mask, both (B, N)."""
    n = max(lengths)
    speakers = torch.randint(0, 3, (len(lengths), n), device=device)
    return speakers, torch.arange(n, device=device) < torch.tensor(lengths, device=device)[:, None]


def chain_of(graph: tuple[str, int], speakers: Tensor, mask: Tensor, tables: list[Tensor]) -> crf.Chain:
    start, end, same, other = tables
    if graph[0] == "linear":
        return crf.linear_chain(mask, start, end, same)
    return crf.skip_chain(speakers, mask, start, end, same, other, graph[1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("graph", "lengths"), CASES, ids=str)
def test_every_backend_is_as_accurate_as_single_precision_allows(
    backend: Backend, graph: tuple[str, int], lengths: list[int], device: torch.device
) -> None:
    n_labels = 3 if graph[1] == 2 else 7
    speakers, mask = dialogues(lengths, device)
    emissions = torch.randn(*speakers.shape, n_labels, device=device) * 2
    args = [emissions, *scores(n_labels, torch.float32, device)]

    def log_partition(op: Any, **options: Any) -> Any:
        return lambda emissions, *tables: op(emissions, chain_of(graph, speakers, mask, list(tables)), **options)

    assert_as_accurate(log_partition(crf.log_partition, backend=backend), log_partition(reference.log_partition), args)
    for name in ("marginals", "viterbi"):
        fast, plain = getattr(crf, name), getattr(reference, name)
        assert_as_accurate(log_partition(fast, backend=backend), log_partition(plain), args, gradients=False)


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_emissions_are_summed_in_single(backend: Backend, device: torch.device) -> None:
    speakers, mask = dialogues([7, 4], device)
    emissions = torch.randn(2, 7, 5, device=device).half().requires_grad_()
    chain = chain_of(("skip", 1), speakers, mask, scores(5, torch.float32, device))
    found = crf.log_partition(emissions, chain, backend=backend)
    torch.testing.assert_close(found, reference.log_partition(emissions.double(), chain), rtol=1e-6, atol=1e-6)
    (gradient,) = torch.autograd.grad(found.sum(), emissions)
    assert gradient.dtype == torch.float16
    assert crf.marginals(emissions.detach(), chain, backend=backend).dtype == torch.float16


@pytest.mark.parametrize("backend", EVERY)
def test_double_precision_stays_double(backend: Backend, device: torch.device) -> None:
    speakers = [0, 1, 0, 0, 2, 0]
    tables = scores(3, torch.float64, device)
    emissions = torch.randn(1, 6, 3, dtype=torch.float64, device=device)
    names = dict(zip(("start", "end", "same", "other"), (t.cpu().numpy() for t in tables), strict=True))
    truth = enumerate_labellings(emissions[0].cpu().numpy(), list(skip_chain_edges(speakers, 1)), names)
    ids = torch.tensor([speakers], device=device)
    chain = chain_of(("skip", 1), ids, torch.ones_like(ids, dtype=torch.bool), tables)
    assert abs(crf.log_partition(emissions, chain, backend=backend).item() - truth.log_partition) < 1e-9
    marginals = crf.marginals(emissions, chain, backend=backend)[0].cpu()
    torch.testing.assert_close(marginals, torch.from_numpy(truth.marginals), rtol=0, atol=1e-9)
    paths, score = crf.viterbi(emissions, chain, backend=backend)
    assert tuple(paths[0].tolist()) == truth.best
    assert abs(score.item() - truth.best_score) < 1e-9


@pytest.mark.parametrize("backend", EVERY)
def test_a_label_that_cannot_be_has_no_probability_and_no_nan(backend: Backend, device: torch.device) -> None:
    speakers, mask = dialogues([6, 6, 6], device)
    tables = [t.requires_grad_() for t in scores(3, torch.float64, device)]
    chain = chain_of(("skip", 1), speakers, mask, tables)
    emissions = torch.randn(3, 6, 3, dtype=torch.float64, device=device)
    emissions[0, 2, 1] = emissions[1, :, 0] = emissions[2, 3] = -torch.inf  # the third dialogue cannot be at all
    emissions.requires_grad_()
    total = crf.log_partition(emissions, chain, backend=backend)
    assert total[:2].isfinite().all()
    assert total[2] == -torch.inf
    for gradient in torch.autograd.grad(total[:2].sum(), [emissions, *tables]):
        assert gradient.isfinite().all()
    with torch.no_grad():
        marginals = crf.marginals(emissions, chain, backend=backend)
    sums = torch.tensor([[1.0], [1.0], [0.0]], dtype=torch.float64, device=device).expand(3, 6)
    torch.testing.assert_close(marginals.sum(-1), sums)
    assert (marginals[emissions.detach() == -torch.inf] == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [16.0, 300.0])  # as far as sums of exponentials go, and beyond
def test_scores_of_any_size_are_summed_as_the_definition_sums_them(
    backend: Backend, size: float, device: torch.device
) -> None:
    speakers, mask = dialogues([12, 5], device)
    tables = [t.sign() * size for t in scores(3, torch.float64, device)]
    chain = chain_of(("skip", 1), speakers, mask, tables)
    emissions = torch.randn(2, 12, 3, dtype=torch.float64, device=device) * 1000
    found = crf.log_partition(emissions, chain, backend=backend)
    torch.testing.assert_close(found, reference.log_partition(emissions, chain), rtol=1e-12, atol=1e-9)
    marginals = crf.marginals(emissions, chain, backend=backend)
    torch.testing.assert_close(marginals, reference.marginals(emissions, chain), rtol=0, atol=1e-9)


def test_single_precision_does_not_wear_off_over_a_long_dialogue(device: torch.device) -> None:
    speakers, mask = dialogues([3000], device)
    emissions = torch.randn(1, 3000, 4, device=device)
    chain = chain_of(("skip", 1), speakers, mask, scores(4, torch.float32, device))
    found, truth = crf.marginals(emissions, chain), crf.marginals(emissions.double(), chain)
    torch.testing.assert_close(found.double(), truth, rtol=0, atol=1e-6)
    total, wide = crf.log_partition(emissions, chain), crf.log_partition(emissions.double(), chain)
    torch.testing.assert_close(total, wide, rtol=1e-7, atol=0)


@pytest.mark.parametrize("steps", [1, 3, 8, 22])
@pytest.mark.parametrize("graph", [("skip", 0), ("skip", 1), ("skip", 2), ("linear", 0)], ids=str)
def test_a_long_dialogue_is_swept_in_pieces_that_hold_its_tables_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, graph: tuple[str, int], steps: int, device: torch.device
) -> None:
    lengths = [23, 9, 8, 0, 1, 16]
    speakers, mask = dialogues(lengths, device)
    chain = chain_of(graph, speakers, mask, scores(3, torch.float64, device, spread=2.0))
    emissions = 3 * torch.randn(*speakers.shape, 3, dtype=torch.float64, device=device)
    emissions[0, 5, 1] = emissions[5, 9] = -torch.inf  # the last dialogue cannot be at all
    held, tables = list[int](), torch_sweep.Sweep.nodes
    monkeypatch.setattr(torch_sweep.Sweep, "nodes", lambda self: held.append(self.n) or tables(self))
    for place in (torch_sweep, torch_viterbi, filtering):
        monkeypatch.setattr(place, "ROWS_AT_ONCE", steps * len(lengths))
    found = torch_sweep.marginals(emissions, chain)
    assert held == [steps] * (23 // steps) + ([23 % steps] if 23 % steps else [])
    truth = reference.marginals(emissions[:5], chain._replace(kinds=chain.kinds[:5], lengths=chain.lengths[:5]))
    torch.testing.assert_close(found[:5], truth, rtol=0, atol=1e-12)
    assert not found[5].any()
    pieces = [*torch_viterbi.viterbi(emissions, chain), filtering.follow(emissions, chain)]
    monkeypatch.undo()
    whole = [*reference.viterbi(emissions, chain), filtering.follow(emissions, chain)]
    for one, other in zip(pieces, whole, strict=True):
        torch.testing.assert_close(one[:5], other[:5], rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", EVERY)
def test_what_stands_on_padding_is_never_read(backend: Backend, device: torch.device) -> None:
    speakers, mask = dialogues([4, 2], device)
    tables = scores(3, torch.float64, device)
    emissions = torch.randn(2, 4, 3, dtype=torch.float64, device=device)
    spoilt = emissions.masked_fill(~mask[..., None], torch.nan)
    chain = chain_of(("skip", 1), speakers, mask, tables)
    other = chain_of(("skip", 1), speakers.masked_fill(~mask, 77), mask, tables)
    torch.testing.assert_close(
        crf.log_partition(spoilt, other, backend=backend), crf.log_partition(emissions, chain, backend=backend)
    )
    marginals = crf.marginals(spoilt, other, backend=backend)
    torch.testing.assert_close(marginals, crf.marginals(emissions, chain, backend=backend))
    assert (marginals[~mask] == 0).all()
    paths, _ = crf.viterbi(spoilt, other, backend=backend)
    assert (paths.eq(-1) == ~mask).all()


@pytest.mark.parametrize("shape", [(2, 0), (0, 4)], ids=str)
def test_a_batch_without_utterances_has_one_empty_labelling(shape: tuple[int, int], device: torch.device) -> None:
    ids = torch.zeros(shape, dtype=torch.long, device=device)
    emissions = torch.zeros(*shape, 3, device=device, requires_grad=True)
    chain = chain_of(("skip", 1), ids, ids.bool(), scores(3, torch.float32, device))
    total = crf.log_partition(emissions, chain)
    torch.testing.assert_close(total, torch.zeros(shape[0], dtype=torch.float64, device=device))
    total.sum().backward()
    assert crf.marginals(emissions, chain).shape == (*shape, 3)
    assert crf.viterbi(emissions, chain)[0].shape == shape
    assert crf.follow(emissions, chain).shape == (*shape, 3)


def test_a_kernel_asked_for_by_name_runs_or_refuses(device: torch.device) -> None:
    speakers, mask = dialogues([2], device)
    wide = chain_of(("skip", 1), speakers, mask, scores(40, torch.float32, device))
    with pytest.raises(BackendUnavailable, match="too many for one program"):
        crf.log_partition(torch.zeros(1, 2, 40, device=device), wide, backend="triton")
    small = chain_of(("skip", 1), speakers, mask, scores(3, torch.float32, device))
    emissions = torch.zeros(1, 2, 3, device=device, requires_grad=True)
    with use_backend("triton"), pytest.raises(BackendUnavailable, match="gradient of the marginals"):
        crf.marginals(emissions, small)
    assert crf.marginals(emissions, small).requires_grad
    crf.log_partition(torch.zeros(1, 2, 40, device=device), wide)  # the automatic choice finds another way


def test_shapes_that_disagree_are_refused(device: torch.device) -> None:
    speakers, mask = dialogues([2], device)
    chain = chain_of(("skip", 1), speakers, mask, scores(3, torch.float32, device))
    with pytest.raises(ValueError, match=r"emissions are \(1, 2, 4\), the chain is for \(1, 2, 3\)"):
        crf.log_partition(torch.zeros(1, 2, 4, device=device), chain)
    with pytest.raises(ValueError, match="expected a floating-point type"):
        crf.viterbi(torch.zeros(1, 2, 3, dtype=torch.long, device=device), chain)
