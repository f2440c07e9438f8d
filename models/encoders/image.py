"""A picture encoder by name: three kinds of them stand behind one interface (base.py).

`built-in` is our own small network (residual_network.py), shipped. `torchvision:<model>` is a detector or a classifier
of torchvision (image_torchvision.py). Anything else is a transformers vision tower, by folder or hub name
(image_transformers.py).
"""

from pathlib import Path

from models.catalogue import EYES
from models.device import Where, choose_device
from models.encoders.base import TORCHVISION, ImageEncoder
from models.encoders.residual_network import ResidualNetwork, is_residual_network


def load_image_encoder(name: str | Path = EYES, *, device: Where = None) -> ImageEncoder:
    """The encoder by name, in evaluation mode: `built-in`, `torchvision:<model>` (with its default weights from
    torchvision's cache; `torchvision:<model>@<file.safetensors>` names a file), or a transformers vision tower by
    folder or hub name. A folder that `models.checkpoint` wrote holds a built-in network.

    Raises EncoderUnavailable with what was looked for and how to get it.
    """
    if str(name) == EYES or is_residual_network(Path(name)):
        return ResidualNetwork.load_folder(name, device=device)
    if str(name).startswith(TORCHVISION):
        from models.encoders.image_torchvision import load_torchvision  # heavy: only for those who ask for it

        return load_torchvision(str(name).removeprefix(TORCHVISION)).to(choose_device(device))
    from models.encoders.image_transformers import TransformersVision

    return TransformersVision.load_tower(name).to(choose_device(device))
