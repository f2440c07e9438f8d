"""A model that answers about pictures, small enough to make on the spot: random weights, real files, real loading."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dialog.pictures.familiarity import Familiarity
from dialog.pictures.seqdialn import VisualDialog, VisualModelConfig, eyes_version
from dialog.reading.seeing import see
from dialog.reading.text_vectors import TextReader, batched
from models.encoders.image import load_image_encoder
from models.encoders.lite2 import AlignedLite2, Lite2Config
from models.encoders.text import TextEncoder
from models.seqdialn.config import SeqDialNConfig
from models.seqdialn.model import SeqDialN
from tests.dialog.tiny import make_encoder

ANSWERS = ("yes", "no", "dog", "two dogs", "red", "i am happy")
WORDS = ("dog", "yes", "no", "red", "happy")


def picture(seed: int = 0, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A picture of coloured blots, a few pixels wide: of noise as it is nothing would be familiar."""
    rng = np.random.default_rng(seed)
    blots = rng.integers(0, 255, (-(-size[1] // 4), -(-size[0] // 4), 3), dtype=np.uint8)
    return Image.fromarray(blots).resize(size, Image.Resampling.BICUBIC)


def make_eyes(folder: Path, words: tuple[str, ...] = (), side: int = 32) -> Path:
    """The built-in network with an alignment of random weights."""
    torch.manual_seed(4)
    shape = Lite2Config(picture_size=side, grid=2, d_text=32, d_hidden=8, d_sentence=0, words=words)
    AlignedLite2(shape).save(folder)
    return folder


def make_visual(
    folder: Path,
    *,
    familiar: bool = False,
    blind: bool = False,
    told: tuple[str, ...] = (),
    side: int = 32,
    **fields: Any,
) -> Path:
    """The model in folder / "model", its encoders beside it; `told` are the words its eyes tell, `side` the pixels to a
    side that they see."""
    text = make_encoder(folder / "text")
    make_eyes(folder / "eyes", told, side)
    eyes, reader = load_image_encoder(folder / "eyes"), TextReader(TextEncoder.load(text))
    small: dict[str, Any] = {"d_model": 16, "n_heads": 2, "d_answer": 16, "dropout": 0.0, "d_sentence": 32}
    config = SeqDialNConfig(d_text=32, d_region=eyes.d_model, n_words=len(WORDS), **(small | fields))
    model = SeqDialN(config).eval()
    with torch.inference_mode():
        option = batched(reader.read(ANSWERS))
        options = model.discriminative.options(option.words, option.mask)
    whole = VisualModelConfig(
        network=config,
        answers=ANSWERS,
        words=WORDS,
        picture_encoder=str(folder / "eyes"),
        picture_encoder_version=eyes_version(str(folder / "eyes")),
        text_encoder=str(text),
        temperature=0.5,
        blind=blind,
    )
    kin = None
    if familiar:
        from dialog.pictures.familiarity import picture_features

        features = torch.stack([picture_features(s.vectors) for s in see(eyes, [picture(i) for i in range(60)])])
        kin = Familiarity.fit([features[:40]], features[40:], share=1.0)
    return VisualDialog("tiny", "0", whole, model, options, eyes, reader, kin).save(folder / "model")
