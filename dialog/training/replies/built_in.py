"""The default responder: two towers over frozen sentence vectors, trained to find the reply that was given."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.conversation import Conversation
from dialog.corpora import load_corpus
from dialog.corpora.ekman import in_ekman
from dialog.labels import LABEL_SETS
from dialog.reading.text_vectors import TextReader
from dialog.replies.bank import ReplyBank, Written
from dialog.replies.built_in import MAX_TOKENS, BuiltInConfig
from dialog.replies.fit import as_written, known_words, may_be_asked, may_be_said
from dialog.replies.kinds import ASKS
from dialog.replies.pairs import Pair, pairs, same_text, tidy
from dialog.training.best import Best
from dialog.training.card import write_card
from dialog.training.loop import Progress, Schedule, finish, run
from models import checkpoint
from models.checkpoint import read_json
from models.device import choose_device, mixed_precision
from models.encoders.text import TextEncoder
from models.responder.config import TowersConfig
from models.responder.model import ReplyTowers, contrastive_loss
from models.tensors import read_file, read_note, write_file

VECTORS = "texts.safetensors"
GENERAL = Path(__file__).with_name("general_replies.json")
LIMITS = """\
English only. It says again what somebody once said to somebody else: it knows nothing of the world, looks nothing up,
answers no question of fact, remembers nothing beyond four messages, and may contradict itself. Its filter is a list of
words: what it lets through may still offend. It is no counsellor and gives no advice to be relied on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RepliesRecipe:
    """How much of which train part, and for how long."""

    conversations: Mapping[str, int] = field(
        default_factory=lambda: {"dailydialog": 5500, "self_dialogue": 1200, "emocontext": 3500}
    )
    """So many conversations of each corpus's train part, drawn by the seed."""
    validation: Mapping[str, int] = field(default_factory=lambda: {"dailydialog": 250, "empathetic_dialogues": 500})
    said_again: tuple[str, ...] = ("dailydialog", "self_dialogue")
    """The corpora whose replies are offered."""
    well_written: str = "dailydialog"
    """The corpus whose words may stand in a reply, names and rare ones left out."""
    towers: TowersConfig = field(default_factory=lambda: TowersConfig(emotions=LABEL_SETS["ekman"]))
    batch: int = 512
    epochs: float = 12
    lr: float = 1e-3
    emotion_dropout: float = 0.5
    """How often an emotion is kept from the tower, so that it does without; of each of the two."""
    threshold: float = 0.47
    """The least cosine of a message and a question that is asked about it: what read best in sixty talks of our own."""
    n_replies: int = 5_000
    """At most."""


class Rows(NamedTuple):
    """Pairs as places in a table of vectors; -1 is no message."""

    messages: Tensor  # (P, n)
    reply: Tensor  # (P,)
    felt: Tensor
    to_feel: Tensor


def train_replies(
    recipe: RepliesRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    report: Callable[[Progress], None] | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Trains, chooses weights and threshold on validation, and writes the model with its bank. Gives the scores of
    validation: hits at 1 of 100 by corpus, in per cent."""
    rng, n = random.Random(seed), recipe.towers.n_messages
    train = {c: _drawn(load_corpus(data, c, "train"), k, rng) for c, k in recipe.conversations.items()}
    held = {c: _drawn(load_corpus(data, c, "validation"), k, rng) for c, k in recipe.validation.items()}
    asked = {c: [p for one in some for p in pairs(one, n)] for c, some in train.items()}
    tried = {c: [p for one in some for p in pairs(one, n)] for c, some in held.items()}
    everything = [*asked.values(), *tried.values()]
    general = general_replies()
    texts = list(dict.fromkeys(t for some in everything for p in some for t in (*p.messages, p.reply)))
    texts = list(dict.fromkeys([*texts, *(written.text for written in general)]))
    vectors = _vectors(texts, out / VECTORS, device, report)
    place = {text: i for i, text in enumerate(texts)}
    emotions = recipe.towers.emotions
    learned = [_rows(some, place, emotions, n) for some in asked.values()]
    checked = {c: _rows(some, place, emotions, n) for c, some in tried.items()}
    kinds = _kinds(texts)

    torch.manual_seed(seed)
    towers = ReplyTowers(recipe.towers)
    towers.start_at(_principal(vectors, recipe.towers.d_out))
    best = Best(dict(towers.named_parameters()))
    both = nn.ModuleList([towers, best])  # a checkpoint has what was best so far too
    sizes = torch.tensor([len(rows.reply) for rows in learned], dtype=torch.float)
    steps = int(recipe.epochs * float(sizes.sum()) / recipe.batch)
    every = max(1, steps // 12)

    def loss_at(step: int) -> Tensor:
        if step % every == 0 and step:
            _consider(towers, best, checked, vectors, kinds)
        towers.train()
        rows = learned[int(torch.multinomial(sizes, 1))]  # of one corpus: what it sounds like tells nothing
        some = torch.randint(len(rows.reply), (min(recipe.batch, len(rows.reply)),))
        unknown = len(emotions)
        felt, to_feel = (
            torch.where(torch.rand(len(some)) < recipe.emotion_dropout, unknown, e[some])
            for e in (rows.felt, rows.to_feel)
        )
        context = towers.context(_gathered(vectors, rows.messages[some]), felt, to_feel)
        reply = towers.reply(vectors[rows.reply[some]].float())
        kind = kinds[rows.reply[some]]
        return contrastive_loss(context, reply, kind[:, None] == kind, towers.log_scale)

    schedule = Schedule(steps=steps, lr=recipe.lr, lr_new=recipe.lr, weight_decay=0.05, save_every=every)
    run(both, [], loss_at, schedule, out, seed, report)
    _consider(towers, best, checked, vectors, kinds)
    best.copy_to(dict(towers.named_parameters()))
    towers.eval()
    scores = {f"{c}_hits_at_1_of_100": hits(towers, rows, vectors, kinds) for c, rows in checked.items()}
    bank = _bank(recipe, asked, general, place, vectors, towers)
    config = BuiltInConfig(towers=recipe.towers, threshold=recipe.threshold)
    checkpoint.save(out, towers, config, dtype=torch.float16)
    bank.save(out)
    scores |= {"threshold": recipe.threshold, "n_replies": len(bank), "n_pairs": int(sizes.sum())}
    write_card(
        out,
        name="reply/built-in",
        summary="Answers in a conversation with one of the replies that people wrote: two towers over frozen MiniLM.",
        command="rapport train reply/built-in --data DATA --out DIR",
        seed=seed,
        corpora=[*recipe.conversations, *recipe.validation],
        validation=scores,
        task="reply",
        limits=LIMITS,
    )
    finish(out)
    (out / VECTORS).unlink()
    return scores


def hits(towers: ReplyTowers, rows: Rows, vectors: Tensor, kinds: Tensor, seed: int = 0) -> float:
    """How often the reply given is nearer than 99 others of the same part, in per cent."""
    unknown = len(towers.config.emotions)
    with torch.no_grad():
        context = towers.context(_gathered(vectors, rows.messages), rows.felt, torch.full_like(rows.to_feel, unknown))
        reply = towers.reply(vectors[rows.reply].float())
        generator = torch.Generator().manual_seed(seed)
        others = torch.randint(len(reply), (len(reply), 99), generator=generator)
        own = (context * reply).sum(1)
        scores = torch.einsum("pd,pkd->pk", context, reply[others])
        same = kinds[rows.reply][others] == kinds[rows.reply][:, None]
        return float((scores.masked_fill(same, -1) < own[:, None]).all(1).double().mean() * 100)


def _consider(towers: ReplyTowers, best: Best, checked: Mapping[str, Rows], vectors: Tensor, kinds: Tensor) -> None:
    towers.eval()
    scores = [hits(towers, rows, vectors, kinds) for rows in checked.values()]
    best.consider(sum(scores) / len(scores), dict(towers.named_parameters()))


def _drawn(conversations: list[Conversation], n: int, rng: random.Random) -> list[Conversation]:
    return rng.sample(conversations, min(n, len(conversations)))


def _rows(some: Sequence[Pair], place: Mapping[str, int], emotions: Sequence[str], n: int) -> Rows:
    def feeling(name: str | None) -> int:
        label = in_ekman(name)
        return emotions.index(label) if label in emotions else len(emotions)

    messages = [[place[t] for t in p.messages] + [-1] * (n - len(p.messages)) for p in some]
    return Rows(
        torch.tensor(messages),
        torch.tensor([place[p.reply] for p in some]),
        torch.tensor([feeling(p.felt) for p in some]),
        torch.tensor([feeling(p.to_feel) for p in some]),
    )


def _gathered(vectors: Tensor, messages: Tensor) -> Tensor:
    """(P, n, D) of the places (P, n), zeros at -1."""
    return vectors[messages.clamp(min=0)].float() * (messages >= 0)[..., None]


def _kinds(texts: Sequence[str]) -> Tensor:
    """A number a text, equal for texts that say the same."""
    known: dict[str, int] = {}
    return torch.tensor([known.setdefault(same_text(t), len(known)) for t in texts])


def _principal(vectors: Tensor, width: int) -> Tensor:
    """The principal directions (width, D) of unit vectors (N, D), which keep as much of their cosines as can be."""
    x = vectors.float()
    directions: Tensor = torch.linalg.eigh(x.T @ x / len(x)).eigenvectors[:, -width:]
    return directions.T.contiguous()


def _vectors(texts: Sequence[str], path: Path, device: str | None, report: Callable[[Progress], None] | None) -> Tensor:
    """Sentence vectors (N, D) float16; kept beside the run, so that a stop in between costs a piece."""
    where, piece = choose_device(device), 2048
    if path.is_file() and read_note(path) != [len(texts), texts[0], texts[-1]]:
        raise ValueError(f"{path} belongs to other texts; remove it, or choose another folder")
    reader = TextReader(TextEncoder.load(device=where), cache_texts=1, max_tokens=MAX_TOKENS)
    nothing = torch.zeros(0, reader.width, dtype=torch.float16)
    done = read_file(path)["vectors"] if path.is_file() else nothing
    path.parent.mkdir(parents=True, exist_ok=True)
    while len(done) < len(texts):
        with mixed_precision(where):
            some = reader.read(texts[len(done) : len(done) + piece])
        done = torch.cat([done, torch.stack([v.sentence for v in some]).half()])
        write_file(path, {"vectors": done}, [len(texts), texts[0], texts[-1]])
        if report:
            report(Progress(len(done), len(texts), 0.0))
    return done


def general_replies() -> list[Written]:
    """The replies that answer every message of a kind. They were chosen by hand, out of those that the train parts have
    more than once; nobody could say by a rule which they are."""
    return [Written(text, emotion, source, tuple(kinds)) for text, emotion, source, kinds in read_json(GENERAL)]


def _bank(
    recipe: RepliesRecipe,
    asked: Mapping[str, Sequence[Pair]],
    general: Sequence[Written],
    place: Mapping[str, int],
    vectors: Tensor,
    towers: ReplyTowers,
) -> ReplyBank:
    """The general replies, then the questions that may be asked of anybody, those asked by most first."""
    found = {same_text(w.text): (w, place[w.text]) for w in general}
    times: dict[str, int] = {}
    known = known_words(p.reply for p in asked[recipe.well_written])
    for corpus in recipe.said_again:
        for p in asked[corpus]:
            text, same = as_written(tidy(p.reply)), same_text(p.reply)
            if may_be_asked(text) and may_be_said(text, known):
                times[same] = times.get(same, 0) + 1
                found.setdefault(same, (Written(text, in_ekman(p.to_feel), corpus, (ASKS,)), place[p.reply]))
    few = sorted(found, key=lambda same: (found[same][0] not in general, -times.get(same, 0), same))
    kept = [found[same] for same in few[: recipe.n_replies]]
    with torch.no_grad():
        replies = towers.reply(vectors[[i for _, i in kept]].float())
    return ReplyBank.of([written for written, _ in kept], F.normalize(replies, dim=-1))
