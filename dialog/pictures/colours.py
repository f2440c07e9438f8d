"""The colours of a part of a picture, by their everyday names, measured on its pixels."""

import torch
from torch import Tensor

COLOURS = ("black", "white", "gray", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")

_BY_HUE = ((15, "red"), (42, "orange"), (70, "yellow"), (165, "green"), (255, "blue"), (290, "purple"), (335, "pink"))
"""Up to which hue in degrees a colour of full strength goes by which name; from the last on it is red again."""


def shares(pixels: Tensor) -> Tensor:
    """Which share of the pixels (3, N) of bytes goes by each of COLOURS, (11,); sums to 1."""
    rgb = pixels.float() / 255
    high, low = rgb.amax(0), rgb.amin(0)
    chroma = high - low
    saturation = chroma / high.clamp(min=1e-6)
    names = torch.full((rgb.shape[1],), COLOURS.index("red"))
    hue = _hue(rgb, high, chroma)
    for until, name in reversed(_BY_HUE):
        names = torch.where(hue < until, COLOURS.index(name), names)
    # Dark orange and dark or dull red-yellow are what people call brown; light red is pink.
    warm = (hue < 50) | (hue > 345)
    names = torch.where(warm & (high < 0.68) & (hue > 8) & (hue < 50), COLOURS.index("brown"), names)
    names = torch.where(warm & (saturation < 0.5) & (high < 0.8) & (hue < 50), COLOURS.index("brown"), names)
    names = torch.where(((hue > 335) | (hue < 15)) & (high > 0.8) & (saturation < 0.55), COLOURS.index("pink"), names)
    pale = (saturation < 0.17) | (chroma < 0.07)
    names = torch.where(pale, COLOURS.index("gray"), names)
    names = torch.where(pale & (high > 0.78), COLOURS.index("white"), names)
    names = torch.where((high < 0.2) | (pale & (high < 0.28)), COLOURS.index("black"), names)
    return torch.bincount(names, minlength=len(COLOURS)).float() / max(1, rgb.shape[1])


def _hue(rgb: Tensor, high: Tensor, chroma: Tensor) -> Tensor:
    """Degrees from 0 to 360; 0 where there is no colour."""
    r, g, b = rgb
    c = chroma.clamp(min=1e-6)
    hue = torch.where(high == r, ((g - b) / c) % 6, torch.where(high == g, (b - r) / c + 2, (r - g) / c + 4))
    return 60 * hue


def apart(pixels: Tensor, small: Tensor, *, least: float = 0.1) -> Tensor:
    """Those of the pixels (3, N) that are not of the ground a picture (3, S, S) stands on, where its rim is of one
    colour and at least so large a share is not: of a thing on white paper, the thing."""
    rim = torch.cat([small[:, 0], small[:, -1], small[:, :, 0], small[:, :, -1]], 1).float()  # (3, 4 S)
    ground = rim.median(1).values[:, None]
    if float(((rim - ground).abs().amax(0) < 24).float().mean()) < 0.85:
        return pixels
    other = (pixels.float() - ground).abs().amax(0) > 40
    return pixels[:, other] if float(other.float().mean()) >= least else pixels


def within(small: Tensor, box: tuple[float, float, float, float], *, inset: float = 0.15) -> Tensor:
    """The pixels (3, N) of a picture (3, S, S) inside a box of fractions x0, y0, x1, y1, its rim left out."""
    x0, y0, x1, y1 = box
    dx, dy = inset * (x1 - x0), inset * (y1 - y0)
    side = small.shape[-1]
    left, right = int((x0 + dx) * side), max(int((x0 + dx) * side) + 1, round((x1 - dx) * side))
    top, bottom = int((y0 + dy) * side), max(int((y0 + dy) * side) + 1, round((y1 - dy) * side))
    return small[:, top:bottom, left:right].flatten(1)
