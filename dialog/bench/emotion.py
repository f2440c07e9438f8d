"""`rapport bench emotion`: the context model, its CRF, a live message and the whole tagger, each beside its peer."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torchcrf
from torch import Tensor

from dialog.bench.chats import made_up_chats
from dialog.bench.official_emotionic import PlainEmotionIC
from dialog.bench.timing import row, side_by_side, suite, without_cache
from dialog.conversation import Conversation
from dialog.emotion.causes import NEUTRAL, CauseFinder
from dialog.emotion.live import LiveState
from dialog.emotion.tagger import EmotionTagger
from dialog.reading.batching import bucket, collate, cut
from dialog.reading.encoding import BATCH_TOKENS
from models.catalogue import EMOTION
from models.device import Where, device_of
from models.emotionic.model import EmotionIC, EmotionICState
from models.emotionic.skip_chain_crf import SkipChainCRF

HISTORIES = (10, 100, 1_000, 10_000)
"""Messages before the one that is timed; the first is the others' peer."""


@torch.inference_mode()
def measure(
    *,
    model: str | Path = EMOTION,
    causes: str | Path | None = None,
    data: Path | None = None,
    n_dialogues: int = 96,
    n_utterances: int = 1_000,
    histories: tuple[int, ...] = HISTORIES,
    repeats: int = 5,
    device: Where = None,
) -> dict[str, Any]:
    """The object of `rapport bench emotion --json`.

    `data` is a .jsonl of conversations for the tagger's row, in the place of made-up ones. Seconds are for all the
    dialogues of a row, or for one message in the live rows; with causes where the model can name them.
    """
    both = without_cache(EmotionTagger.load(model, causes=causes, device=device))
    tagger = both.without_causes()
    conversations = _read(data) if data else made_up_chats(n_utterances)
    rows = [
        _context_model(tagger.context, n_dialogues, repeats),
        *_chain(tagger.context.config.n_labels, n_dialogues, repeats, tagger.device),
        *_live(tagger, histories, repeats * 20),
        *(_live_with_causes(both, both.causes, histories, repeats * 5) if both.causes else ()),
        _tagging(tagger, conversations, repeats),
    ]
    return suite("emotion", rows, where=tagger.device, model=tagger.version)


def _context_model(context: EmotionIC, n_dialogues: int, repeats: int) -> dict[str, Any]:
    """Ours offline, marginals and labels, against the official size; random vectors, batches of 32 in one order."""
    device = device_of(context)
    batches = _batches(n_dialogues, context.config.d_encoder, device)
    plain = PlainEmotionIC(context.config.n_labels, context.config.d_encoder).to(device).eval()

    def ours() -> None:
        for x, speakers, mask in batches:
            emissions = context(x, speakers, mask)
            context.marginals(emissions, speakers, mask).argmax(-1)

    def theirs() -> None:
        for x, speakers, mask in batches:
            plain.label(*(z.transpose(0, 1) for z in (x, speakers, mask)))

    n = sum(int(mask.sum()) for _, _, mask in batches)
    seconds = side_by_side([ours, theirs], repeats)
    sizes = {
        "million_parameters": _millions(context),
        "peer_million_parameters": _millions(plain),
        "utterances_per_second": n / seconds[0],
    }
    return row("context model, batch 32", seconds[0], "official size, plainly written", seconds[1], **sizes)


def _chain(n_labels: int, n_dialogues: int, repeats: int, device: torch.device) -> list[dict[str, Any]]:
    """The skip-chain CRF by itself against pytorch-crf, whose chain knows no speakers and is the easier problem."""
    crf, linear = SkipChainCRF(n_labels).to(device), torchcrf.CRF(n_labels, batch_first=True).to(device)
    batches = [
        (torch.randn(*mask.shape, n_labels, device=device), speakers, mask)
        for _, speakers, mask in _batches(n_dialogues, 1, device)
    ]
    tagged = [(e, torch.zeros_like(speakers), speakers, mask) for e, speakers, mask in batches]

    def each(run: Callable[..., Any], items: list[Any]) -> Callable[[], None]:
        def go() -> None:
            for item in items:
                run(*item)

        return go

    def trained(run: Callable[[Any], Tensor]) -> Callable[[], None]:
        def go() -> None:
            with torch.inference_mode(False), torch.enable_grad():
                for item in tagged:
                    run([z.clone() for z in item]).sum().backward()

        return go

    best, peers_best = side_by_side(
        [each(crf.viterbi, batches), each(lambda e, s, m: linear.decode(e, m), batches)], repeats
    )
    fit, peers_fit = side_by_side(
        [trained(lambda z: crf.log_likelihood(*z)), trained(lambda z: linear(z[0], z[1], z[3], "none"))], repeats
    )
    return [
        row("CRF, best labelling", best, "pytorch-crf, a chain without speakers", peers_best),
        row("CRF, log-likelihood and gradient", fit, "pytorch-crf, a chain without speakers", peers_fit),
    ]


def _live(tagger: EmotionTagger, histories: tuple[int, ...], repeats: int) -> list[dict[str, Any]]:
    """One message after histories of different length, without and with the encoder."""
    context, speaker = tagger.context, torch.tensor([7], device=tagger.device)
    states = dict(zip(histories, _states(context, histories), strict=True))
    x = torch.randn(1, context.config.d_encoder, device=tagger.device)
    text = "well i think we can go out for dinner tomorrow night"
    said = tagger.encoder.packer.tokenize(["Ann", "Bob"] * 20, [text] * 40)
    alone = tagger.config.layout.alone
    recent = () if alone else tuple(tagger.encoder.window(said))

    def one(state: EmotionICState) -> Callable[[], Any]:
        return lambda: context.step(x, speaker, state)

    def whole(state: LiveState) -> Callable[[], Any]:
        return lambda: tagger.step(state, "Ann", text)

    chats = {n: LiveState(recent, state, n, alone=alone) for n, state in states.items()}
    bare = side_by_side([one(state) for state in states.values()], repeats)
    full = side_by_side([whole(chat) for chat in chats.values()], max(5, repeats // 4))
    peer = f"the same after {histories[0]}"
    return [
        row(f"one live message after {n:,}{kind}", seconds, peer, taken[0])
        for kind, taken in ((", context model alone", bare), ("", full))
        for n, seconds in zip(histories, taken, strict=True)
    ]


def _live_with_causes(
    tagger: EmotionTagger, finder: CauseFinder, histories: tuple[int, ...], repeats: int
) -> list[dict[str, Any]]:
    """One message and what caused it, after histories of different length."""
    text = "oh my god i am so happy that we can go out for dinner tomorrow night"
    chats = _chats(tagger, finder, text, histories)

    def one(chat: LiveState) -> Callable[[], Any]:
        return lambda: tagger.step(chat, "Ann", text)

    seconds = side_by_side([one(chat) for chat in chats], repeats)
    peer = f"the same after {histories[0]}"
    return [
        row(f"one live message after {n:,}, causes on", own, peer, seconds[0])
        for n, own in zip(histories, seconds, strict=True)
    ]


def _chats(tagger: EmotionTagger, finder: CauseFinder, text: str, histories: tuple[int, ...]) -> list[LiveState]:
    """The state after each history: a short real chat, and then its last vectors and tokens again and again."""
    chat, chats = tagger.start(), list[LiveState]()
    said = min(8, *histories)
    for i in range(said):
        prediction, chat = tagger.step(chat, ("Ann", "Bob")[i % 2], text)
    assert chat.causes is not None
    said_so_far = tagger.encoder.packer.tokenize(["Ann", "Bob"] * 20, [text] * 40)
    ((x, tokens),) = tagger.encoder.read_last([tagger.encoder.window(said_so_far)], finder.keep_tokens)
    assert tokens is not None
    neutral = replace(prediction, emotion=NEUTRAL)  # Not asked for its causes: only the state is wanted.
    causes = chat.causes
    for wanted, state in zip(histories, _states(tagger.context, histories), strict=True):
        for i in range(said, wanted):
            ((_, causes),) = finder.steps([causes], [x], [tokens], [neutral], torch.tensor([i % 2]), [text])
        chats.append(replace(chat, model=state, n_messages=wanted, causes=causes))
        said = wanted
    return chats


def _states(context: EmotionIC, histories: tuple[int, ...]) -> list[EmotionICState]:
    """The state after each history, of random vectors and three speakers."""
    state, states, device = context.initial_state(1), [], device_of(context)
    for n in range(max(histories)):
        if n in histories:
            states.append(state)
        x = torch.randn(1, context.config.d_encoder, device=device)
        _, state = context.step(x, torch.randint(3, (1,), device=device), state)
    return [*states, state]


def _tagging(tagger: EmotionTagger, conversations: list[Conversation], repeats: int) -> dict[str, Any]:
    """The whole tagger, from texts to predictions, against its encoder's own passes over the same sequences."""
    layout, packer = tagger.config.layout, tagger.encoder.packer
    sequences = []
    for c in conversations:
        tokens = packer.tokenize([u.speaker for u in c.utterances], [u.text for u in c.utterances])
        sequences += [packer.pack(tokens[s.begin : s.end]) for s in cut([len(u.text) for u in tokens], layout)]
    groups = bucket([len(s.ids) for s in sequences], BATCH_TOKENS)
    batches = [collate([sequences[i] for i in group], tagger.device) for group in groups]

    def encoder_alone() -> None:
        for batch in batches:
            tagger.encoder.encoder(*batch)

    def tag() -> None:
        tagger.tag(conversations)

    ours, theirs = side_by_side([tag, encoder_alone], max(1, repeats // 2))
    n = sum(len(c.utterances) for c in conversations)
    return row("tagger, text to labels", ours, "its encoder's passes alone", theirs, utterances_per_second=n / ours)


def _batches(n_dialogues: int, d_encoder: int, device: torch.device) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Vectors (B, N, D), speakers and mask (B, N) of dialogues as long as MELD's: 1 to 24, on average 9.6."""
    rng = random.Random(0)
    lengths = [1 if rng.random() < 0.07 else max(2, min(24, round(rng.gauss(10.2, 5.5)))) for _ in range(n_dialogues)]
    batches = []
    for first in range(0, n_dialogues, 32):
        some = torch.tensor(lengths[first : first + 32])
        mask = torch.arange(int(some.max())) < some[:, None]
        made = (torch.randn(*mask.shape, d_encoder), torch.randint(3, mask.shape), mask)
        batches.append((made[0].to(device), made[1].to(device), made[2].to(device)))
    return batches


def _millions(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def _read(path: Path) -> list[Conversation]:
    from dialog.corpora import read

    return list(read(path))
