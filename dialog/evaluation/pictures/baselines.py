"""What a score on questions about pictures is worth: how near an answer is, and what needs no picture to be said."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

Similarity = Callable[[str, str], float]
NEAR = 0.7
"""Similarities below it count a tenth, as below 0.9 in WUPS (Malinowski and Fritz 2014); a cosine is no WUP."""


def singular(word: str) -> str:
    """A word without the s or es of its plural, by rule of thumb."""
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")) else word


def lenient(said: str, truth: str, similarity: Similarity) -> float:
    """How near an answer is to the right one, 0 to 1: WUPS over lists, with a similarity of ours for WordNet's.

    min(prod_a max_t s(a, t), prod_t max_a s(a, t)) over the things a said and t true; s is 1 for the same word in
    whichever number, else the similarity, a tenth of it if that is below NEAR.
    """
    a_list, t_list = (([w.strip() for w in text.split(",") if w.strip()] or [text]) for text in (said, truth))

    def s(a: str, t: str) -> float:
        if singular(a) == singular(t):
            return 1.0
        near = max(0.0, min(1.0, similarity(a, t)))
        return near if near >= NEAR else near / 10

    return min(
        math.prod(max(s(a, t) for t in t_list) for a in a_list), math.prod(max(s(a, t) for a in a_list) for t in t_list)
    )


def question_type(question: str) -> str:
    """The kind of question, by its first words: `how many`, `what color`, `what is`, `is`, and `statement` for none."""
    words = question.lower().split()
    if words[:1] in (["what"], ["how"], ["which"]):
        return " ".join(words[:2])
    return words[0] if words and words[0] in ("is", "are", "does", "who", "where", "do") else "statement"


class Priors:
    """The commonest training answer, over all and by question type."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        overall, by_type = Counter[str](), dict[str, Counter[str]]()
        for question, answer in pairs:
            overall[answer] += 1
            by_type.setdefault(question_type(question), Counter())[answer] += 1
        if not overall:
            raise ValueError("no training answer to take a prior from")
        self.majority = overall.most_common(1)[0][0]
        self._by_type = {kind: some.most_common(1)[0][0] for kind, some in by_type.items()}

    @classmethod
    def stored(cls, rows: Iterable[tuple[str, str, str]], kind: str) -> "Priors":
        """Those that a model keeps of its training, as `rows`: (kind of round, question type or nothing, answer)."""
        own = {question_type: answer for of, question_type, answer in rows if of == kind}
        if "" not in own:
            raise ValueError(
                f"no training answer to take a prior from, of {kind}; neither the data nor the model has one"
            )
        found = cls([("", own[""])])
        found._by_type = {name: answer for name, answer in own.items() if name}
        return found

    def rows(self, kind: str) -> list[tuple[str, str, str]]:
        """What `stored` reads."""
        return [(kind, "", self.majority), *((kind, name, answer) for name, answer in sorted(self._by_type.items()))]

    def by_type(self, question: str) -> str:
        return self._by_type.get(question_type(question), self.majority)


def roc_area(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """The share of (positive, negative) pairs in which the positive scores higher; a tie counts half."""
    from scipy.stats import rankdata

    n_positive = sum(positive)
    if not 0 < n_positive < len(positive):
        raise ValueError(f"expected some positives and some negatives, got {n_positive} of {len(positive)}")
    ranks = rankdata(scores)
    total = sum(r for r, p in zip(ranks, positive, strict=True) if p)
    return float((total - n_positive * (n_positive + 1) / 2) / (n_positive * (len(positive) - n_positive)))
