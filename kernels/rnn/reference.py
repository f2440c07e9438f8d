"""What the recurrences mean, written to be read."""

import torch
from torch import Tensor


def dialog_gru(
    gates: Tensor,
    w_contagion: Tensor,
    b_contagion: Tensor,
    w_inertia: Tensor,
    b_inertia: Tensor,
    source: Tensor,
    p_inertia: Tensor,
    p_contagion: Tensor,
    memory: Tensor,
    lengths: Tensor,
) -> Tensor:
    """h (B, T, H) of one DialogGRU layer, zero at padding   (EmotionIC, DialogGRU cell).

    r = sigm(x_r + W_r hC + b_r)                  gate on contagion
    s = sigm(x_s + W_s hI + b_s)                  gate on inertia
    z = sigm(x_z + W_cz hC + b_cz + W_sz hI + b_sz)
    n = tanh(x_n + r (W_cn hC + b_cn) + s (W_sn hI + b_sn))
    h = (1 - z) n + z hI                          only the inertia state is carried

    gates (B, T, 4H), the input's share, in the order r z s n; w_contagion (3H, H) in the order r z n;
    w_inertia (3H, H) in the order z s n; memory (B, M, H), states of earlier utterances, the latest one last.
    hI is cat([memory, h], 1)[source] times p_inertia, and hC the previous state times p_contagion, all three (B, T);
    a weight of 0 is no link. lengths (B,): real steps per row.
    """
    n_slots, n_hidden = memory.shape[1:]
    rows = []
    for b, length in enumerate(lengths.tolist()):
        states = list(memory[b])
        for t in range(length):
            h_inertia = p_inertia[b, t] * states[int(source[b, t])]
            h_contagion = p_contagion[b, t] * states[-1]
            x_r, x_z, x_s, x_n = gates[b, t].chunk(4)
            c_r, c_z, c_n = (w_contagion @ h_contagion + b_contagion).chunk(3)
            i_z, i_s, i_n = (w_inertia @ h_inertia + b_inertia).chunk(3)
            r, z, s = (x_r + c_r).sigmoid(), (x_z + c_z + i_z).sigmoid(), (x_s + i_s).sigmoid()
            n = (x_n + r * c_n + s * i_n).tanh()
            states.append((1 - z) * n + z * h_inertia)
        padding = gates.new_zeros(gates.shape[1] - length, n_hidden)
        rows.append(torch.cat([*(h[None] for h in states[n_slots:]), padding]))
    return torch.stack(rows)


def gru(u: Tensor, recurrent: Tensor, bias: Tensor | None, start: Tensor) -> Tensor:
    """r, z = sigm(u_rz + R_rz h);  h' = (1 - z) n + z h   (Cho et al. 2014, with PyTorch's sign of z), and

    n = tanh(u_n + r (R_n h + bias)), or n = tanh(u_n + R_n (r h)) where there is no bias. Shapes as in cells.py.
    """
    h, outputs = start, []
    for u_t in u.unbind(-2):
        u_r, u_z, u_n = u_t.chunk(3, -1)
        w_r, w_z, w_n = recurrent.mT.chunk(3, -1)
        r, z = (u_r + h @ w_r).sigmoid(), (u_z + h @ w_z).sigmoid()
        heard = (r * h) @ w_n if bias is None else r * (h @ w_n + bias.unsqueeze(-2))
        h = (1 - z) * (u_n + heard).tanh() + z * h
        outputs.append(h)
    return torch.stack(outputs, -2) if outputs else u[..., : start.shape[-1]]


def highway(u: Tensor, recurrent: Tensor, biases: Tensor, start: Tensor) -> Tensor:
    """s_0 = h; s_l = t_l a_l + c_l s_{l-1}; h' = s_L   (Zilly et al. 2017, eqs. 6 to 9), and

    a_l = tanh(R_al s + b_al), t_l = sigm(R_tl s + b_tl), c_l = 1 - t_l, or sigm(R_cl s + b_cl) where there is a third
    part; in the first layer u_t is b.
    """
    s, outputs = start, []
    for u_t in u.unbind(1):
        for weight, b in zip(recurrent, [u_t, *biases], strict=True):
            a, t, *c = (s @ weight.mT + b).chunk(weight.shape[0] // start.shape[-1], -1)
            s = t.sigmoid() * a.tanh() + (c[0].sigmoid() if c else 1 - t.sigmoid()) * s
        outputs.append(s)
    return torch.stack(outputs, 1) if outputs else u[..., : start.shape[-1]]


def elman(u: Tensor, recurrent: Tensor, start: Tensor) -> Tensor:
    """h' = tanh(u + R h)   (Elman 1990)."""
    h, outputs = start, []
    for u_t in u.unbind(-2):
        h = (u_t + h @ recurrent.mT).tanh()
        outputs.append(h)
    return torch.stack(outputs, -2) if outputs else u
