"""Ways of writing, each with what it means, in one pattern: a text is looked through once for all of them."""

import re
from collections.abc import Mapping


class Meanings:
    """What is meant -> how it is written, a regular expression without named groups of its own."""

    def __init__(self, written: Mapping[str, str]) -> None:
        self.pattern = "|".join(f"(?P<m{i}>{how})" for i, how in enumerate(written.values()))
        """To be set in a larger one, of which a match comes back to `of`."""
        self._meant = tuple(written)

    def of(self, match: re.Match[str]) -> str:
        """What a match of the pattern means."""
        return self._meant[int((match.lastgroup or "m0")[1:])]
