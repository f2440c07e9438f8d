"""The pointer networks that can be trained: one row each, a few minutes on a core of one's own, the wide ones ten.

Narrower and shorter than the paper's million examples.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PointerRow:
    """What it is for, and the function of `pointer` beside this that makes its recipe, with arguments for it."""

    summary: str
    recipe: str
    arguments: tuple[int, ...] = ()


POINTERS: dict[str, PointerRow] = {
    "pointer/hull": PointerRow("convex hulls of 5 to 10 points", "hull"),
    "pointer/hull-softmax": PointerRow("the same, read by softmax attention", "hull_softmax"),
    "pointer/hull-wide": PointerRow("the same, wider and longer", "hull", (16_000, 96)),
    "pointer/tsp-5": PointerRow("shortest tours of 5 cities", "tsp", (5,)),
    "pointer/tsp-10": PointerRow("shortest tours of 10 cities", "tsp", (10, 6_000)),
    "pointer/delaunay-5": PointerRow("Delaunay triangulations of 5 points", "delaunay"),
    "pointer/delaunay-5-wide": PointerRow("the same, wider and longer", "delaunay_wide"),
}
"""By name."""
