"""`rapport evaluate reply`: how often a responder finds the reply that was given among 99 others."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from torch import Tensor

from dialog.corpora import read
from dialog.corpora.ekman import in_ekman
from dialog.replies.built_in import BuiltInResponder, stacked
from dialog.replies.pairs import Pair, pairs, same_text
from models.catalogue import REPLY
from models.device import Where

OTHERS = 99
PIECE = 512


class _Asked(NamedTuple):
    """Pairs of a file, which dialogue each is of, and for each the places of 100 replies, its own the first."""

    pairs: list[Pair]
    dialogue: NDArray[np.int64]
    among: NDArray[np.int64]


def evaluate_reply(
    data: Sequence[Path],
    model: str | Path = REPLY,
    *,
    device: Where = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate reply --json`.

    Every message that answers another is looked for among 99 other replies of the same file, drawn by the seed, none
    of the same words. `hits_at_1_of_100` and `mrr` in per cent, with 95 % intervals over dialogues; a tie counts
    against the model. Without a prefix nothing but the messages is read. Where the file has emotions, `felt_` knows
    that of the last message, and `told_` that of the reply too. ValueError where nothing is answered.
    """
    responder = BuiltInResponder.load(model, device=device)
    asked = [_asked(path, responder.config.towers.n_messages, seed) for path in data]
    n = sum(len(a.pairs) for a in asked)
    begun = time.perf_counter()
    ranks: dict[str, list[NDArray[np.int64]]] = {}
    for done, one in enumerate(asked, 1):
        for name, found in _ranks(one, responder).items():
            ranks.setdefault(name, []).append(found)
        if progress:
            progress(done, len(asked))
    groups = np.concatenate([a.dialogue + 1_000_000 * i for i, a in enumerate(asked)])
    scores = {name: _scores(np.concatenate(some), groups) for name, some in ranks.items()}
    prefixes = {"": "towers", "felt_": "felt", "told_": "told"}
    return {
        "task": "reply",
        "model": responder.version,
        "data": [str(path) for path in data],
        "n": n,
        "n_conversations": len(set(groups.tolist())),
        "seed": seed,
        "seconds": time.perf_counter() - begun,
        "metrics": {prefix + k: v for prefix, of in prefixes.items() for k, v in scores.get(of, {}).items()},
        "baselines": {name: scores[name] for name in ("bm25", "untuned_encoder", "random")},
    }


def _asked(path: Path, n_messages: int, seed: int) -> _Asked:
    found = [(i, p) for i, c in enumerate(read(path)) for p in pairs(c, n_messages)]
    same = np.array([hash(same_text(p.reply)) for _, p in found])
    if len(set(same.tolist())) <= OTHERS:
        raise ValueError(f"{path}: {len(set(same.tolist()))} different replies; 100 are needed to choose among")
    rng = np.random.default_rng(seed)
    among = np.empty((len(found), OTHERS + 1), dtype=np.int64)
    for i in range(len(found)):
        drawn = rng.permutation(len(found))[: 3 * OTHERS] if len(found) < 2000 else rng.integers(0, len(found), 300)
        _, first = np.unique(same[drawn], return_index=True)
        others = [j for j in drawn[np.sort(first)] if same[j] != same[i]][:OTHERS]
        while len(others) < OTHERS:
            j = int(rng.integers(0, len(found)))
            if same[j] != same[i]:
                others.append(j)
        among[i] = [i, *others]
    return _Asked([p for _, p in found], np.array([i for i, _ in found]), among)


def _ranks(asked: _Asked, responder: BuiltInResponder) -> dict[str, NDArray[np.int64]]:
    """Where each pair's own reply comes among its hundred, from 1, by who ranks them."""
    texts = list(dict.fromkeys(t for p in asked.pairs for t in (*p.messages, p.reply)))
    read_now = [v.sentence for at in range(0, len(texts), PIECE) for v in responder.reader.read(texts[at : at + PIECE])]
    vectors = dict(zip(texts, read_now, strict=True))
    towers, n = responder.towers, responder.config.towers.n_messages
    device = towers.context_skip.weight.device
    messages = torch.stack([stacked([vectors[t] for t in p.messages], n) for p in asked.pairs]).to(device)
    plain = torch.stack([vectors[p.reply] for p in asked.pairs])
    known = responder.config.towers.emotions
    felt, to_feel = (
        torch.tensor([known.index(e) if e in known else len(known) for e in map(in_ekman, some)], device=device)
        for some in ([p.felt for p in asked.pairs], [p.to_feel for p in asked.pairs])
    )
    unknown = torch.full_like(felt, len(known))
    ways = {"towers": (unknown, unknown)}
    if bool((felt < len(known)).any()):
        ways |= {"felt": (felt, unknown), "told": (felt, to_feel)}
    with torch.inference_mode():
        replies = towers.reply(plain.to(device)).cpu()
        ranked = {
            name: _by_nearness(towers.context(messages, *emotions).cpu(), replies, asked.among)
            for name, emotions in ways.items()
        }
    ranked["untuned_encoder"] = _by_nearness(messages[:, 0].cpu(), plain, asked.among)
    ranked["bm25"] = _by_words(asked)
    ranked["random"] = np.random.default_rng(0).integers(1, OTHERS + 2, len(asked.pairs))
    return ranked


def _by_nearness(contexts: Tensor, replies: Tensor, among: NDArray[np.int64]) -> NDArray[np.int64]:
    places = torch.from_numpy(among)
    scores = [torch.einsum("pd,pkd->pk", contexts[i : i + PIECE], replies[places[i : i + PIECE]])
              for i in range(0, len(contexts), PIECE)]  # fmt: skip
    return _rank(torch.cat(scores).numpy())


def _by_words(asked: _Asked, k1: float = 1.5, b: float = 0.75) -> NDArray[np.int64]:
    """BM25 (Robertson and Zaragoza 2009, eq. 3.15): the last message asks, the file's replies are the documents."""
    counter = CountVectorizer(token_pattern=r"[a-z0-9']+")
    counts = csr_matrix(counter.fit_transform([p.reply for p in asked.pairs])).astype(np.float64)
    query = csr_matrix(counter.transform([p.messages[0] for p in asked.pairs]).astype(bool)).astype(np.float64)
    n, length = counts.shape[0], np.asarray(counts.sum(1)).ravel()
    df = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log(1 + (n - df + 0.5) / (df + 0.5))
    rows = np.repeat(np.arange(n), np.diff(counts.indptr))
    counts.data = (
        idf[counts.indices]
        * counts.data * (k1 + 1) / (counts.data + k1 * (1 - b + b * length[rows] / length.mean()))
    )  # fmt: skip
    scores = np.stack([(counts[asked.among[i]] @ query[i].T).toarray().ravel() for i in range(n)])
    return _rank(scores)


def _rank(scores: NDArray[Any]) -> NDArray[np.int64]:
    """From scores (P, 100), the own reply's first."""
    return np.asarray(1 + (scores[:, 1:] >= scores[:, :1]).sum(1), dtype=np.int64)


def _scores(ranks: NDArray[np.int64], groups: NDArray[np.int64]) -> dict[str, Any]:
    """In per cent, with intervals: 500 times the dialogues are drawn again, whole."""
    ids, which = np.unique(groups, return_inverse=True)
    sizes, rng = np.bincount(which), np.random.default_rng(0)
    drawn = np.stack([np.bincount(rng.integers(0, len(ids), len(ids)), minlength=len(ids)) for _ in range(500)])
    scores: dict[str, Any] = {}
    for name, value in (("hits_at_1_of_100", (ranks == 1).astype(float)), ("mrr", 1 / ranks)):
        low, high = np.percentile(drawn @ np.bincount(which, value) / (drawn @ sizes), [2.5, 97.5])
        scores |= {name: 100 * float(value.mean()), f"{name}_95": (100 * float(low), 100 * float(high))}
    return scores
