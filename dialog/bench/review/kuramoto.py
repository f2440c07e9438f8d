"""The Kuramoto-Sivashinsky equation, waves on a ring that never settle: chaos in space and time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Modes = NDArray[np.complex128]


class Coefficients(NamedTuple):
    """Of a step, by mode: (n_grid / 2 + 1,) each."""

    whole: Floats  # exp(L dt)
    half: Floats  # exp(L dt / 2)
    middle: Floats  # of a half step's slope
    first: Floats
    second: Floats
    last: Floats


@dataclass(frozen=True, kw_only=True)
class KuramotoSivashinsky:
    """u_t = -u u_x - u_xx - u_xxxx on a ring of that length, by Fourier modes in float64.

    Steps are ETDRK4's (Cox and Matthews 2002): the stiff linear part exactly, the rest to fourth order, with its
    coefficients as means over a circle in the complex plane, since their formulas cancel near 0 (Kassam and Trefethen
    2005). `n_seen` equally spaced points are observed. The states' rows are systems that know nothing of each other.
    """

    length: float = 22.0
    """Of the small system, whose neighbours part by e in about 21; 200 is the hard one, on 512 points."""
    n_grid: int = 64
    n_seen: int = 8
    dt: float = 0.25

    def __post_init__(self) -> None:
        if self.n_grid % 2 or self.n_seen < 1 or self.n_grid % self.n_seen:
            raise ValueError(f"n_grid {self.n_grid} must be even and a multiple of n_seen {self.n_seen}")

    @cached_property
    def wave(self) -> Floats:
        """Wave numbers, (n_grid / 2 + 1,)."""
        waves: Floats = np.arange(self.n_grid // 2 + 1) * np.float64(2 * np.pi / self.length)
        return waves

    @cached_property
    def coefficients(self) -> Coefficients:
        linear = self.dt * (self.wave**2 - self.wave**4)
        circle = np.exp(1j * np.pi * (np.arange(32) + 0.5) / 32)  # its lower half is the conjugate, and L is real
        z = linear[:, None] + circle
        e = np.exp(z)

        def mean(values: Modes) -> Floats:
            real: Floats = self.dt * values.mean(1).real
            return real

        return Coefficients(
            whole=np.exp(linear),
            half=np.exp(linear / 2),
            middle=mean((np.exp(z / 2) - 1) / z),
            first=mean((-4 - z + e * (4 - 3 * z + z**2)) / z**3),
            second=2 * mean((2 + z + e * (z - 2)) / z**3),
            last=mean((-4 - 3 * z - z**2 + e * (4 - z)) / z**3),
        )

    def slope(self, v: Modes) -> Modes:
        """The modes of -u u_x = -(u^2 / 2)_x, of the modes v (n, n_grid / 2 + 1) of u."""
        wave = np.where(np.arange(len(self.wave)) < self.n_grid // 2, self.wave, 0.0)  # the last mode has no derivative
        squares: Modes = np.fft.rfft(np.fft.irfft(v, self.n_grid) ** 2)
        return -0.5j * wave * squares

    def step(self, u: Floats) -> Floats:
        """dt on, u (n, n_grid)."""
        c, v = self.coefficients, np.fft.rfft(u)
        at_v = self.slope(v)
        a = c.half * v + c.middle * at_v
        at_a = self.slope(a)
        at_b = self.slope(c.half * v + c.middle * at_a)
        at_c = self.slope(c.half * a + c.middle * (2 * at_b - at_v))
        after = c.whole * v + c.first * at_v + c.second * (at_a + at_b) + c.last * at_c
        return np.fft.irfft(after, self.n_grid)

    def series(self, n: int, n_samples: int, every: int, seed: int, settle: int = 1_000) -> Floats:
        """(n, n_samples, n_seen): the points seen every so many steps, after `settle` steps from small waves."""
        random = np.random.Generator(np.random.PCG64(seed))
        u = np.fft.irfft(np.fft.rfft(random.standard_normal((n, self.n_grid))) * (self.wave < 2), self.n_grid)
        u = u - u.mean(1, keepdims=True)  # which the equation keeps
        for _ in range(settle):
            u = self.step(u)
        seen = []
        for _ in range(n_samples):
            seen.append(u[:, :: self.n_grid // self.n_seen])
            for _ in range(every):
                u = self.step(u)
        return np.stack(seen, 1)


def exponent(step: Callable[[Floats], Floats], u: Floats, n_steps: int, dt: float) -> float:
    """The largest Lyapunov exponent of a flow, per unit of time: how fast neighbours part, the mean over u (n, N).

    Neighbours 1e-7 apart are followed, and brought as near again after every step (Benettin et al. 1980). u should
    stand on the attractor; a tenth of the steps is not counted, while the neighbours turn to where they part fastest.
    """
    near, grown = 1e-7, []
    other = u + near * _unit(np.random.Generator(np.random.PCG64(0)).standard_normal(u.shape))
    for _ in range(n_steps):
        u, other = step(u), step(other)
        apart = other - u
        grown.append(np.log(np.linalg.norm(apart, axis=1) / near))
        other = u + near * _unit(apart)
    return float(np.mean(grown[n_steps // 10 :]) / dt)


def _unit(z: Floats) -> Floats:
    length: Floats = np.linalg.norm(z, axis=1, keepdims=True)
    return z / length
