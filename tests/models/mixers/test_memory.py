"""What stands in memory while a mixer reads grows with the tokens, and not with their square."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kernels.attention import blockwise
from models.mixers import MIXERS, build_mixer, pieces

QUICK = {"diffqkv", "gla", "landmark", "recycled"}
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("diffqkv", {"selected_values": 4}),
    ("landmark", {"landmarks": "external"}),
    ("landmark", {"positions": "stingy", "retrieve": 2}),
    ("recycled", {"keep": 6, "stride": 5}),
    ("titans_mal", {"n_persistent": 2}),
]
CASES = [
    *(pytest.param(n, {}, id=n, marks=[] if n in QUICK else pytest.mark.slow) for n in sorted(MIXERS)),
    *(pytest.param(n, fields, id=f"{n} {fields}", marks=pytest.mark.slow) for n, fields in OTHERS),
]


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that any operation answers with."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        sizes = [z.untyped_storage().nbytes() for z in tree_leaves(found) if isinstance(z, Tensor)]
        self.n_bytes = max(self.n_bytes, *sizes, 0)
        return found


class Moved(TorchDispatchMode):
    """Numbers of all tensors that operations answer with; views move none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.numbers += sum(z.numel() for z in tree_leaves(found) if isinstance(z, Tensor))
        return found


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("softmax", {"window": 4}),
        ("liger", {"window": 4}),
        ("routing", {"window": 4, "n_clusters": 2}),
        ("titans", {}),
        ("miras", {}),
        ("memora", {}),
        ("landmark", {"retrieve": 1, "memory": 2}),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_what_is_linear_moves_no_more_than_its_length(
    name: str, fields: dict[str, Any], training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices of a long text cost nothing forwards, and its whole length each backwards."""
    if name == "landmark" and training:
        pytest.skip("training scores all blocks")
    monkeypatch.setattr(blockwise, "BLOCK", 4)
    monkeypatch.setattr(pieces, "TABLE", 2**9)
    mixer = build_mixer(name, d_model=8, n_heads=1, **fields).train(training)
    work = []
    for n_tokens in (48, 192):
        with Moved() as moved, torch.set_grad_enabled(training):
            y, _ = mixer(torch.randn(1, n_tokens, 8))
            if training:
                y.square().sum().backward()
        work.append(moved.numbers)
    assert work[1] <= 4.5 * work[0]


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_the_largest_table_grows_with_the_tokens(
    name: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = (128, 512) if name in QUICK and not fields else (512, 2048)  # attention goes by 256 queries
    monkeypatch.setattr(pieces, "TABLE", 64 * lengths[1])
    sizes: dict[bool, list[int]] = {True: [], False: []}
    for training, found in sizes.items():
        mixer = build_mixer(name, d_model=16, **fields).train(training)
        for n_tokens in lengths:
            x = torch.randn(1, n_tokens, 16)
            ids = torch.randint(3, (1, n_tokens)) if mixer.takes_ids else None
            with Largest() as largest, torch.set_grad_enabled(training):
                y, _ = mixer(x, ids=ids)
                if training:
                    y.square().sum().backward()
            found.append(largest.n_bytes)
    for before, after in sizes.values():
        assert after <= 5 * before  # four times the tokens; their square is sixteen times as much


@pytest.mark.parametrize(("name", "fields"), [("landmark", {}), ("recycled", {}), *OTHERS])
def test_pieces_answer_as_the_whole(name: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    mixer = build_mixer(name, d_model=16, **fields).double()
    x = torch.randn(2, 21, 16, dtype=torch.float64, requires_grad=True)
    mask = torch.arange(21) < torch.tensor([21, 12])[:, None]
    for training in (True, False):
        results = []
        for table in (2**22, 2**10):
            monkeypatch.setattr(pieces, "TABLE", table)
            y, state = mixer.train(training)(x, mask=mask)
            z, _ = mixer(x[:, :9], state=state)
            loss = y.square().sum() + z.square().sum()
            found = torch.autograd.grad(loss, [x, *mixer.parameters()], allow_unused=True)
            results.append([y, z, *(g for g in found if g is not None)])
        for whole, parts in zip(*results, strict=True):
            torch.testing.assert_close(parts, whole)
