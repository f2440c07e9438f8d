"""A picture encoder by name: three kinds of them stand behind one interface (base.py).

`efficientnet-lite2` is the built-in one (lite2.py). `torchvision:<model>` is a detector or a classifier
of torchvision (image_torchvision.py). Anything else is a transformers vision tower, by folder or hub name
(image_transformers.py).
"""

from pathlib import Path

from models.catalogue import EYES
from models.device import Where, choose_device
from models.encoders.base import TORCHVISION, ImageEncoder
from models.encoders.lite2 import AlignedLite2, is_aligned_lite2


def load_image_encoder(name: str | Path = EYES, *, device: Where = None) -> ImageEncoder:
    """The encoder by name, in evaluation mode: `efficientnet-lite2`, `torchvision:<model>` (with its default weights
    from torchvision's cache; `torchvision:<model>@<file.safetensors>` names a file), or a transformers vision tower by
    folder or hub name. A folder that `models.checkpoint` wrote holds what was taught to the built-in one.

    Raises EncoderUnavailable with what was looked for and how to get it.
    """
    if str(name) == EYES or is_aligned_lite2(Path(name)):
        return AlignedLite2.load_folder(name, device=device)
    if str(name).startswith(TORCHVISION):
        from models.encoders.image_torchvision import load_torchvision  # heavy: only for those who ask for it

        return load_torchvision(str(name).removeprefix(TORCHVISION)).to(choose_device(device))
    from models.encoders.image_transformers import TransformersVision

    return TransformersVision.load_tower(name).to(choose_device(device))
