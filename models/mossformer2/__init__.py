"""MossFormer2: a mixture of voices as as many waveforms (Zhao et al. 2024, arXiv 2312.11825)."""

from models.mossformer2.config import MossFormer2Config
from models.mossformer2.model import MossFormer2

__all__ = ["MossFormer2", "MossFormer2Config"]
