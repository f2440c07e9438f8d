"""Every model and every mixer runs where its weights are.

No machine with a card is needed: under FakeTensorMode tensors say they are on one, have no numbers, and refuse to meet
a tensor of the CPU. Where what happens depends on numbers, real ones are needed: then whatever a model makes without
saying where is made on `meta`, where nothing of the CPU may meet it.
"""

import contextlib
import functools
import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from kernels.backend import use_backend
from models.backbone import Backbone, BackboneConfig
from models.device import NoSuchDevice, choose_device, device_of, mixed_precision
from models.emotionic.config import EmotionICConfig
from models.emotionic.model import EmotionIC
from models.encoders.efficientnet import EfficientNetLite2
from models.encoders.lite2 import AlignedLite2, Lite2Config
from models.mixers import MIXERS, build_mixer
from models.mixers.base import leaves
from models.pointer.causes import CausePointer, CausesConfig, pad_tokens
from models.pointer.decoding import beam_search as point
from models.pointer.model import PointerConfig, PointerNetwork
from models.seqdialn.beam import beam_search
from models.seqdialn.config import SeqDialNConfig
from models.seqdialn.decoders import END, START
from models.seqdialn.model import SeqDialN, Texts
from models.token_model import TokenModel, TokenModelConfig
from tests.models.mixers.test_contract import cases

CARD = torch.device("cuda", 0)
ROWS, TOKENS, WIDTH = 3, 7, 32


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeTensorMode]:
    """One mode for all: what a kernel keeps for a device is fake too, and is forgotten at the end."""
    kept = importlib.import_module("kernels.taylor.features")._made
    kept.cache_clear()
    yield FakeTensorMode()
    kept.cache_clear()


@contextlib.contextmanager
def as_if_on_a_card(fake: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tensors made inside have no numbers; the kernels' PyTorch versions run, since Triton would want real ones.

    It ends early, and well, where the next thing done depends on a number.
    """
    # PyTorch's own loops ask the driver before they look at the tensors.
    monkeypatch.setattr(torch, "gru", lambda x, h, weights, *_: _recurrent(x, (h,), weights))
    monkeypatch.setattr(torch, "lstm", lambda x, state, weights, *_: _recurrent(x, tuple(state), weights))
    numbers = contextlib.suppress(DataDependentOutputException, DynamicOutputShapeException)
    with numbers, fake, use_backend("torch"), torch.no_grad():
        yield


def _recurrent(x: Tensor, state: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, ...]:
    assert {t.device for t in (x, *state, *weights)} == {CARD}
    return x.new_empty(*x.shape[:2], state[0].shape[-1]), *(z.clone() for z in state)


def nothing_made_on_the_cpu_unsaid() -> torch.device:
    """A context: whoever makes a tensor and does not say where, gets one that may meet no other."""
    return torch.device("meta")


def all_on(device: torch.device, found: Any) -> None:
    tensors = leaves((found,)) if not isinstance(found, Tensor) else [found]
    assert {t.device for t in tensors if isinstance(t, Tensor)} <= {device}


def mixer_and_inputs(param: tuple[str, dict[str, Any]], device: torch.device) -> tuple[Any, Tensor, Tensor | None]:
    name, fields = param
    with device:
        mixer = build_mixer(name, d_model=WIDTH, **fields)
        x = torch.randn(ROWS, TOKENS, WIDTH)
        return mixer, x, torch.randint(0, 4, (ROWS, TOKENS)) if mixer.takes_ids else None


@pytest.mark.parametrize("name", MIXERS)
def test_a_mixer_stays_on_its_card(name: str, fake: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> None:
    param: tuple[str, dict[str, Any]] = (
        name,
        {},
    )
    with as_if_on_a_card(fake, monkeypatch):
        mixer, x, ids = mixer_and_inputs(param, CARD)
        y, state = mixer(x, ids=ids)
        all_on(CARD, (y, state))
        y, state = mixer(x, ids=ids, state=mixer.initial_state(ROWS))
        all_on(CARD, (y, state))
        if mixer.streams:
            all_on(CARD, mixer.step(x[:, 0], state, ids_t=None if ids is None else ids[:, 0]))
    with as_if_on_a_card(fake, monkeypatch):
        mixer, x, ids = mixer_and_inputs(param, CARD)
        mask = torch.ones(ROWS, TOKENS, dtype=torch.bool, device=CARD)
        all_on(CARD, mixer(x, ids=ids, mask=mask))


@pytest.mark.parametrize("param", cases())
def test_a_mixer_makes_nothing_elsewhere(param: tuple[str, dict[str, Any]]) -> None:
    mixer, x, ids = mixer_and_inputs(param, torch.device("cpu"))
    mask = torch.arange(TOKENS) < torch.tensor([TOKENS, 3, 0])[:, None]
    with nothing_made_on_the_cpu_unsaid():
        y, _ = mixer(x, ids=ids, mask=mask)
        y.sum().backward()
        y, state = mixer(x, ids=ids, state=mixer.initial_state(ROWS))
        all_on(torch.device("cpu"), (y, state))
        if mixer.streams:
            mixer.step(x[:, 0], state, ids_t=None if ids is None else ids[:, 0])


def backbone(device: torch.device) -> Callable[[], None]:
    model = Backbone(BackboneConfig(d_model=WIDTH, mixers=("gla", "softmax")))
    x = torch.randn(ROWS, TOKENS, WIDTH, device=device)

    def run() -> None:
        y, _ = model(x)
        all_on(device, y)
        all_on(device, model.step(y[:, 0], model.initial_state(ROWS)))

    return run


def token_model(device: torch.device) -> Callable[[], None]:
    config = TokenModelConfig(n_tokens=11, backbone=BackboneConfig(d_model=WIDTH, mixers=("min_rnn",)))
    model, tokens = TokenModel(config), torch.randint(0, 11, (ROWS, TOKENS), device=device)

    def run() -> None:
        all_on(device, model(tokens))
        all_on(device, model.step(tokens[:, 0], model.initial_state(ROWS)))
        all_on(device, model.loss(tokens, tokens))

    return run


def emotionic(device: torch.device, crf: Any = "skip") -> Callable[[], None]:
    config = EmotionICConfig(n_labels=5, d_encoder=WIDTH, d_model=16, n_heads=2, window=3, crf=crf)
    model = EmotionIC(config).eval()
    x = torch.randn(ROWS, TOKENS, WIDTH, device=device)
    speakers = torch.randint(0, 3, (ROWS, TOKENS), device=device)
    mask = torch.ones(ROWS, TOKENS, dtype=torch.bool, device=device)

    def run() -> None:
        for live in (False, True):
            emissions = model(x, speakers, mask, live=live)
            all_on(device, emissions)
            all_on(device, model.marginals(emissions, speakers, mask, live=live))
        all_on(device, model.step(x[:, 0], speakers[:, 0], model.initial_state(ROWS)))
        all_on(device, model.viterbi(emissions, speakers, mask))
        all_on(device, model.log_likelihood(emissions, torch.zeros_like(speakers), speakers, mask))

    return run


def causes(device: torch.device) -> Callable[[], None]:
    config = CausesConfig(n_emotions=7, d_encoder=WIDTH, d_model=8, d_hidden=12, d_token=6, d_span=8, window=4)
    model = CausePointer(config).eval()
    vectors, emotions = torch.randn(ROWS, 5, WIDTH, device=device), torch.randn(ROWS, 5, 7, device=device)
    speakers, lengths = torch.randint(0, 3, (ROWS, 5), device=device), torch.tensor([[1, 2]], device=device)
    tokens, mask = torch.randn(ROWS, 5, 4, 6, device=device), torch.ones(ROWS, 5, 4, dtype=torch.bool, device=device)
    where = torch.tensor([(0, 3, 1), (2, 4, 4)], device=device)

    def run() -> None:
        pairs, latent, q, read = model(vectors, emotions, speakers, tokens, mask)
        all_on(device, (pairs, latent, q, read))
        all_on(device, model.start_reading(2))
        all_on(device, model.spans(q, read, read, where))
        all_on(device, pad_tokens(tokens[0, 0, :3], lengths))

    return run


def pointer(device: torch.device) -> Callable[[], None]:
    model = PointerNetwork(PointerConfig(d_input=2, d_model=16)).eval()
    points, targets = torch.rand(ROWS, 5, 2, device=device), torch.randint(0, 6, (ROWS, 4), device=device)

    def run() -> None:
        all_on(device, model(points, targets))
        all_on(device, model.loss(points, targets))
        with torch.no_grad():
            all_on(device, point(model, points, width=2, max_steps=4).pointers)

    return run


def seqdialn(device: torch.device, reasoning: Any = "mr") -> Callable[[], None]:
    small: dict[str, Any] = {"d_model": 16, "n_heads": 2, "d_answer": 16, "d_text": WIDTH, "d_region": 8}
    model = SeqDialN(SeqDialNConfig(reasoning=reasoning, n_words=5, d_sentence=WIDTH, **small)).eval()
    regions, seen = torch.randn(2, 6, 8, device=device), torch.ones(2, 6, dtype=torch.bool, device=device)
    boxes, pooled = torch.rand(2, 6, 4, device=device), torch.randn(2, WIDTH, device=device)
    words, real = torch.randn(2, 3, 4, WIDTH, device=device), torch.ones(2, 3, 4, dtype=torch.bool, device=device)
    said = Texts(words, real, torch.randn(2, 3, WIDTH, device=device))
    one = Texts(words[:, 0], real[:, 0], torch.randn(2, WIDTH, device=device))
    rounds = torch.ones(2, 3, dtype=torch.bool, device=device)

    def run() -> None:
        looked = model.look(regions, seen, boxes, pooled)
        step = model.step(looked, one, one, model.initial_state(2))
        all_on(device, (step.z, step.p_regions, step.state))
        assert model.generative is not None
        if device.type == "cpu":  # A rounds' mask and a beam are read off as numbers.
            all_on(device, model(looked, said, said, rounds).z)
            first = model.generative.initial_state(step.z[:1])
            assert beam_search(model.generative, first, START, END, width=2, max_tokens=3)

    return run


def picture_network(device: torch.device) -> Callable[[], None]:
    shape = Lite2Config(picture_size=32, grid=2, d_text=WIDTH, d_hidden=8, d_sentence=4, words=("dog",))
    model = AlignedLite2(shape, network=EfficientNetLite2()).eval()  # of its own: the shared one stays on the CPU
    pixels = torch.randn(2, 3, 32, 32, device=device)
    return lambda: all_on(device, tuple(model(pixels)))


MODELS: dict[str, Callable[[torch.device], Callable[[], None]]] = {
    "backbone": backbone,
    "token_model": token_model,
    **{f"emotionic {crf}": functools.partial(emotionic, crf=crf) for crf in ("skip", "linear", "none")},
    "causes": causes,
    "pointer": pointer,
    **{f"seqdialn {kind}": functools.partial(seqdialn, reasoning=kind) for kind in ("mr", "ip", "gla")},
    "picture_network": picture_network,
}
"""Each makes a model and its inputs on a device, and gives back what runs it."""


@pytest.mark.parametrize("name", MODELS)
def test_a_model_stays_on_its_card(name: str, fake: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> None:
    with as_if_on_a_card(fake, monkeypatch):
        with CARD:
            run = MODELS[name](CARD)
        run()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_makes_nothing_elsewhere(name: str) -> None:
    run = MODELS[name](torch.device("cpu"))
    with nothing_made_on_the_cpu_unsaid():
        run()


def test_a_tensor_made_elsewhere_is_found(fake: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self) -> Tensor:
            return self.weight + torch.arange(3)

    careless = Careless()
    with pytest.raises(RuntimeError, match="meta"), nothing_made_on_the_cpu_unsaid():
        careless()
    with as_if_on_a_card(fake, monkeypatch):
        with CARD:
            careless = Careless()
        with pytest.raises(RuntimeError, match="cuda"):
            careless()


def test_without_a_word_a_card_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for n, expected in ((0, torch.device("cpu")), (2, CARD)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda n=n: n > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda n=n: n)
        assert choose_device() == choose_device("auto") == expected
        assert choose_device("cpu") == choose_device(torch.device("cpu")) == torch.device("cpu")
    assert choose_device("cuda") == CARD
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(NoSuchDevice, match="the cards here are cuda:0 to cuda:1"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:x", "meta", "mps", "cuda:-1"])
def test_what_is_no_device_of_ours_is_refused(name: str) -> None:
    with pytest.raises(NoSuchDevice, match=re.escape(repr(name))):
        choose_device(name)


def test_a_card_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NoSuchDevice, match="no card that PyTorch can use; take cpu or auto"):
        choose_device("cuda")


def test_mixed_precision_multiplies_in_bfloat16_and_can_be_left_out() -> None:
    linear = nn.Linear(4, 4)
    with mixed_precision(device_of(linear)):
        assert linear(torch.ones(1, 4)).dtype == torch.bfloat16
    with mixed_precision(device_of(linear), enabled=False):
        assert linear(torch.ones(1, 4)).dtype == torch.float32
