"""Where a program stands in a grid. CUDA's second and third axes of a grid end at 65,535, and rows times heads may
not, so a grid is a line: its first axis goes on to 2^31 - 1. What is counted first moves fastest."""

# mypy: ignore-errors
import math

import triton
import triton.language as tl

PROGRAMS_WANTED = 512
"""About four a multiprocessor on a Hopper chip: enough loads in flight to keep its memory busy."""
MAX_SEGMENTS = 64


def line(*counts: int) -> tuple[int]:
    """The grid of as many programs as the product of counts, of which the last are rows."""
    return (math.prod(counts),)


def segments(tiles: int, programs: int, on_gpu: bool) -> tuple[int, int]:
    """Into how many parts time is cut where so many programs would not fill the chip, and how many tiles are a part's.

    Two where there is no chip, so that an interpreted kernel has a border to get right.
    """
    parts = min(MAX_SEGMENTS, tiles, triton.cdiv(PROGRAMS_WANTED, programs)) if on_gpu else min(2, tiles)
    each = triton.cdiv(tiles, parts)
    return triton.cdiv(tiles, each), each


@triton.jit
def block_and_row(blocks):
    """Which of so many blocks this program has, and its row as int64, in `line(blocks, rows)`."""
    place = tl.program_id(0)
    return place % blocks, (place // blocks).to(tl.int64)


@triton.jit
def blocks_and_row(first, second):
    """This program's two blocks, and its row as int64, in `line(first, second, rows)`."""
    place = tl.program_id(0)
    return place % first, place // first % second, (place // first // second).to(tl.int64)
