"""`rapport evaluate responder`: how well a model foresees what people say, and how varied what it says is."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dialog.conversation import Conversation, Utterance
from dialog.corpora import read
from dialog.corpora.derived.talks import emotions_of, talks
from dialog.evaluation.ngrams import NGrams
from dialog.replies.port import whole
from dialog.replies.turns import Turn, as_tokens, turns_of
from dialog.replies.writer import WritingResponder
from models.device import Where
from models.responder.pieces import Pieces

N_REPLIES = 200
MOST = 40
"""Tokens of a reply that is drawn for its words."""
BATCH_TOKENS = 4096


class _Text(NamedTuple):
    """A conversation as tokens, and which of them are foreseen."""

    ids: list[int]
    n_words: int
    """Words and ends of messages."""


class _Loss(NamedTuple):
    nats: float
    n_tokens: int


def evaluate_responder(
    data: Sequence[Path],
    model: str | Path | None = None,
    *,
    corpora: Path | None = None,
    device: Where = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate responder --json`.

    `perplexity` a token and `word_perplexity` a word, ends of messages counted among both, marks of emotions not:
    conversations are read in windows of the model's context, each half over the one before, and every token is
    foreseen once. `told_` knows how each message feels, where the file says. `distinct_1` and `distinct_2`: of a
    hundred words or pairs of them in replies to the files' conversations, how many are different, and beside it
    people's own. With `corpora`, the folder of the sets the model was taught, a 5-gram learns their train parts whole.
    ValueError where there is nothing to read, or no model is named: none of them is shipped.
    """
    if model is None:
        raise ValueError("expected --model FOLDER, a writer that `rapport train responder/lm` made")
    responder = WritingResponder.load(model, device=device)
    pieces, begun = responder.pieces, time.perf_counter()
    files = {path: [turns_of(c.utterances, emotions_of(_corpus(path))) for c in read(path)] for path in data}
    turns = [talk for some in files.values() for talk in some if talk]
    if not turns:
        raise ValueError(f"{', '.join(map(str, data))}: no messages to foresee")
    hidden = [_text(talk, pieces, told=False) for talk in turns]
    n_words = sum(t.n_words for t in hidden)
    metrics = _perplexities(foreseen(responder, [t.ids for t in hidden], progress), n_words)
    if any(t.emotion for talk in turns for t in talk):
        told = foreseen(responder, [_text(talk, pieces, told=True).ids for talk in turns], progress)
        metrics |= {f"told_{k}": v for k, v in _perplexities(told, n_words).items()}
    baselines: dict[str, dict[str, float]] = {}
    if corpora is not None:
        if not responder.config.corpora:
            raise ValueError(f"{responder.version} does not say what it was taught, so a 5-gram cannot learn the same")
        baselines["five_gram"] = _perplexities(
            _counted(_taught(corpora, responder.config.corpora, pieces), [t.ids for t in hidden], pieces), n_words
        )
    said, people = _replies(responder, turns, seed)
    metrics |= _distinct(said)
    baselines["people"] = _distinct(people)
    return {
        "task": "responder",
        "model": responder.version,
        "data": [str(path) for path in data],
        "n": sum(len(t) for t in turns),
        "n_conversations": len(turns),
        "seed": seed,
        "seconds": time.perf_counter() - begun,
        "metrics": metrics,
        "baselines": baselines,
    }


def _corpus(path: Path) -> str:
    """The corpus whose folder a file lies in, by name."""
    return path.resolve().parent.name


def _text(talk: Sequence[Turn], pieces: Pieces, *, told: bool) -> _Text:
    shown = talk if told else [t._replace(emotion=None) for t in talk]
    return _Text(as_tokens(shown, pieces), sum(len(t.text.split()) + 1 for t in talk))


def _wanted(ids: Tensor, pieces: Pieces) -> Tensor:
    """Which tokens are foreseen: pieces and ends."""
    return (ids >= pieces.n_marks) | (ids == pieces.end)


def windows(ids: Sequence[int], context: int) -> Iterable[tuple[int, int, int]]:
    """(begin, end, first): tokens begin to end are read, and those from `first` on are foreseen, each once."""
    yield 0, min(len(ids), context + 1), 1
    end = context + 1
    while end < len(ids):
        first, end = end, min(len(ids), end + context // 2)
        yield end - context - 1, end, first


@torch.inference_mode()
def foreseen(
    responder: WritingResponder, texts: Sequence[Sequence[int]], progress: Callable[[int, int], None] | None = None
) -> _Loss:
    """Nats over the texts' pieces and ends, and how many there are."""
    pieces, context = responder.pieces, responder.config.context
    cut = [(text[a:b], first - a) for text in texts for a, b, first in windows(text, context)]
    cut.sort(key=lambda c: len(c[0]))
    total, n, at = 0.0, 0, 0
    while at < len(cut):
        some = cut[at : at + max(1, BATCH_TOKENS // len(cut[at][0]))]
        width = max(len(ids) for ids, _ in some)
        ids = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids, _ in some], device=responder.device)
        place = torch.arange(width, device=ids.device)
        lengths, first = (
            torch.tensor(z, device=ids.device)[:, None] for z in ([len(i) for i, _ in some], [f for _, f in some])
        )
        asked = _wanted(ids, pieces) & (place >= first) & (place < lengths)
        mask = (place < lengths)[:, :-1]
        y, _ = responder.model.hidden(ids[:, :-1], mask=mask)
        wanted = asked[:, 1:]
        scores = responder.model.head(y[wanted]).float()
        total += float(F.cross_entropy(scores, ids[:, 1:][wanted], reduction="sum"))
        n, at = n + int(wanted.sum()), at + len(some)
        if progress:
            progress(at, len(cut))
    return _Loss(total, n)


def _perplexities(loss: _Loss, n_words: int) -> dict[str, float]:
    return {
        "perplexity": math.exp(loss.nats / max(1, loss.n_tokens)),
        "word_perplexity": math.exp(loss.nats / max(1, n_words)),
    }


def _taught(corpora: Path, names: Sequence[str], pieces: Pieces) -> NGrams:
    ids: list[int] = []
    for name in names:
        for c in talks(corpora, name, "train"):
            ids += as_tokens([t._replace(emotion=None) for t in turns_of(c.utterances)], pieces)
    return NGrams(np.asarray(ids, dtype=np.int64), n_tokens=len(pieces))


def _counted(ngrams: NGrams, texts: Sequence[Sequence[int]], pieces: Pieces) -> _Loss:
    nats, n = 0.0, 0
    for text in texts:
        wanted = _wanted(torch.tensor(text[1:]), pieces).numpy()
        nats -= float(ngrams.log_p(np.asarray(text, dtype=np.int64))[wanted].sum())
        n += int(wanted.sum())
    return _Loss(nats, n)


def _replies(
    responder: WritingResponder, turns: Sequence[Sequence[Turn]], seed: int
) -> tuple[list[list[str]], list[list[str]]]:
    """Words of what the model says after the first half of some conversations, and of what people said there."""
    rng = np.random.default_rng(seed)
    asked = [t for t in turns if len(t) > 1]
    drawn = rng.permutation(len(asked))[:N_REPLIES]
    said, people = [], []
    for i in drawn:
        talk = asked[i]
        half = max(1, len(talk) // 2)
        before = tuple(Utterance(speaker="AB"[k % 2], text=t.text) for k, t in enumerate(talk[:half]))
        asked_for = responder.reply(Conversation(id=str(i), utterances=before), most=MOST)
        said.append(whole(asked_for).text.lower().split())
        people.append(talk[half].text.lower().split()[:MOST])
    return said, people


def _distinct(replies: Sequence[Sequence[str]]) -> dict[str, float]:
    """Different words and pairs of words per hundred (Li et al. 2016, section 5.3)."""
    found = {}
    for n in (1, 2):
        grams = [tuple(r[i : i + n]) for r in replies for i in range(len(r) - n + 1)]
        found[f"distinct_{n}"] = 100 * len(set(grams)) / max(1, len(grams))
    return found
