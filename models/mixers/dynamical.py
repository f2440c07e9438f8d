"""A mixer as a linear system whose matrices change with every token, to be looked at and compared."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class DynamicalSystem:
    """h_t = A_t h_{t-1} + B_t u_t,  y_t = C_t h_t + D_t u_t,  h before the first token 0

    (the Dynamical Systems Framework, Sieber et al. 2024): y reads the updated state. u_t is the mixer's input x_t, with
    a 1 behind it where the mixer has biases. Dense, T N D numbers a row: for tests and analysis of short sequences.
    """

    A: Tensor  # (B, T, N) where it is diagonal, else (B, T, N, N)
    B: Tensor  # (B, T, N, D) or (B, T, N, D + 1)
    C: Tensor  # (B, T, D, N)
    D: Tensor  # (B, T, D, D) or (B, T, D, D + 1)
    given: Literal["input", "trajectory"] = "input"
    """What the matrices are made of: the input alone; or states as well, as where a norm divides by the state's length.
    Then the system still answers what the mixer does, but its matrices are not the mixer's derivatives."""

    def inputs(self, x: Tensor) -> Tensor:
        """u of x (B, T, D)."""
        return x if self.B.shape[-1] == x.shape[-1] else nn.functional.pad(x, (0, 1), value=1.0)

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y (B, T, D), and the states (B, T, N)."""
        u = self.inputs(x)
        h, states = self.A.new_zeros(len(x), self.B.shape[2]), []
        for t in range(x.shape[1]):
            A = self.A[:, t]
            h = (A * h if A.dim() == 2 else (A @ h[..., None])[..., 0]) + (self.B[:, t] @ u[:, t, :, None])[..., 0]
            states.append(h)
        h = torch.stack(states, 1) if states else self.A.new_zeros(len(x), 0, self.B.shape[2])
        return (self.C @ h[..., None] + self.D @ u[..., None])[..., 0], h

    def kernel(self) -> Tensor:
        """Phi (B, T, T, D, D): y_i = sum_{j<=i} Phi_ij u_j, Phi_ij = C_i A_i .. A_{j+1} B_j, with D_i where j = i."""
        batch, n_tokens, n, d_in = self.B.shape
        phi = self.A.new_zeros(batch, n_tokens, n_tokens, self.C.shape[2], d_in)
        reached = self.A.new_zeros(batch, n_tokens, n, d_in)  # what is left of each B_j at token i
        for i in range(n_tokens):
            A = self.A[:, i, None]
            reached = A[..., None] * reached if A.dim() == 3 else A @ reached
            reached = torch.cat([reached[:, :i], self.B[:, i : i + 1], reached[:, i + 1 :]], 1)
            phi[:, i] = self.C[:, i, None] @ reached
            phi[:, i, i] += self.D[:, i]
        return phi


def associative(decay: Tensor, psi: Tensor, phi: Tensor, value: Tensor) -> DynamicalSystem:
    """The system of a matrix a head that decays, takes in psi (x) value u and is asked with phi; y is (B, T, H d).

    decay (B, T, G, n), or (B, T, G, n, n) for a transition that is not diagonal; psi (B, T, G, J, n), J writings a
    token; phi (B, T, H, n), H / G query heads a state; value (G, J, d, D'). N = G n d.
    """
    batch, n_tokens, groups, _, n = psi.shape
    d, eye = value.shape[2], torch.eye(value.shape[2], dtype=psi.dtype, device=psi.device)
    if decay.dim() == 4:
        A = decay.repeat_interleave(d, -1).flatten(2)
    else:
        head = torch.einsum("btgnm,de->btgndme", decay, eye).flatten(5, 6).flatten(3, 4)  # (B, T, G, n d, n d)
        A = head.new_zeros(batch, n_tokens, groups, n * d, groups, n * d)
        for g in range(groups):
            A[:, :, g, :, g] = head[:, :, g]
        A = A.flatten(4, 5).flatten(2, 3)
    B = torch.einsum("btgjn,gjdu->btgndu", psi, value).flatten(2, 4)
    return DynamicalSystem(A, B, asking(phi, groups, eye), B.new_zeros(batch, n_tokens, phi.shape[2] * d, B.shape[-1]))


def remembering(weights: Tensor, value: Tensor) -> DynamicalSystem:
    """The system of attention weights (B, H, T, T) over every token's values, (G, d, D') times u; y is (B, T, H d).

    No finite state holds them: N = T G d, and grows.
    """
    batch, _, n_tokens, _ = weights.shape
    groups, d, width = value.shape
    eye = torch.eye(n_tokens, dtype=weights.dtype, device=weights.device)
    B = torch.einsum("ts,gdu->tgsdu", eye, value).flatten(1, 3).expand(batch, -1, -1, -1)
    same = torch.eye(d, dtype=weights.dtype, device=weights.device)
    C = asking(weights.transpose(1, 2), groups, same)
    return DynamicalSystem(torch.ones_like(B[..., 0]), B, C, B.new_zeros(batch, n_tokens, C.shape[2], width))


def every_value(x: Tensor, n_heads: int) -> Tensor:
    """(B, T, H, T): values whose average is the weights that it was made with."""
    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return eye[:, None].expand(len(x), -1, n_heads, -1)


def added(first: DynamicalSystem, second: DynamicalSystem) -> DynamicalSystem:
    """Two systems with diagonal transitions beside each other, whose answers are added."""
    A, B = torch.cat([first.A, second.A], -1), torch.cat([first.B, second.B], 2)
    return DynamicalSystem(A, B, torch.cat([first.C, second.C], -1), first.D + second.D)


def asking(phi: Tensor, groups: int, eye: Tensor) -> Tensor:
    """C (B, T, H d, G n d) of queries phi (B, T, H, n)."""
    heads = phi.shape[2]
    mine = torch.eye(groups, dtype=phi.dtype, device=phi.device).repeat_interleave(heads // groups, 0)  # (H, G)
    return torch.einsum("bthn,hg,de->bthdgne", phi, mine, eye).flatten(4, 6).flatten(2, 3)


def finished(
    system: DynamicalSystem,
    x: Tensor,
    heads: int,
    out: nn.Linear,
    norm: nn.Module | None = None,
    gate: Tensor | None = None,
) -> DynamicalSystem:
    """A system whose heads' answers pass a norm, a gate (B, T, H, d or 1) and the last projection.

    The norm's divisor is taken as it comes out for x: the system is then one along a trajectory.
    """
    last = out.weight.unflatten(1, (heads, -1)).expand(*x.shape[:2], -1, -1, -1)  # (B, T, D, H, d)
    last = last if gate is None else last * gate[:, :, None]
    constant, given = None, system.given
    if norm is not None and not isinstance(norm, nn.Identity):
        M, c = as_map(norm, system.run(x)[0].unflatten(-1, (heads, -1)))
        constant = None if c is None else torch.einsum("btyhd,d->bty", last, c)
        last, given = torch.einsum("btyhd,bthde->btyhe", last, M), "trajectory"
    if out.bias is not None:
        constant = out.bias + (0.0 if constant is None else constant)
    last = last.flatten(3)
    B, D = system.B, last @ system.D
    if constant is not None:
        if B.shape[-1] == x.shape[-1]:
            B, D = nn.functional.pad(B, (0, 1)), nn.functional.pad(D, (0, 1))
        D = torch.cat([D[..., :-1], D[..., -1:] + constant[..., None]], -1)
    return DynamicalSystem(system.A, B, last @ system.C, D, given)


class Length(nn.Module):
    """o / |o|, as `as_map` knows it."""


def as_map(norm: nn.Module, o: Tensor) -> tuple[Tensor, Tensor | None]:
    """norm(o) = M o + c with M (..., V, V), whose divisor is taken as it came out for o (..., V), and c (V,) or
    None."""
    eye = torch.eye(o.shape[-1], dtype=o.dtype, device=o.device)
    if isinstance(norm, Length):
        return eye / o.norm(dim=-1).clamp_min(1e-12)[..., None, None], None
    if not isinstance(norm, nn.LayerNorm | nn.RMSNorm):
        raise ValueError(f"{type(norm).__name__} is no norm that is known as a map")
    centre = eye - 1 / o.shape[-1] if isinstance(norm, nn.LayerNorm) else eye
    scale = ((o @ centre).square().mean(-1, keepdim=True) + (norm.eps or 0.0)).rsqrt()
    return norm.weight[:, None] * centre * scale[..., None], norm.bias if isinstance(norm, nn.LayerNorm) else None
