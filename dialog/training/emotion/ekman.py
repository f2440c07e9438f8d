"""The default emotion model, from a teacher's answers to a folder: encoder, context, temperature, decision.

Five steps, each a function: the student learns messages read alone (`distil`), its change is cut to a low rank, the
context model learns what a conversation may add (`contrast`), a temperature is fitted over parts of several corpora at
once, and the line between neutral and a feeling is drawn on held-out chats.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dialog.conversation import Conversation
from dialog.corpora import gold
from dialog.corpora.ekman import TO_EKMAN
from dialog.emotion.config import EmotionModelConfig
from dialog.emotion.tagger import EmotionTagger, speaker_ids
from dialog.labels import TAGS
from dialog.metrics import calibration_error
from dialog.reading.batching import Packer, bucket, collate
from dialog.training.card import LICENCES, write_card
from dialog.training.emotion.answers import read_answers
from dialog.training.emotion.contrast import ContextRecipe, Talk, train_context
from dialog.training.emotion.distil import ALONE, MessageModel, StudentRecipe, train_student
from dialog.training.emotion.encoder import DAILY, FRIENDS
from dialog.training.emotion.examples import Source, load_source
from dialog.training.emotion.firming import firm
from dialog.training.emotion.joint import save_model
from dialog.training.emotion.messages import LABELS, chat_conversations, chats, goemotions, of_chat, spread
from dialog.training.emotion.pool import chat_files
from dialog.training.emotion.starting import start_tensors
from dialog.training.emotion.tags import fit_tag_threshold, fit_tags, share_ruled_out
from dialog.training.loop import Progress, finish
from models.checkpoint import part
from models.device import Where, device_of, mixed_precision
from models.emotionic.config import EmotionICConfig
from models.emotionic.model import EmotionIC
from models.encoders.text import TextEncoder, low_rank_deltas
from models.tensors import read_file, write_file

_NEUTRAL = LABELS.index("neutral")
TEMPERATURES = tuple(float(t) for t in np.round(np.arange(0.6, 1.81, 0.05), 2))
N_TAGGED = 20_000
"""Comments of GoEmotions the head of the tags is fitted on at last."""
BIASES = tuple(float(b) for b in np.round(np.arange(-1.5, 0.51, 0.1), 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class DefaultRecipe:
    """Everything the default model is made with."""

    student: StudentRecipe = field(default_factory=StudentRecipe)
    firm: StudentRecipe = field(
        default_factory=lambda: StudentRecipe(steps=300, lr=6e-5, lr_new=3e-4, often={}, gold={"chats": 0.7})
    )
    """Of the last round (`firming`)."""
    rank: int = 96
    """Of the deltas kept."""
    context: Mapping[str, Any] = field(default_factory=lambda: {"gated": True, "crf": "none"})
    """Fields of EmotionICConfig that differ from its defaults."""
    contrast: ContextRecipe = field(default_factory=ContextRecipe)
    talks: tuple[tuple[Source, int], ...] = (
        (Source(corpus="emocontext"), 2500),
        (Source(corpus="meld", avoid=tuple(p for p in FRIENDS if p[0] != "meld")), 600),
        (Source(corpus="dailydialog", avoid=DAILY, share=0.5, emotional_only=True), 600),
        (Source(corpus="emorynlp", avoid=tuple(p for p in FRIENDS if p[0] != "emorynlp")), 300),
    )
    """Conversations beside our chats, and how many of each: their labels are half believed."""
    talk_weight: float = 0.35
    chats_often: int = 6
    validation: tuple[Source, ...] = (
        Source(corpus="meld", split="validation"),
        Source(corpus="emorynlp", split="validation"),
        Source(corpus="dailydialog", split="validation", limit=150),
        Source(corpus="emocontext", split="validation", limit=600),
        Source(corpus="goemotions", split="validation", limit=1000),
    )
    """What the temperature is fitted over, beside held-out chats: one for all, each as heavy as another."""


def going_on() -> DefaultRecipe:
    """For a model that is the default already: fewer steps, our chats more often, more belief in the corpora."""
    gold = {**StudentRecipe().gold, "goemotions": 0.7, "meld": 0.7, "dailydialog": 0.5, "emorynlp": 0.5}
    return DefaultRecipe(student=StudentRecipe(steps=1800, gold=gold, often={"chats": 6}))


def cut_to_rank(model: MessageModel, rank: int) -> tuple[MessageModel, dict[str, Tensor]]:
    """The model as it will be loaded, its encoder's change at the rank given and in half precision; and the deltas."""
    where = device_of(model)
    merged = MessageModel(TextEncoder.load(device=where)).to(where)
    deltas = low_rank_deltas(model.encoder.network, merged.encoder.network, rank)
    merged.encoder.add_deltas({k: v.half() for k, v in deltas.items()})
    heads = {k: v for k, v in model.state_dict().items() if not k.startswith("encoder.")}
    merged.load_state_dict(heads, strict=False)
    return merged.eval(), deltas


def context_over(model: MessageModel, fields: Mapping[str, Any]) -> EmotionIC:
    """A context model that begins in silence, over the heads of a message model."""
    config = EmotionICConfig(
        n_labels=len(LABELS), d_encoder=model.encoder.d_model, n_tags=len(TAGS), affect=True, **fields
    )
    context = EmotionIC(config).to(device_of(model))
    assert context.tags is not None
    assert context.affect is not None
    pairs = ((context.norm, model.norm), (context.classify, model.classify))
    for mine, theirs in (*pairs, (context.tags, model.tags), (context.affect, model.affect)):
        mine.load_state_dict(theirs.state_dict())
    return context


@torch.no_grad()
def vectors_of(encoder: TextEncoder, texts: Sequence[str]) -> Tensor:
    """Vectors (M, D) of texts, each read alone; on the CPU."""
    packer = Packer(encoder, ALONE)
    packed = [packer.pack([t]) for t in packer.tokenize([""] * len(texts), texts)]
    vectors = torch.zeros(len(texts), encoder.d_model)
    for batch in bucket([len(p.ids) for p in packed], 2048):
        # In half precision: half the time, and what is fitted on the vectors does not care.
        with mixed_precision(device_of(encoder)):
            vectors[batch] = encoder(*collate([packed[i] for i in batch], device_of(encoder))).float().cpu()
    return vectors


def talks(
    model: MessageModel, recipe: DefaultRecipe, data: Path, said: Mapping[str, Tensor], seed: int
) -> tuple[list[Talk], Tensor, Tensor]:
    """Conversations to learn context from, and the vectors of messages that are plain, and strong, by themselves.

    `said` has the teacher's answer of some texts, label probabilities (L,).
    """
    rows: list[tuple[Conversation, list[Tensor | None], bool]] = []
    for c in chat_conversations(chat_files()):
        wanted = [torch.tensor(m.emotion) for m in of_chat(c)]
        mixed = [0.75 * w + 0.25 * said.get(u.text, w) for w, u in zip(wanted, c.utterances, strict=True)]
        rows.append((c, list(mixed), True))
    rng = random.Random(seed)
    for source, n in recipe.talks:
        mapping = TO_EKMAN[source.corpus]
        for c in _emotional_first(load_source(source, data, seed), source.corpus, n, rng):
            labels = gold(c, source.corpus)
            rows.append((c, [_one(mapping.get(x or "")) for x in labels], False))
    texts = list(dict.fromkeys(u.text for c, _, _ in rows for u in c.utterances))
    vectors, at = vectors_of(model.encoder, texts), {text: i for i, text in enumerate(texts)}
    with torch.no_grad():
        own = model.heads(vectors.to(device_of(model)))[0].softmax(-1).cpu()
    found = []
    for c, row, ours in rows:
        places = [at[u.text] for u in c.utterances]
        if ours:
            target = torch.stack([w for w in row if w is not None])
        else:
            half = [
                torch.zeros(len(LABELS)) if w is None else 0.5 * (w + own[i]) for w, i in zip(row, places, strict=True)
            ]
            target = torch.stack(half)
        speakers = speaker_ids([u.speaker for u in c.utterances])
        talk = Talk(vectors[places], target, speakers, 1.0 if ours else recipe.talk_weight)
        found += [talk] * (recipe.chats_often if ours else 1)
    return found, vectors[own[:, _NEUTRAL] > 0.8], vectors[own[:, _NEUTRAL] < 0.25]


def _one(label: str | None) -> Tensor | None:
    return None if label is None else torch.tensor(spread({label: 1.0}))


def _emotional_first(some: list[Conversation], corpus: str, n: int, rng: random.Random) -> list[Conversation]:
    """At most n conversations, up to three in five of them with a feeling in a labelled place."""
    mapping = TO_EKMAN[corpus]
    some = rng.sample(some, len(some))
    felt = [c for c in some if any(x in mapping and mapping[x] != "neutral" for x in gold(c, corpus) if x)]
    kept = {id(c) for c in felt[: round(0.6 * n)]}
    return [c for c in some if id(c) in kept] + [c for c in some if id(c) not in kept][: n - len(kept)]


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of the messages of one held-out part, and what a tagger said of them."""

    said: Tensor  # (M, L) probabilities at temperature 1
    wanted: Tensor  # (M, L) shares of labels


def held(
    tagger: EmotionTagger, conversations: Sequence[Conversation], wanted: Sequence[Sequence[Tensor | None]]
) -> Held:
    """The labelled messages of conversations, as the tagger reads them."""
    said, truth = [], []
    for c, row in zip(tagger.tag(conversations), wanted, strict=True):
        for u, w in zip(c.utterances, row, strict=True):
            if w is not None and u.prediction:
                said.append(list(u.prediction.probabilities.values()))
                truth.append(w)
    return Held(torch.tensor(said), torch.stack(truth))


def held_out_parts(tagger: EmotionTagger, recipe: DefaultRecipe, data: Path, seed: int) -> dict[str, Held]:
    """By name: held-out chats, and the validation parts of the recipe."""
    chats = [c for c in chat_conversations(chat_files(), validation=True) if "pair" not in c.extra]
    found = {"chats": held(tagger, chats, [[torch.tensor(m.emotion) for m in of_chat(c)] for c in chats])}
    for source in recipe.validation:
        mapping, some = TO_EKMAN[source.corpus], load_source(source, data, seed)
        rows = [[_one(mapping.get(x or "")) for x in gold(c, source.corpus)] for c in some]
        found[source.corpus] = held(tagger, some, rows)
    return found


def fit_temperature(parts: Mapping[str, Held]) -> float:
    """The one temperature that makes the labels likeliest, the mean over the parts, each as heavy as another."""

    def surprise(t: float) -> float:
        logs = [(h.said.clamp(min=1e-9).log() / t).log_softmax(-1) for h in parts.values()]
        return float(np.mean([-(h.wanted * p).sum(-1).mean() for h, p in zip(parts.values(), logs, strict=True)]))

    return min(TEMPERATURES, key=surprise)


def at_temperature(part: Held, temperature: float) -> Held:
    """The same part, its probabilities tempered."""
    return replace(part, said=(part.said.clamp(min=1e-9).log() / temperature).softmax(-1))


def decisions(part: Held, bias: float) -> dict[str, float]:
    """How a bias for neutral decides, in per cent: labels that are accepted, feelings missed, false alarms."""
    scores = part.said.clamp(min=1e-9).log()
    scores[:, _NEUTRAL] += bias
    best = scores.argmax(-1)
    right = part.wanted.gather(1, best[:, None])[:, 0] >= 0.3
    feels, plain = part.wanted[:, _NEUTRAL] < 0.3, part.wanted[:, _NEUTRAL] > 0.6
    calm = best == _NEUTRAL
    return {
        "accepted": 100 * float(right.float().mean()),
        "feelings_missed": 100 * float(calm[feels].float().mean()),
        "false_alarms": 100 * float((~calm)[plain].float().mean()),
        "ece": calibration_error(part.said.gather(1, best[:, None])[:, 0].tolist(), right.tolist()),
    }


def choose_bias(parts: Mapping[str, Held], *, missed: float = 28.0, alarms: float = 15.0) -> float:
    """The bias for neutral with the most labels accepted: of `chats`, and half as much of the mean over the corpora.

    A bias beyond either bound on the chats loses a point for every point it is beyond.
    """
    corpora = [part for name, part in parts.items() if name != "chats"]

    def worth(bias: float) -> float:
        d = decisions(parts["chats"], bias)
        found = d["accepted"] - max(0.0, d["feelings_missed"] - missed) - max(0.0, d["false_alarms"] - alarms)
        return found + 0.5 * float(np.mean([decisions(c, bias)["accepted"] for c in corpora])) if corpora else found

    return max(BIASES, key=worth)


def model_config(context: EmotionIC, tag_threshold: float = 0.3) -> EmotionModelConfig:
    """The config before anything is chosen."""
    return EmotionModelConfig(
        labels=LABELS, context=context.config, layout=ALONE, tags=TAGS, tag_threshold=tag_threshold
    )


def with_bias(config: EmotionModelConfig, temperature: float, bias: float) -> EmotionModelConfig:
    """The config with what was chosen; offline and live alike, since both read a message alone."""
    biases = tuple(bias if label == "neutral" else 0.0 for label in LABELS) if bias else ()
    return replace(config, temperature=temperature, live_temperature=temperature, label_bias=biases)


STUDENT = "student.safetensors"
"""Where the student stands once it is trained: a run that is stopped after it goes on from there."""


def train_default(
    recipe: DefaultRecipe,
    data: Path,
    out: Path,
    *,
    answers: Path,
    start: Path | None = None,
    seed: int = 0,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """Trains the default into `out`: config.json, model.safetensors, card.md, scores.json.

    `answers` is the folder of `emotion/answers`; `start` that of a model or encoder whose deltas to begin with.
    """
    torch.manual_seed(seed)
    messages, said = read_answers(answers)
    encoder = TextEncoder.load(device=device)
    model = MessageModel(encoder).to(device_of(encoder))
    if (out / STUDENT).is_file():
        model.load_state_dict(read_file(out / STUDENT))
    else:
        if start is not None:
            given = start_tensors(start)
            model.encoder.add_deltas(part(given, "encoder."))
            model.start_from(given)
        train_student(model, recipe.student, messages, said, out, seed=seed, report=report)
        write_file(out / STUDENT, model.state_dict())
        finish(out)
    if recipe.firm.steps:
        firmed = firm(messages, said, random.Random(seed))
        train_student(model, recipe.firm, *firmed, out / "firm", seed=seed, report=report)
        finish(out / "firm")
    merged, deltas = cut_to_rank(model, recipe.rank)
    read = partial(vectors_of, merged.encoder)
    tags_of = merged.norm, merged.tags, read
    fit_tags(*tags_of, goemotions(data)[:N_TAGGED], chats(chat_files()))
    context = context_over(merged, recipe.context)
    by_text = {m.text: p for m, p in zip(messages, said.emotion, strict=True)}
    some, plain, strong = talks(merged, recipe, data, by_text, seed)
    train_context(context, some, plain, strong, recipe.contrast, out / "context", seed=seed, report=report)
    threshold, tags_f1 = fit_tag_threshold(*tags_of, goemotions(data, "validation")[:2000])
    tagger = EmotionTagger("candidate", "0", model_config(context, threshold), merged.encoder, context)
    parts = held_out_parts(tagger, recipe, data, seed)
    temperature = fit_temperature(parts)
    parts = {name: at_temperature(held_part, temperature) for name, held_part in parts.items()}
    bias = choose_bias(parts)
    scores = {f"{name}_{k}": v for name, h in parts.items() for k, v in decisions(h, bias).items()}
    scores["tags_macro_f1"] = tags_f1
    scores["chats_tags_ruled_out"] = share_ruled_out(*tags_of, chats(chat_files(), validation=True), threshold)
    save_model(out, with_bias(tagger.config, temperature, bias), deltas, context)
    write_card(
        out,
        name="emotion/ekman",
        summary="The default: Ekman's seven for ordinary chats, tags, valence and arousal beside them.",
        command="rapport train emotion/ekman --data DATA --out OUT --start ENCODER --teacher ANSWERS",
        seed=seed,
        corpora=sorted({m.corpus for m in messages} & set(LICENCES)),
        validation=scores,
    )
    return scores
