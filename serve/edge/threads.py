"""How many cores a replica computes on."""

import os


def use_threads(threads: int | None) -> None:
    """Ray gives a replica with a fraction of a core one thread; the models want what the machine has."""
    import torch

    torch.set_num_threads(threads or os.cpu_count() or 1)
