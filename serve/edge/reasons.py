"""What the sender of a log or a recording may know of what went wrong with it."""

import errno

from dialog.annotation.output import NoSpace
from serve.edge.problems import Refusal


def is_full(error: BaseException) -> bool:
    """Whether a disk is full, ours or the database's."""
    if isinstance(error, Refusal):
        return error.status == 507
    return isinstance(error, NoSpace) or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT))


def reason(error: Exception) -> str:
    """In words: our own ValueErrors say what came and what was expected, others are our fault."""
    if is_full(error):
        return "the disk of the service is full"
    return str(error) if isinstance(error, ValueError) else "a fault of the service; its log says more"
