"""Who else is there, what is on the wall, what somebody sits in: things asked for by where they are or in what company.

Each answer is read off presence and counts, so that `is there anybody else?` is not answered as `is there anybody?`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dialog.pictures.reply import Reply, ranked, softmax, yes_or_no

Presence = Callable[[Sequence[str]], Tensor]
"""How likely each of some things is there, (N,)."""

THERE = {
    "sky": "cloud sun bird airplane kite moon balloon parachute helicopter",
    "wall": "picture clock mirror window sign shelf graffiti lamp painting",
    "table": "food plate cup bottle cake book glass laptop flower pizza knife bowl",
    "desk": "computer paper book lamp keyboard laptop phone cup monitor",
    "floor": "carpet rug shoe toy bag dog cat",
    "ground": "snow grass sand leaf water rock",
    "background": "tree mountain building wall house water fence sky car beach hill rock road crowd snow",
    "counter": "plate bottle sink pot microwave food cup bowl toaster",
    "shelf": "book bottle toy picture clock",
    "bed": "pillow blanket dog cat book baby teddy",
    "stage": "microphone guitar drum piano man woman crowd",
    "street": "car bus bicycle person motorcycle truck dog",
    "road": "car bus bicycle person motorcycle truck dog",
    "beach": "dog person umbrella surfboard ball rock boat",
    "plate": "food pizza cake fruit sandwich meat knife fork",
    "room": "bed table chair couch desk piano toilet sink refrigerator bookcase",
}
"""Where something may be, and what that is mostly."""
_INTO_TEXT = """\
car boat cart chair pool water box basket train bus tent sled swing grass snow sand"""
INTO = _INTO_TEXT.split()
"""What people and animals sit and lie in."""
GREY = 12.0
"""Of 256: how far apart a picture's strongest and weakest channel are on average where it is as likely black and white
as not; scanned paper is a little brown."""
CROWD = 0.75
"""How likely a crowd must be before people are not counted but many."""


def there(place: str, p_present: Presence) -> Reply:
    """What is on the wall, in the sky and so on."""
    names = THERE[place].split()
    return ranked(dict(zip(names, p_present(names).tolist(), strict=True)), cap=True)


def into(p_present: Presence) -> Reply:
    """What somebody sits or lies in."""
    return ranked(softmax(dict(zip(INTO, torch.logit(p_present(INTO), eps=1e-3).tolist(), strict=True))))


def others(counted: Reply | None, *, alone: bool, negated: bool) -> Reply | None:
    """Whether there are more than one, by what counting came to; None where it came to nothing."""
    if counted is None:
        return None
    one = sum(p for text, p in counted.answers if text in ("0", "1"))
    p = one if alone else 1 - one
    return yes_or_no(1 - p if negated else p, counted.things)


def black_and_white(small: Tensor) -> float:
    """How likely a picture (3, S, S) of bytes has no colour."""
    chroma = float((small.amax(0).float() - small.amin(0).float()).mean())
    return float(torch.sigmoid(torch.tensor((GREY - chroma) / 2)))


def rim(small: Tensor) -> Tensor:
    """The pixels (3, N) along the edges of a picture (3, S, S), an eighth of its side wide: its background mostly."""
    side = small.shape[-1]
    inside = torch.zeros(side, side, dtype=torch.bool)
    wide = max(1, side // 8)
    inside[wide : side - wide, wide : side - wide] = True
    return small[:, ~inside]
