"""How a slip of the fingers looks: which keys are neighbours, and how likely one word becomes another by few edits."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
PLACES: dict[str, tuple[float, float]] = {
    c: (x + shift, float(y)) for y, (row, shift) in enumerate(_ROWS) for x, c in enumerate(row)
}
"""Where the middle of a key is, in widths of a key, on an English keyboard."""
NEIGHBOURS: dict[str, str] = {
    a: "".join(b for b in PLACES if b != a and math.dist(PLACES[a], PLACES[b]) < 1.3) for a in PLACES
}


class Edit(NamedTuple):
    """One step from what was meant to what was typed."""

    kind: str
    """insert, delete, replace, swap."""
    place: int
    """In the word that was meant."""
    meant: str
    typed: str


def edits(meant: str, typed: str) -> list[Edit]:
    """The fewest edits from `meant` to `typed`, neighbouring letters swapped counting as one (Damerau 1964)."""
    start = 0
    while start < min(len(meant), len(typed)) and meant[start] == typed[start]:
        start += 1
    end = 0
    while end < min(len(meant), len(typed)) - start and meant[-1 - end] == typed[-1 - end]:
        end += 1
    middle = _edits(meant[start : len(meant) - end], typed[start : len(typed) - end])
    return [e._replace(place=e.place + start) for e in middle]


def _edits(meant: str, typed: str) -> list[Edit]:
    n, m = len(meant), len(typed)
    cost = [[i + j if i == 0 or j == 0 else 0 for j in range(m + 1)] for i in range(n + 1)]
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            same = meant[i - 1] == typed[j - 1]
            best = min(cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (not same))
            if i > 1 and j > 1 and meant[i - 1] == typed[j - 2] and meant[i - 2] == typed[j - 1]:
                best = min(best, cost[i - 2][j - 2] + 1)
            cost[i][j] = best
    found: list[Edit] = []
    i, j = n, m
    while i or j:
        here = cost[i][j]
        if i and j and meant[i - 1] == typed[j - 1] and here == cost[i - 1][j - 1]:
            i, j = i - 1, j - 1
        elif (
            i > 1
            and j > 1
            and here == cost[i - 2][j - 2] + 1
            and meant[i - 1] == typed[j - 2]
            and meant[i - 2] == typed[j - 1]
        ):
            found.append(Edit("swap", i - 2, meant[i - 2 : i], typed[j - 2 : j]))
            i, j = i - 2, j - 2
        elif i and j and here == cost[i - 1][j - 1] + 1:
            found.append(Edit("replace", i - 1, meant[i - 1], typed[j - 1]))
            i, j = i - 1, j - 1
        elif i and here == cost[i - 1][j] + 1:
            found.append(Edit("delete", i - 1, meant[i - 1], ""))
            i -= 1
        else:
            found.append(Edit("insert", i, "", typed[j - 1]))
            j -= 1
    return found[::-1]


def weight(edit: Edit, meant: str) -> float:
    """How unlikely an edit is, about 1 for one like another: less for a key beside, a letter doubled or left single."""
    first = 0.4 if edit.place == 0 else 0.0  # The first letter is seldom wrong.
    if edit.kind == "swap":
        return 0.5 + first
    if edit.kind == "replace":
        if edit.typed in NEIGHBOURS.get(edit.meant, ""):
            return 0.7 + first
        return (0.8 if edit.meant in "aeiouy" and edit.typed in "aeiouy" else 1.2) + first
    beside = meant[max(0, edit.place - 1) : edit.place + 2]
    letter = edit.meant or edit.typed
    if edit.kind == "delete":
        return 0.3 if letter == "'" else (0.5 if beside.count(letter) > 1 else 0.8) + first
    if letter in beside:
        return 0.5
    return (0.8 if any(letter in NEIGHBOURS.get(c, "") for c in beside) else 1.1) + first


class Slips(NamedTuple):
    """How often which kind of edit is, and how many a slip has: counted on pairs of words."""

    kinds: dict[str, float]
    """Shares of insert, delete, replace, swap; they sum to 1."""
    places: dict[str, tuple[float, float, float]]
    """By kind, how much of it falls on the first letter, the last, and between."""
    doubled: float
    """The share of insertions and deletions that double a letter or leave one of two out."""
    replaced: dict[str, dict[str, float]]
    """By letter meant, shares of the letters typed in its place."""


def count_slips(pairs: Iterable[tuple[str, str]]) -> Slips:
    """From pairs (typed, meant) one or two edits apart; others say nothing of fingers."""
    kinds: Counter[str] = Counter()
    places: dict[str, list[int]] = {k: [1, 1, 1] for k in ("insert", "delete", "replace", "swap")}
    doubled = single = 1
    replaced: dict[str, Counter[str]] = {}
    for typed, meant in pairs:
        if abs(len(typed) - len(meant)) > 2:
            continue
        steps = edits(meant, typed)
        if not 0 < len(steps) <= 2:
            continue
        for e in steps:
            kinds[e.kind] += 1
            places[e.kind][0 if e.place == 0 else 1 if e.place >= len(meant) - 1 else 2] += 1
            if e.kind == "replace":
                replaced.setdefault(e.meant, Counter())[e.typed] += 1
            elif e.kind in ("insert", "delete"):
                beside = meant[max(0, e.place - 1) : e.place] + meant[e.place + (e.kind == "delete") :][:1]
                if (e.meant or e.typed) in beside:
                    doubled += 1
                else:
                    single += 1
    total = sum(kinds.values()) or 1
    shares = {k: kinds[k] / total for k in places}
    by_place = {k: (v[0] / sum(v), v[1] / sum(v), v[2] / sum(v)) for k, v in places.items()}
    by_letter = {a: {b: n / sum(c.values()) for b, n in c.items()} for a, c in replaced.items()}
    return Slips(shares, by_place, doubled / (doubled + single), by_letter)
