"""Which mixers are dynamical systems, and with which matrices."""

from functools import singledispatch
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.attention import Pattern, Structure, attention
from kernels.neural_memory import Dot, Squared
from kernels.ridge.chunked import solve
from kernels.taylor.features import features
from models.mixers import regressors
from models.mixers.aaren import Aaren
from models.mixers.attention import AttentionMixer
from models.mixers.branch_systems import liger_system, lizard_system, rat_system
from models.mixers.cell_systems import cell_system
from models.mixers.diffqkv import DiffQKV
from models.mixers.dynamical import DynamicalSystem, Length, associative, every_value, finished, remembering
from models.mixers.gla import GLA
from models.mixers.landmark import Landmark, written
from models.mixers.learning import LearningMixer
from models.mixers.liger import Liger
from models.mixers.lizard import Lizard
from models.mixers.min_rnn import MinRNN
from models.mixers.normalised import Normalised
from models.mixers.rat import RAT
from models.mixers.recurrent import RecurrentMixer
from models.mixers.recycled import Recycled
from models.mixers.regression import Regression
from models.mixers.routing import Routing
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
def _(mixer: Normalised, x: Tensor) -> DynamicalSystem:
    """The normaliser stands in C, since it is the token's own."""
    heads = mixer.config.n_heads
    q, k = (z(x).unflatten(-1, (heads, -1)) for z in (mixer.query, mixer.key))
    value = torch.cat([mixer.value.weight, mixer.value.bias[:, None]], 1).unflatten(0, (heads, 1, -1))
    system = associative(torch.ones_like(k), k[..., None, :], q / mixer.divisor(x)[..., None], value)
    return finished(system, x, heads, mixer.out)


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


system_of.register(RecurrentMixer, cell_system)
system_of.register(RAT, rat_system)
system_of.register(Lizard, lizard_system)
system_of.register(Liger, liger_system)


@system_of.register
def _(mixer: DiffQKV, x: Tensor) -> DynamicalSystem:
    c, places = mixer.config, torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
    q, k = mixer.queries(x), mixer.k_norm(mixer.key(x).unflatten(-1, (c.n_key_heads, c.key_width)))
    if c.positions == "rotary":
        q, k = rotary(q, places), rotary(k, places) if c.expand == "linear" else k
    k = k if c.expand == "linear" else mixer._expanded(k, places[:, 0])
    weights = mixer._attend(q, k, every_value(x, c.n_value_heads), None)
    value = mixer.value.weight.unflatten(0, (c.n_value_heads, -1))
    return finished(remembering(weights.transpose(1, 2), value), x, c.n_heads, mixer.out)


@system_of.register
def _(mixer: Routing, x: Tensor) -> DynamicalSystem:
    c = mixer.config
    if not mixer.streams:
        raise ValueError("Routing in mode 'paper' hears later tokens, and is no linear system in its inputs")
    q = plain = mixer._heads(mixer.query(x))
    k = plain if mixer.key is None else mixer._heads(mixer.key(x))
    if c.positions == "rotary":
        places = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
        q, k = rotary(q, places), rotary(k, places)
    state = mixer.initial_state(len(x))
    state = state._replace(v=state.v.new_zeros(*state.v.shape[:-1], x.shape[1]))
    q, k, v = (z.transpose(1, 2) for z in (q, k, every_value(x, c.n_heads)))
    real = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    weights, _ = mixer._routed(q, k, v, mixer.clusters(plain).transpose(1, 2), real, state)
    value = mixer.value.weight.unflatten(0, (c.n_heads, -1))
    return finished(remembering(weights, value), x, c.n_heads, mixer.out)


@system_of.register
def _(mixer: Landmark, x: Tensor) -> DynamicalSystem:
    c, n_tokens = mixer.config, x.shape[1]
    places = torch.arange(n_tokens, device=x.device).expand(x.shape[:2])
    q, k = (z(x).unflatten(-1, (c.n_heads, -1)) for z in (mixer.query, mixer.key))
    room = n_tokens + -n_tokens % c.size
    k, v = (written(z[:, :0], room, z, places) for z in (k, every_value(x, c.n_heads)))
    state = mixer.initial_state(len(x))
    weights = mixer._answers(q, places, k, v, mixer._marks(k, places, state.marks[:, :0]))
    value = mixer.value.weight.unflatten(0, (c.n_heads, -1))
    return finished(remembering(weights[..., :n_tokens].transpose(1, 2), value), x, c.n_heads, mixer.out)


@system_of.register
def _(mixer: Recycled, x: Tensor) -> DynamicalSystem:
    c = mixer.config
    q, state = mixer._written(x, mixer.initial_state(len(x)))
    state = state._replace(v=every_value(x, c.kv_heads))
    attend = mixer._one_by_one if c.evict == "running" else mixer._segments
    weights, _ = attend(q, state, state.position.new_full((len(x),), x.shape[1]))
    value = mixer.value.weight.unflatten(0, (c.kv_heads, -1))
    return finished(remembering(weights.transpose(1, 2), value), x, c.n_heads, mixer.out)


@system_of.register(LearningMixer)
def _(mixer: LearningMixer[Any], x: Tensor) -> DynamicalSystem:
    """A matrix that learns online from squares or a dot product: what it began with answers apart from what it was
    told, and the values' SiLU is a factor as it came out."""
    c, rule = mixer.learning, mixer.rule
    linear = isinstance(rule.error, Squared | Dot) and rule.map is None and rule.settle is None
    plain = not (rule.residual_norm or c.momentum) and rule.chunk == 1 and c.conv_width == 1 and rule.read == "after"
    if c.memory != "matrix" or not linear or not plain or not isinstance(mixer.narrow, nn.Identity):
        raise ValueError(
            f"{type(mixer).__name__} is a linear system in its inputs as a matrix that learns online from squares or a "
            "dot product, without momentum or a convolution, with gates a head; not so configured"
        )
    if getattr(mixer.config, "n_persistent", 0):
        raise ValueError(
            "persistent vectors are inputs that are not in x, and so this is no linear system in its inputs"
        )
    heads, d = c.n_heads, c.d_head
    taps = mixer.conv.weight[0]
    mixed = mixer.qkv(x) * taps
    q, k, v = (z.unflatten(-1, (heads, -1)) for z in mixed.chunk(3, -1))  # (B, T, H, d)
    q, k = F.normalize(F.silu(q), dim=-1), F.normalize(F.silu(k), dim=-1)
    step, keep, _ = (z.transpose(1, 2)[..., None] for z in mixer._gate_logits(x, x.dtype))  # (B, T, H, 1)
    step, keep = c.max_step * step.sigmoid(), keep.sigmoid()
    if not getattr(mixer.config, "forget", True):
        keep = torch.ones_like(keep)
    eye, scale = torch.eye(d, dtype=x.dtype, device=x.device), 1.0
    A = keep[..., None] * eye
    if isinstance(rule.error, Squared):
        scale = rule.error.scale
        unlearned = scale * step[..., None] * k[..., :, None] * k[..., None, :]
        A = A - (keep[..., None] * unlearned if rule.decay_first else unlearned)
    value = (mixer.qkv.weight * taps[:, None])[-c.d_model :].unflatten(0, (heads, 1, -1))
    system = associative(A, (scale * step * k)[..., None, :], q, value)
    # Rows of B are (head, key channel, value channel): the SiLU's factor is the last one's.
    bend = v.sigmoid()[:, :, :, None].expand(-1, -1, -1, d, -1).flatten(2)[..., None]
    D = F.pad(system.D, (0, 1))
    D[..., -1] = _began(mixer.memory[0], A, q).flatten(2)
    system = DynamicalSystem(system.A, F.pad(bend * system.B, (0, 1)), system.C, D)
    gate = F.silu(mixer.output_gate(x)).unflatten(-1, (heads, -1))
    return finished(system, x, heads, mixer.out, mixer.norm, gate)


def _began(start: Tensor, A: Tensor, q: Tensor) -> Tensor:
    """(B, T, H, d): what is left at each token of the weights start (H, d, d), asked with q (B, T, H, d)."""
    M, answers = start.expand(len(q), -1, -1, -1), []
    for t in range(q.shape[1]):
        M = M @ A[:, t].mT
        answers.append((M @ q[:, t, :, :, None])[..., 0])
    return torch.stack(answers, 1)
