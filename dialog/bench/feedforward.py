"""`rapport bench feedforward`: the kinds of feed-forward at equal parameters, what they cost and what they learn."""

import time
from typing import Any, get_args

import torch
from torch import Tensor, nn

from dialog.bench.timing import side_by_side, suite
from models.device import Where, choose_device
from models.feedforward import FeedForwardConfig, Kind, build_feedforward

PEER = "mlp"
TASKS = ("smooth", "products")


def measure(
    *,
    d_model: int = 128,
    n_tokens: int = 1024,
    repeats: int = 9,
    steps: int = 300,
    seeds: int = 5,
    device: Where = None,
) -> dict[str, Any]:
    """The object of `rapport bench feedforward --json`.

    A row a kind, in float32: seconds of forward and backward over (1, n_tokens, d_model), with their ratio to the mlp's
    beside it, parameters, and the bytes its forward keeps for backward. `smooth` and `products` are squared errors on
    unseen inputs, relative to the targets' variance, after `steps` steps of a layer 32 wide, means over seeds with
    their standard deviation: the targets are a random mlp with tanh, and products of two random projections each. All
    kinds have the mlp's parameters, to the nearest hidden width.
    """
    where = choose_device(device)
    kinds = get_args(Kind)
    torch.manual_seed(0)
    layers = {kind: _layer(kind, d_model).to(where) for kind in kinds}
    x = torch.randn(1, n_tokens, d_model, device=where, requires_grad=True)
    clock = time.process_time if where.type == "cpu" else time.perf_counter
    seconds = dict(zip(kinds, side_by_side([_training(layers[k], x) for k in kinds], repeats, clock), strict=True))
    rows = []
    for kind in kinds:
        row: dict[str, Any] = {
            "name": kind,
            "seconds": seconds[kind],
            "peer": PEER,
            "peer_seconds": seconds[PEER],
            "ratio": seconds[kind] / seconds[PEER],
            "parameters": sum(p.numel() for p in layers[kind].parameters()),
            "kept_bytes": _kept(layers[kind], x),
        }
        for task in TASKS:
            errors = torch.tensor([_learned(kind, task, seed, steps, where) for seed in range(seeds)])
            row |= {task: float(errors.mean()), f"{task}_deviation": float(errors.std(correction=0))}
        rows.append(row)
    more = {"clock": "processor seconds"} if where.type == "cpu" else {}
    return suite("feedforward", rows, where=where, **more)


def _layer(kind: Kind, d_model: int) -> nn.Module:
    """Of the kind, with as many parameters as an mlp 4 d_model wide, to the nearest hidden width."""
    wanted = 8 * d_model**2 + 5 * d_model
    biases = {"mlp": 1, "activator": 4}.get(kind, 0)  # of each hidden unit: biases of its branches, gain and bias
    matrices = 2 if kind == "mlp" else 3
    width = round((wanted - d_model * (biases > 0)) / (matrices * d_model + biases))
    return build_feedforward(FeedForwardConfig(d_model=d_model, kind=kind, d_hidden=width))


def _training(layer: nn.Module, x: Tensor) -> Any:
    def run() -> None:
        layer.zero_grad(set_to_none=True)
        layer(x).square().mean().backward()

    return run


def _kept(layer: nn.Module, x: Tensor) -> int:
    """Bytes of tensors kept for backward, parameters and the input left out, each once."""
    known = {p.data_ptr() for p in (*layer.parameters(), x)}
    found: dict[int, int] = {}

    def pack(z: Tensor) -> Tensor:
        if z.data_ptr() not in known:
            found[z.untyped_storage().data_ptr()] = z.untyped_storage().nbytes()
        return z

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda z: z):
        y = layer(x)  # alive, so that no storage is used twice
    del y
    return sum(found.values())


def _learned(kind: Kind, task: str, seed: int, steps: int, where: torch.device, d: int = 32) -> float:
    """Squared error on unseen inputs, relative to the targets' variance, after training on fresh ones."""
    random = torch.Generator().manual_seed(seed)
    a, b, c = (torch.randn(d, d, generator=random).to(where) / d**0.5 for _ in range(3))

    def draw(n: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(n, d, generator=random).to(where)
        return x, ((2 * x @ a).tanh() if task == "smooth" else (x @ a) * (x @ b)) @ c

    torch.manual_seed(seed)
    layer = _layer(kind, d).to(where)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        x, y = draw(256)
        optimiser.zero_grad(set_to_none=True)
        (layer(x) - y).square().mean().backward()
        optimiser.step()
        schedule.step()
    x, y = draw(4096)
    with torch.no_grad():
        return float((layer(x) - y).square().mean() / y.var())
