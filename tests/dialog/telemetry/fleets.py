"""Small tables and a small model, for tests of what stands on the engine."""

from pathlib import Path

import numpy as np

from tests.dialog.telemetry.test_watcher import build


def save_model(folder: Path) -> Path:
    """An untrained model of `current` and `temperature` in hours that calls more than 20 % more current a failure."""
    build("gru", "ewma", "linear").save(folder)
    return folder


def table_of(units: int = 3, samples: int = 60, *, seed: int = 0) -> str:
    """A csv of `unit,time_h,current,temperature`: the last unit's current climbs to a sixth more."""
    random = np.random.default_rng(seed)
    lines = ["unit,time_h,current,temperature"]
    for unit in range(units):
        climb = np.linspace(0, 0.17, samples) if unit == units - 1 else np.zeros(samples)
        current = 1 + climb + 0.001 * random.normal(size=samples)
        lines += [f"laser {unit},{5 * t},{current[t]:.5f},{25 + random.normal():.3f}" for t in range(samples)]
    return "\n".join(lines) + "\n"
