"""Which mixers are dynamical systems, and with which matrices."""

from functools import singledispatch
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.attention import Pattern, Structure, attention
from kernels.ridge.chunked import solve
from kernels.taylor.features import features
from models.mixers import regressors
from models.mixers.aaren import Aaren
from models.mixers.attention import AttentionMixer
from models.mixers.dynamical import DynamicalSystem, Length, associative, finished, remembering
from models.mixers.gla import GLA
from models.mixers.min_rnn import MinRNN
from models.mixers.regression import Regression
from models.mixers.short_conv import GatedConv
from models.mixers.softmax_rnn import SoftmaxRNN
from models.positions import rotary


@singledispatch
def system_of(mixer: Any, x: Tensor) -> DynamicalSystem:
    """`SequenceMixer.as_dynamical_system`."""
    raise ValueError(f"{type(mixer).__name__} is no linear system in its inputs with matrices we know")


@system_of.register
def _(mixer: GLA, x: Tensor) -> DynamicalSystem:
    c = mixer.config
    if c.conv_width is not None:
        raise ValueError("GLA with a convolution puts its values through SiLU, and is no linear system in its inputs")
    q, k = mixer.query(x).unflatten(-1, (c.n_heads, -1)), mixer.key(x).unflatten(-1, (c.kv_heads, -1))
    decay = mixer.log_gate(x).exp().expand_as(k)
    gate = F.silu(mixer.output_gate(x)).unflatten(-1, (c.n_heads, -1))
    value = mixer.value.weight.unflatten(0, (c.kv_heads, 1, -1))
    system = associative(decay, k[..., None, :], q * c.d_key**-0.5, value)
    return finished(system, x, c.n_heads, mixer.out, mixer.norm, gate)


@system_of.register
def _(mixer: Aaren, x: Tensor) -> DynamicalSystem:
    """What is kept of the mean is the old weights' share: the normaliser stands in A and B."""
    heads = mixer.config.n_heads
    query = mixer.w_query(mixer.query) if mixer.config.keep_wq else mixer.query
    keys = mixer.w_key(x).unflatten(-1, (heads, -1))
    scores = (keys * query.view(heads, -1)).sum(-1) * mixer.scale  # (B, T, H)
    log_sum = scores.logcumsumexp(1)
    before = F.pad(log_sum[:, :-1], (0, 0, 1, 0), value=-torch.inf)
    decay, psi = (before - log_sum).exp(), (scores - log_sum).exp()
    value = mixer.w_value.weight.unflatten(0, (heads, 1, -1))
    system = associative(decay[..., None], psi[..., None, None], torch.ones_like(psi)[..., None], value)
    return finished(system, x, heads, mixer.out)


@system_of.register
def _(mixer: SoftmaxRNN, x: Tensor) -> DynamicalSystem:
    """The normaliser stands in C."""
    c = mixer.config
    q, k, _ = (z.unflatten(-1, (c.n_heads, -1)) for z in mixer.project(x).split(mixer.widths, -1))
    q, k = (F.normalize(q, dim=-1) * c.cosine, F.normalize(k, dim=-1)) if c.cosine else (q * c.d_key**-0.5, k)
    if c.rotary:
        places = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
        q, k = rotary(q, places, c.rotary_base), rotary(k, places, c.rotary_base)
    phi, psi = (features(z, c.order, mixer.lowest) for z in (q, k))
    if c.normaliser == "row_sum":
        phi = phi / (phi * psi.cumsum(1)).sum(-1, keepdim=True)
    elif c.normaliser == "count":
        phi = phi / torch.arange(1, x.shape[1] + 1, device=x.device)[:, None, None]
    gate = mixer.gate(x).sigmoid()[..., None] if c.gate != "none" else None
    psi = psi * gate if gate is not None and c.gate == "in" else psi
    value = mixer.project.weight[-c.d_model :].unflatten(0, (c.n_heads, 1, -1))
    norm = {"l2": Length(), "rms": mixer.norm, "layer": mixer.norm}.get(c.normaliser)
    system = associative(torch.ones_like(psi), psi[..., None, :], phi, value)
    return finished(system, x, c.n_heads, mixer.out, norm, gate if c.gate == "out" else None)


@system_of.register
def _(mixer: Regression, x: Tensor) -> DynamicalSystem:
    c, fitted = mixer.config, mixer.regressor
    k = mixer.key(x)
    if mixer.conv is not None:
        k, _ = mixer.conv(k, None, None)
    q, k = (z.unflatten(-1, (-1, c.d_head)) for z in (mixer.query(x), k))
    if c.qk_norm == "l2":
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    elif c.qk_norm == "rms":
        q, k = mixer.q_norm(q), mixer.k_norm(k)
    if c.positions == "rotary":
        places = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
        q, k = rotary(q, places), rotary(k, places)
    value = mixer.value.weight.unflatten(0, (c.n_heads, c.n_steps, -1))
    if isinstance(fitted, regressors.Cached):
        identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device).expand(len(x), c.n_heads, -1, -1)
        start = torch.zeros(len(x), dtype=torch.long, device=x.device)
        weights = fitted.answer(q.transpose(1, 2), k.transpose(1, 2), identity, start)
        return finished(remembering(weights, value[:, 0]), x, c.n_heads, mixer.out, mixer.norm)
    if c.regressor == "mlp":
        raise ValueError("Regression by a network is no linear system in its inputs")
    q, k = fitted.phi(q), fitted.phi(k)
    keep = fitted.keep(x).sigmoid()[..., None] if c.weights == "decay" else torch.ones_like(q[..., :1])  # (B, T, H, 1)
    if isinstance(fitted, regressors.Descent):
        k = k.unflatten(2, (-1, c.n_steps))  # (B, T, H, J, K)
        step = c.max_step * fitted.step(x).sigmoid().unflatten(-1, (-1, c.n_steps))[..., None]
        if c.solver == "implicit":
            step = step / (1 + step * k.square().sum(-1, keepdim=True))
        eye = torch.eye(c.d_head, dtype=x.dtype, device=x.device)
        A, psi = keep[..., None] * eye, torch.zeros_like(k)
        for j in range(c.n_steps):
            k_j = k[..., j, :, None]
            turn = eye - step[..., j, None, :] * k_j @ k_j.mT
            A = turn @ A
            psi = (turn @ psi.mT).mT + F.one_hot(torch.tensor(j), c.n_steps)[:, None] * step * k
        return finished(associative(A, psi, q, value), x, c.n_heads, mixer.out, mixer.norm)
    if isinstance(fitted, regressors.Ridge):
        weight = fitted.weight(x).sigmoid()
        ridge = regressors.LEAST_RIDGE + F.softplus(fitted.ridge)
        S = x.new_zeros(len(x), c.n_heads, c.d_head, c.d_head)
        q, k_ = q.transpose(1, 2), k.transpose(1, 2)
        log_f = keep[..., 0].transpose(1, 2).log()
        q = solve(q, k_, log_f, weight.transpose(1, 2), ridge, S).transpose(1, 2)
        k = k * weight[..., None]
    system = associative(keep.expand_as(k), k[..., None, :], q, value)
    return finished(system, x, c.n_heads, mixer.out, mixer.norm)


@system_of.register
def _(mixer: AttentionMixer, x: Tensor) -> DynamicalSystem:
    """No finite state holds it: the state is every token's values, and N grows with T."""
    c = mixer.config
    places = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
    answers = x.unflatten(-1, (1, -1))
    # Norms and gates of a subclass, where it has some, would hand back another tensor.
    plain = mixer.finish(x) is x and mixer.values(answers, x) is answers
    if not c.causal or c.only is not None or not plain or mixer.answers(answers, x, places, None) is not answers:
        raise ValueError(
            f"{type(mixer).__name__} so configured is no linear system in its inputs with matrices we know"
        )
    q, k, _ = (z.unflatten(-1, (-1, c.head_width)) for z in mixer.project(x).split(mixer.widths, -1))
    q, k = mixer.q_norm(q), mixer.k_norm(k)
    if c.positions == "rotary":
        q, k = rotary(q, places, c.rotary_base), rotary(k, places, c.rotary_base)
    identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device).expand(len(x), c.key_heads, -1, -1)
    structure = Structure(relative=mixer._relative(x.shape[1]), offset=mixer.offset(places, None))
    pattern = Pattern(kind=mixer.kind, window=c.window)
    weights = attention(q.transpose(1, 2), k.transpose(1, 2), identity, pattern, structure)
    value = mixer.project.weight[-mixer.widths[2] :].unflatten(0, (c.key_heads, -1))
    if c.bias:
        value = torch.cat([value, mixer.project.bias[-mixer.widths[2] :].unflatten(0, (c.key_heads, -1, 1))], -1)
    return finished(remembering(weights, value), x, c.n_heads, mixer.out)


@system_of.register
def _(mixer: MinRNN, x: Tensor) -> DynamicalSystem:
    c = mixer.config
    parts = mixer.inputs(x).chunk(mixer.n_parts, -1)
    f, written = mixer._gates(parts)
    which = {"gru": 1, "lstm": 2, "qlstm": 3}[c.kind]
    rows = slice(which * c.width, (which + 1) * c.width)
    value = torch.cat([mixer.inputs.weight[rows], mixer.inputs.bias[rows, None]], 1)  # (N, D + 1)
    # What is written is this times a map of the input; a tanh between them is a factor as it came out.
    B = (written / parts[which])[..., None] * value
    out = mixer.out.weight if isinstance(mixer.out, nn.Linear) else torch.eye(c.width, dtype=x.dtype, device=x.device)
    D = x.new_zeros(*x.shape, x.shape[-1] + 1)
    if isinstance(mixer.out, nn.Linear):
        D[..., -1] = mixer.out.bias
    C = out.expand(*x.shape[:2], -1, -1)
    plain = DynamicalSystem(f, B, C, D)
    if c.kind != "qlstm":
        return plain
    _, states = plain.run(x)
    C = C * (parts[2].sigmoid() * states.tanh() / states)[..., None, :]
    return DynamicalSystem(f, B, C, D, "trajectory")


@system_of.register
def _(mixer: GatedConv, x: Tensor) -> DynamicalSystem:
    """The state is a shift register of the last inputs, the newest first."""
    width, d = mixer.conv.weight.shape
    eye = torch.eye(d, dtype=x.dtype, device=x.device)
    A = torch.zeros(width, d, width, d, dtype=x.dtype, device=x.device)
    for i in range(1, width):
        A[i, :, i - 1] = eye
    B = F.pad(torch.cat([eye, eye.new_zeros((width - 1) * d, d)]), (0, 1))
    gate = mixer.gate(x)[..., None]
    D = F.pad(gate * cast(Tensor, mixer.conv.bias)[:, None], (d, 0))
    if mixer.config.skip:
        D = D + F.pad(eye, (0, 1))
    C = gate * (mixer.conv.weight.T[..., None] * eye[:, None]).flatten(1)
    A, B = (z.expand(*x.shape[:2], -1, -1) for z in (A.reshape(width * d, -1), B))
    return DynamicalSystem(A, B, C, D)
