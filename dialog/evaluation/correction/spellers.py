"""Two spelling correctors people use, behind the same call as ours: pyspellchecker and symspellpy.

They come with `rapport[dev]`. Both change every word they do not know; so that a comparison is fair, ours is measured
with its margins lowered too, until it spoils as much.
"""

import importlib.resources
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec

from dialog.correction.corrector import Correction, Edit, TextCorrector, applied
from dialog.correction.pieces import in_case_of, pieces

Mend = Callable[[str], Correction]
LOWERED = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)
"""By how much both margins are lowered, to spoil as much clean text as a peer does."""


def there() -> dict[str, Mend]:
    """Those that are installed, by name."""
    packages = {"pyspellchecker": "spellchecker"}
    return {name: made() for name, made in PEERS.items() if find_spec(packages.get(name, name)) is not None}


def looser(corrector: TextCorrector, less: float) -> TextCorrector:
    """The corrector with both margins so much lower."""
    config = corrector.config
    lowered = replace(config, margin=config.margin - less, margin_known=config.margin_known - less)
    return TextCorrector(corrector.name, lowered, corrector.network, corrector.lexicon)


def _by_word(correct: Callable[[str], str | None]) -> Mend:
    def mend(text: str) -> Correction:
        edits = []
        for p in pieces(text):
            if p.kind == "word":
                best = correct(p.text.lower())
                if best and best != p.text.lower():
                    edits.append(Edit(p.start, p.end, p.text, in_case_of(p.text, best), 1.0))
        return Correction(text, applied(text, edits), tuple(edits))

    return mend


def _pyspellchecker() -> Mend:
    from spellchecker import SpellChecker

    checker = SpellChecker()
    return _by_word(lambda word: word if word in checker else checker.correction(word))


def _symspellpy() -> Mend:
    from symspellpy import SymSpell, Verbosity

    checker = SymSpell(max_dictionary_edit_distance=2)
    words = importlib.resources.files("symspellpy") / "frequency_dictionary_en_82_765.txt"
    checker.load_dictionary(str(words), 0, 1)

    def correct(word: str) -> str | None:
        found = checker.lookup(word, Verbosity.TOP, max_edit_distance=2)
        return found[0].term if found else None

    return _by_word(correct)


PEERS: dict[str, Callable[[], Mend]] = {"pyspellchecker": _pyspellchecker, "symspellpy": _symspellpy}
