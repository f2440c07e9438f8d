"""A corrector of random weights that is quick to make: what holds of it holds of any."""

import torch

from dialog.correction.corrector import CorrectorModelConfig, TextCorrector
from dialog.correction.lexicon import N_FEATURES, Lexicon
from models.corrector import Corrector, CorrectorConfig

COUNTS = {
    **{"the": 900, "cat": 300, "cats": 200, "sat": 250, "on": 700, "mat": 90, "a": 2_900, "lot": 100, "don't": 300},
    **{"i": 2_000, "i'm": 500, "tomorrow": 80, "see": 200, "you": 1_500, "can't": 200, "wait": 100, "to": 1_200},
}


def make_corrector(margin: float = -1.0) -> TextCorrector:
    """With a margin of -1 every word that has a candidate is changed, with 1 none is."""
    torch.manual_seed(0)
    network = CorrectorConfig(
        d_model=16, d_char=6, n_filters=(4, 6, 6), d_query=8, d_word=6, n_words=12, n_features=N_FEATURES
    )
    config = CorrectorModelConfig(network=network, margin=margin, margin_known=margin)
    return TextCorrector("tiny", config, Corrector(network), Lexicon(COUNTS))
