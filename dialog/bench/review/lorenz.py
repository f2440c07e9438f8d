"""The two-scale Lorenz-96 system: a ring of slow variables, each driven by fast ones that nobody sees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lorenz96:
    """dX_k = X_{k-1} (X_{k+1} - X_{k-2}) - X_k + F - (h c / b) sum_j Y_jk,
    dY_j = c b Y_{j+1} (Y_{j-1} - Y_{j+2}) - c Y_j + (h c / b) X_k,

    the Y in one ring (Lorenz 1996). The states' rows are systems that know nothing of each other.
    """

    n_slow: int = 8
    n_fast: int = 10
    """Of each slow one."""
    F: float = 10.0
    h: float = 1.0
    b: float = 10.0
    c: float = 10.0
    dt: float = 0.005
    """Of a step of the fourth-order Runge-Kutta method."""

    @property
    def n_seen(self) -> int:
        """The slow ones."""
        return self.n_slow

    def slope(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """(n, n_slow) and (n, n_slow n_fast)."""
        coupling = self.h * self.c / self.b
        fast = y.reshape(len(y), self.n_slow, self.n_fast).sum(2)
        dx = _at(x, -1) * (_at(x, 1) - _at(x, -2)) - x + self.F - coupling * fast
        dy = self.c * self.b * _at(y, 1) * (_at(y, -1) - _at(y, 2)) - self.c * y
        return dx, dy + coupling * x.repeat(self.n_fast, 1)

    def step(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        dt = self.dt
        x1, y1 = self.slope(x, y)
        x2, y2 = self.slope(x + dt / 2 * x1, y + dt / 2 * y1)
        x3, y3 = self.slope(x + dt / 2 * x2, y + dt / 2 * y2)
        x4, y4 = self.slope(x + dt * x3, y + dt * y3)
        return x + dt / 6 * (x1 + 2 * x2 + 2 * x3 + x4), y + dt / 6 * (y1 + 2 * y2 + 2 * y3 + y4)

    def series(self, n: int, n_samples: int, every: int, seed: int, settle: int = 1_000) -> Floats:
        """(n, n_samples, n_slow): the slow variables every so many steps, after `settle` steps from a random start."""
        random = np.random.Generator(np.random.PCG64(seed))
        x = self.F * random.random((n, self.n_slow))
        y = 0.1 * random.standard_normal((n, self.n_slow * self.n_fast))
        for _ in range(settle):
            x, y = self.step(x, y)
        seen = []
        for _ in range(n_samples):
            seen.append(x)
            for _ in range(every):
                x, y = self.step(x, y)
        return np.stack(seen, 1)


def _at(z: Floats, offset: int) -> Floats:
    """z_{k + offset} around the ring."""
    return np.roll(z, -offset, 1)
