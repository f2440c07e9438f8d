"""Pictures that show nothing a photograph shows, of every size: what a model should own up to not understanding."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDES = (64, 96, 160, 320, 640, 1024, 2000, 4000)
KINDS = ("noise", "blotches", "stripes", "flat", "white", "black", "gradient", "text page", "screenshot")
_WORDS_TEXT = """\
the quick brown fox jumps over lazy dogs while nobody reads what is written on a page such as this one"""
_WORDS = _WORDS_TEXT.split()


def strange_pictures(n: int, seed: int = 0, *, largest: int = 1024) -> list[Image.Image]:
    """So many, of all kinds and of SIDES up to the largest, in turn."""
    rng = np.random.default_rng(seed)
    sides = [side for side in SIDES if side <= largest]
    return [strange_picture(KINDS[i % len(KINDS)], sides[i // len(KINDS) % len(sides)], rng) for i in range(n)]


def strange_picture(kind: str, side: int, rng: np.random.Generator) -> Image.Image:
    """One of a kind, square."""
    if kind == "noise":
        return _image(rng.integers(0, 256, (side, side, 3)))
    if kind == "blotches":
        small = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        return Image.fromarray(small).resize((side, side), Image.Resampling.NEAREST)
    if kind == "stripes":
        width = max(2, int(side * rng.uniform(0.02, 0.1)))
        dark = (np.arange(side) // width % 2)[:, None, None] > 0
        one, other = rng.integers(0, 256, (2, 1, 1, 3))
        return _image(np.broadcast_to(np.where(dark, one, other), (side, side, 3)))
    if kind in ("flat", "white", "black"):
        colour = {"white": (255, 255, 255), "black": (0, 0, 0)}.get(kind) or tuple(
            int(v) for v in rng.integers(0, 256, 3)
        )
        return Image.new("RGB", (side, side), colour)
    if kind == "gradient":
        one, other = rng.integers(0, 256, (2, 1, 1, 3)).astype(float)
        share = np.linspace(0, 1, side)[:, None, None]
        turned = np.broadcast_to(one + (other - one) * share, (side, side, 3))
        return _image(turned if rng.random() < 0.5 else turned.transpose(1, 0, 2))
    return _page(side, rng) if kind == "text page" else _screenshot(side, rng)


def _page(side: int, rng: np.random.Generator) -> Image.Image:
    """Black words on white, line under line."""
    page = Image.new("RGB", (side, side), (252, 252, 252))
    draw, step = ImageDraw.Draw(page), max(9, side // 28)
    for y in range(step, side - step, step):
        words = " ".join(rng.choice(_WORDS, 24))
        draw.text((step, y), words[: int(rng.integers(20, 60))], fill=(20, 20, 20), font_size=max(8, step - 3))
    return page


def _screenshot(side: int, rng: np.random.Generator) -> Image.Image:
    """A window: a bar, a list at the left, lines of text, a button."""
    shot = Image.new("RGB", (side, side), (245, 246, 248))
    draw, unit = ImageDraw.Draw(shot), max(8, side // 24)
    draw.rectangle((0, 0, side, 2 * unit), fill=tuple(int(v) for v in rng.integers(30, 120, 3)))
    draw.rectangle((0, 2 * unit, 5 * unit, side), fill=(228, 231, 236))
    for row in range(2, side // unit - 2):
        draw.text((unit // 2, (row + 1) * unit), str(rng.choice(_WORDS)), fill=(70, 70, 80), font_size=max(8, unit - 4))
        words = " ".join(rng.choice(_WORDS, 8))
        draw.text((6 * unit, (row + 1) * unit), words, fill=(40, 40, 40), font_size=max(8, unit - 4))
    draw.rectangle((side - 6 * unit, side - 3 * unit, side - unit, side - unit), fill=(40, 110, 220))
    return shot


def _image(pixels: NDArray[np.float64] | NDArray[np.int64]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels).astype(np.uint8))
