"""The table of tiles: what is in it is used on the device it was made for, and no choice changes an answer."""

import json
from pathlib import Path

import pytest
import torch

from kernels import tiles
from kernels.attention import Pattern, Structure, attention
from kernels.tiles import TABLE, Tile, table, tile, trying

CHOICE = Tile(queries=32, keys=16, warps=2, stages=1, loops=1)
ONCE = CHOICE._replace(passes=1)
OTHERS = Structure(ids=torch.arange(37)[None] % 3, k_other=torch.ones(1, 1, 37, 5))


def test_the_table_is_used_where_the_device_and_the_dtype_match(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "table", lambda: {"op": {"9.0": {"bfloat16": {"64": CHOICE._asdict()}}}})
    x = torch.zeros(1, dtype=torch.bfloat16)
    assert tile("op", x, 64) is None, "this is no GPU"
    monkeypatch.setattr(tiles, "capability", lambda x: "9.0")
    assert tile("op", x, 64) == CHOICE
    assert tile("op", x, 40) == CHOICE, "narrower heads are as wide once padded"
    assert tile("op", x, 65) is None
    assert tile("op", x.float(), 64) is None
    assert tile("another", x, 64) is None
    monkeypatch.setattr(tiles, "capability", lambda x: "8.0")
    assert tile("op", x, 64) is None


def test_the_table_that_is_shipped_can_be_read_and_is_for_what_kernels_ask() -> None:
    told = table(TABLE)
    assert set(told) == {"attention.forward", "attention.backward"}
    for by_capability in told.values():
        assert "9.0" in by_capability


@pytest.mark.parametrize(
    "choice", [{"queries": 64}, {**CHOICE._asdict(), "warps": 0}, {**CHOICE._asdict(), "keys": "64"}]
)
def test_a_table_that_says_something_else_is_refused(tmp_path: Path, choice: dict[str, object]) -> None:
    file = tmp_path / "tiles.json"
    file.write_text(json.dumps({"op": {"9.0": {"float32": {"64": choice}}}}))
    with pytest.raises(ValueError, match=r"float32, 64 wide has .* expected whole numbers above 0 of queries, keys"):
        table(file)


@pytest.mark.parametrize(
    ("pattern", "structure", "choice"),
    [
        (Pattern(), Structure(), CHOICE),
        (Pattern(window=9, causal=False), Structure(end=torch.tensor([33])), CHOICE._replace(queries=16, keys=32)),
        (Pattern(kind="sigmoid"), Structure(offset=torch.full((1, 1, 1), -1.0)), CHOICE._replace(loops=2)),
        (Pattern(), Structure(), ONCE),
        (Pattern(window=9, causal=False), Structure(end=torch.tensor([33])), ONCE._replace(keys=32)),
        (
            Pattern(),
            Structure(ids=torch.arange(37)[None] % 3, k_other=torch.randn(1, 1, 37, 5)),
            CHOICE._replace(passes=1),
        ),
    ],
    ids=["causal", "a window over a padded row", "sigmoid", "one pass", "one pass in a window", "one pass, other keys"],
)
def test_no_choice_changes_an_answer(
    pattern: Pattern, structure: Structure, choice: Tile, device: torch.device
) -> None:
    pytest.importorskip("triton")
    leaves = [torch.randn(1, 1, 37, 5, device=device, requires_grad=True) for _ in range(3)]
    structure = Structure(*(None if z is None else z.to(device) for z in structure))
    with trying(choice):
        o = attention(*leaves, pattern, structure, backend="triton")
        found = torch.autograd.grad(o.square().sum(), leaves)
    expected = attention(*leaves, pattern, structure, backend="reference")
    torch.testing.assert_close(o, expected, atol=1e-4, rtol=1e-4)
    for ours, true in zip(found, torch.autograd.grad(expected.square().sum(), leaves), strict=True):
        torch.testing.assert_close(ours, true, atol=1e-4, rtol=1e-4)


def test_one_pass_is_taken_where_the_table_says_so_and_nobody_asks_for_the_same_bits() -> None:
    from kernels.attention.triton_kernel import _one_pass

    nothing = dict.fromkeys(("relative", "bias", "offset"), False)
    assert not _one_pass(CHOICE, nothing)
    assert _one_pass(ONCE, nothing)
    assert not _one_pass(ONCE, nothing | {"bias": True})
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")
    try:
        assert not _one_pass(ONCE, nothing)
    finally:
        torch.set_deterministic_debug_mode(before)
