"""Markdown tables, and figures as the documents write them."""

from collections.abc import Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; an empty cell stays empty."""
    lines = [head, ["---"] * len(head), *rows]
    return (
        "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        .replace("| --- |", "|---|")
        .replace(" --- |", "---|")
    )


def percent(figures: dict[str, Any], metric: str) -> str:
    """One decimal, with the 95 % interval where there is one; empty where the figure is not known."""
    value, interval = figures.get(metric), figures.get(f"{metric}_95")
    if value is None:
        return ""
    return f"{value:.1f}" + (f" ({interval[0]:.1f} to {interval[1]:.1f})" if interval else "")


def fraction(figures: dict[str, Any], metric: str) -> str:
    """Three decimals, with the 95 % interval where there is one."""
    value, interval = figures.get(metric), figures.get(f"{metric}_95")
    if value is None:
        return ""
    return f"{value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def ratio(value: float | None) -> str:
    """Two digits that count, never more than two decimals but for what is below a tenth."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
