"""The training loop: AdamW, linear warm-up and decay, clipping, and a checkpoint from which a killed run goes on.

Matrices may be given to Muon instead (Jordan et al. 2024): their momentum, made orthogonal, is the step.

Every step draws its randomness from (seed, step), so a run resumed at step k continues as if it had never stopped.
Checkpoints are safetensors and JSON, written beside and then renamed, so a kill while writing loses nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from models.tensors import read_file, read_note, write_file

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How long, how fast."""

    steps: int
    lr: float
    """The peak, for pre-trained weights."""
    lr_new: float
    """The peak, for weights that start from nothing."""
    warm_up: float = 0.06
    """The share of the steps in which the rate rises to its peak; then it falls in a line to a fiftieth."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """The largest L2 norm of the gradient."""
    save_every: int = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """What the caller is told after a step; the loss is a running mean."""

    step: int
    steps: int
    loss: float


def run(
    module: nn.Module,
    new: Sequence[nn.Parameter],
    loss_at: Callable[[int], Tensor],
    schedule: Schedule,
    folder: Path,
    seed: int,
    report: Callable[[Progress], None] | None = None,
    *,
    matrices: Sequence[nn.Parameter] = (),
) -> None:
    """Trains `module` in place on `loss_at(step)`; `new` are those of its parameters that take `lr_new`, `matrices`
    those that Muon trains, at `lr`, with steps as large as AdamW's are on average.

    A checkpoint in `folder` made with the same schedule and seed is gone on from; one made otherwise is an error. The
    last one stays, so that a stop while the weights are calibrated costs no training, until `finish`.
    """
    fresh, whole = {id(p) for p in new}, {id(p) for p in matrices}
    trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for _, p in trained if id(p) not in fresh | whole], "lr": schedule.lr},
        {"params": [p for _, p in trained if id(p) in fresh], "lr": schedule.lr_new},
    ]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, weight_decay=schedule.weight_decay, fused=True)
    ]
    if matrices:
        optimisers.append(
            torch.optim.Muon(
                [p for _, p in trained if id(p) in whole],
                lr=schedule.lr,
                weight_decay=schedule.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    peaks = [
        (group, peak)
        for optimiser in optimisers
        for group, peak in zip(optimiser.param_groups, (schedule.lr, schedule.lr_new), strict=False)
    ]
    start, mean = _resume(folder, module, trained, optimisers, schedule, seed)
    for step in range(start, schedule.steps):
        torch.manual_seed(seed * 1_000_003 + step)
        loss = loss_at(step)
        if not bool(loss.isfinite()):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step}; the last checkpoint is in {folder}")
        loss.backward()
        nn.utils.clip_grad_norm_([p for _, p in trained], schedule.clip)
        for group, peak in peaks:
            group["lr"] = peak * _rate(step, schedule)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if (step + 1) % schedule.save_every == 0 or step + 1 == schedule.steps:
            _save(folder, module, trained, optimisers, schedule, seed, step + 1, mean)
        if report:
            report(Progress(step + 1, schedule.steps, mean))


_KEPT = {"m": "exp_avg", "v": "exp_avg_sq", "u": "momentum_buffer"}
"""What is kept of an optimiser's state, and what it calls it."""


def finish(folder: Path) -> None:
    """Removes the checkpoint, once everything made from the trained weights is written."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _rate(step: int, schedule: Schedule) -> float:
    warm = max(1, round(schedule.warm_up * schedule.steps))
    return min((step + 1) / warm, max(0.02, 1 - step / max(1, schedule.steps)))


def _save(
    folder: Path,
    module: nn.Module,
    trained: Sequence[tuple[str, nn.Parameter]],
    optimisers: Sequence[torch.optim.Optimizer],
    schedule: Schedule,
    seed: int,
    step: int,
    mean: float,
) -> None:
    # Buffers are what a run gathers beside its gradients: running means of activations and of weights.
    tensors: dict[str, Tensor] = {f"b.{name}": b for name, b in module.named_buffers()}
    for name, p in trained:
        tensors[f"p.{name}"] = p.detach()
        for optimiser in optimisers:
            # Nothing is kept of a parameter that no loss has reached.
            state = optimiser.state.get(p, {})
            tensors |= {f"{short}.{name}": state[long] for short, long in _KEPT.items() if long in state}
    note = {"schedule": asdict(schedule), "seed": seed, "step": step, "loss": mean}
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / CHECKPOINT, tensors, note)


def _resume(
    folder: Path,
    module: nn.Module,
    trained: Sequence[tuple[str, nn.Parameter]],
    optimisers: Sequence[torch.optim.Optimizer],
    schedule: Schedule,
    seed: int,
) -> tuple[int, float | None]:
    path = folder / CHECKPOINT
    if not path.is_file():
        return 0, None
    note = read_note(path)
    if (note["schedule"], note["seed"]) != (asdict(schedule), seed):
        raise ValueError(
            f"{path} belongs to another run (seed {note['seed']}, {note['schedule']}); remove it, or choose another"
        )
    tensors = read_file(path)
    with torch.no_grad():
        for name, b in module.named_buffers():
            if f"b.{name}" in tensors:
                b.copy_(tensors[f"b.{name}"])
        for name, p in trained:
            p.copy_(tensors[f"p.{name}"])
            # The fused optimiser walks p's memory: the moments must lie as p does, and the count where p is.
            kept = {
                long: torch.empty_like(p).copy_(tensors[f"{short}.{name}"])
                for short, long in _KEPT.items()
                if f"{short}.{name}" in tensors
            }
            if "momentum_buffer" in kept:
                optimisers[-1].state[p] = kept
            elif kept:
                optimisers[0].state[p] = {"step": torch.tensor(float(note["step"]), device=p.device), **kept}
    return int(note["step"]), float(note["loss"])
