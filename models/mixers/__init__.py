"""The sequence mixers by name, and the one way to build any of them."""

from typing import Any

from models.mixers.aaren import Aaren, AarenConfig
from models.mixers.activator import Activator, ActivatorConfig
from models.mixers.base import SequenceMixer
from models.mixers.brnn import BRNN, BRNNConfig
from models.mixers.dialog_gru import DialogGRU, DialogGRUConfig
from models.mixers.diffqkv import DiffQKV, DiffQKVConfig
from models.mixers.elman import Elman, ElmanConfig
from models.mixers.exp_norm import ExpNorm, ExpNormConfig
from models.mixers.fsmn import FSMN, FSMNConfig
from models.mixers.gam import GAM, GAMConfig
from models.mixers.gla import GLA, GLAConfig
from models.mixers.gru import GRU, GRUConfig
from models.mixers.identity_attention import IdentityAttention, IdentityAttentionConfig
from models.mixers.landmark import Landmark, LandmarkConfig
from models.mixers.liger import Liger, LigerConfig
from models.mixers.lizard import Lizard, LizardConfig
from models.mixers.lstm import LSTM, LSTMConfig
from models.mixers.min_rnn import MinRNN, MinRNNConfig
from models.mixers.miras import MemoraConfig, Miras, MirasConfig, MonetaConfig, YaadConfig
from models.mixers.normalised import Normalised, NormalisedConfig
from models.mixers.rat import RAT, RATConfig
from models.mixers.recycled import Recycled, RecycledConfig
from models.mixers.regression import MesaConfig, Regression, RegressionConfig
from models.mixers.rhn import RHN, RHNConfig
from models.mixers.routing import Routing, RoutingConfig
from models.mixers.short_conv import GatedConv, GatedConvConfig
from models.mixers.sigmoid import SigmoidAttention, SigmoidAttentionConfig
from models.mixers.softmax import SoftmaxAttention, SoftmaxAttentionConfig
from models.mixers.softmax_rnn import SoftmaxRNN, SoftmaxRNNConfig
from models.mixers.titans import Titans, TitansConfig, TitansGate, TitansGateConfig, TitansLayer, TitansLayerConfig
from models.mixers.titans_context import TitansContext, TitansContextConfig

MIXERS: dict[str, tuple[type[Any], type[SequenceMixer[Any]]]] = {
    "aaren": (AarenConfig, Aaren),
    "activator": (ActivatorConfig, Activator),
    "brnn": (BRNNConfig, BRNN),
    "dialog_gru": (DialogGRUConfig, DialogGRU),
    "diffqkv": (DiffQKVConfig, DiffQKV),
    "elman": (ElmanConfig, Elman),
    "exp_norm": (ExpNormConfig, ExpNorm),
    "fsmn": (FSMNConfig, FSMN),
    "gam": (GAMConfig, GAM),
    "gated_conv": (GatedConvConfig, GatedConv),
    "gla": (GLAConfig, GLA),
    "gru": (GRUConfig, GRU),
    "identity_attention": (IdentityAttentionConfig, IdentityAttention),
    "landmark": (LandmarkConfig, Landmark),
    "liger": (LigerConfig, Liger),
    "lizard": (LizardConfig, Lizard),
    "lstm": (LSTMConfig, LSTM),
    "memora": (MemoraConfig, Miras),
    "mesa": (MesaConfig, Regression),
    "min_rnn": (MinRNNConfig, MinRNN),
    "miras": (MirasConfig, Miras),
    "moneta": (MonetaConfig, Miras),
    "normalised": (NormalisedConfig, Normalised),
    "rat": (RATConfig, RAT),
    "recycled": (RecycledConfig, Recycled),
    "regression": (RegressionConfig, Regression),
    "rhn": (RHNConfig, RHN),
    "routing": (RoutingConfig, Routing),
    "sigmoid": (SigmoidAttentionConfig, SigmoidAttention),
    "softmax": (SoftmaxAttentionConfig, SoftmaxAttention),
    "softmax_rnn": (SoftmaxRNNConfig, SoftmaxRNN),
    "titans": (TitansConfig, Titans),
    "titans_mac": (TitansContextConfig, TitansContext),
    "titans_mag": (TitansGateConfig, TitansGate),
    "titans_mal": (TitansLayerConfig, TitansLayer),
    "yaad": (YaadConfig, Miras),
}
"""name -> (Config, Mixer). A config is complete once d_model is given; `Mixer(config)` is the mixer."""


def build_mixer(name: str, **fields: Any) -> SequenceMixer[Any]:
    """The mixer of that name, its config made of the fields: `build_mixer("dialog_gru", d_model=256, n_layers=2)`.

    Raises ValueError for a name that is not in MIXERS and for fields its config refuses.
    """
    if name not in MIXERS:
        raise ValueError(f"there is no mixer {name!r}; there are {', '.join(sorted(MIXERS))}")
    config, mixer = MIXERS[name]
    try:
        return mixer(config(**fields))
    except TypeError as error:
        raise ValueError(f"mixer {name!r}: {error}") from error
