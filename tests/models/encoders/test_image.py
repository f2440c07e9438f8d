"""The other two kinds of picture encoder, at random weights saved to disk: they load, run and keep the interface."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
import transformers
from PIL import Image
from safetensors.torch import save_file

from models.catalogue import EYES
from models.encoders.base import ImageEncoder
from models.encoders.image import load_image_encoder
from models.encoders.text import EncoderUnavailable


def saved(name: str, folder: Path, **options: object) -> str:
    """The name under which a torchvision model with random weights can be loaded."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None, **options)
    file = folder / f"{name}.safetensors"
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, file)
    return f"torchvision:{name}@{file}"


def vit(folder: Path) -> None:
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8
    )
    transformers.ViTModel(config).save_pretrained(folder)


def dinov2_with_registers(folder: Path) -> None:
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=1, image_size=32, patch_size=8
    )
    transformers.Dinov2WithRegistersModel(config).save_pretrained(folder)


def clip(folder: Path) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.CLIPConfig(
        text_config=small | {"vocab_size": 50}, vision_config=small | {"image_size": 32, "patch_size": 8}
    )
    transformers.CLIPModel(config).save_pretrained(folder)


def resnet(folder: Path) -> None:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    transformers.ResNetModel(config).save_pretrained(folder)


TOWERS: dict[str, tuple[Callable[[Path], None], int]] = {
    "vit": (vit, 16),
    "dinov2 with registers": (dinov2_with_registers, 16),
    "clip": (clip, 16),
    "resnet": (resnet, 16),
}


def load_tower(kind: str, folder: Path) -> ImageEncoder:
    torch.manual_seed(0)
    TOWERS[kind][0](folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return load_image_encoder(folder)


def noise(*sizes: tuple[int, int]) -> list[Image.Image]:
    return [Image.effect_noise(size, 90).convert("RGB") for size in sizes]


@pytest.mark.parametrize("kind", TOWERS)
def test_a_transformers_tower_gives_its_patches(kind: str, tmp_path: Path) -> None:
    encoder = load_tower(kind, tmp_path)
    regions = encoder.encode(noise((40, 30), (64, 64)))
    assert regions.vectors.shape == (2, encoder.n_regions, encoder.d_model)
    assert encoder.d_model == TOWERS[kind][1]
    assert encoder.n_regions == 16
    assert regions.pooled is None
    assert encoder.d_text is None
    assert regions.mask.all()
    torch.testing.assert_close(regions.boxes[0, 0], torch.tensor([0, 0, 0.25, 0.25]))


def test_the_class_token_is_no_region(tmp_path: Path) -> None:
    encoder = load_tower("vit", tmp_path)
    picture = noise((32, 32))
    states = encoder.network(pixel_values=encoder.prepare(picture[0])[None]).last_hidden_state
    torch.testing.assert_close(encoder.encode(picture).vectors, states[:, 1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "swin_t"])
def test_a_torchvision_classifier_gives_its_grid(name: str, tmp_path: Path) -> None:
    encoder = load_image_encoder(saved(name, tmp_path))
    regions = encoder.encode(noise((100, 80)))
    assert regions.vectors.shape == (1, 49, encoder.d_model)
    assert encoder.d_model == {"resnet18": 512, "mobilenet_v3_small": 576, "swin_t": 768}[name]
    assert regions.vectors.isfinite().all()
    assert regions.pooled is None


def test_a_detector_gives_its_surest_boxes_and_masks_the_rest(tmp_path: Path) -> None:
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    encoder = load_image_encoder(saved(name, tmp_path, weights_backbone=None))
    encoder.model.roi_heads.score_thresh = 0.0  # random weights are sure of nothing
    regions = encoder.encode(noise((120, 90), (64, 200)))
    assert regions.vectors.shape == (2, 36, 1024)
    assert regions.mask.any()
    assert (regions.vectors[~regions.mask] == 0).all()
    assert (regions.vectors[regions.mask].abs().sum(-1) > 0).all()
    boxes = regions.boxes[regions.mask]
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert (boxes[:, 2:] >= boxes[:, :2]).all()


def test_a_detector_that_sees_nothing_says_so(tmp_path: Path) -> None:
    encoder = load_image_encoder(saved("fasterrcnn_mobilenet_v3_large_320_fpn", tmp_path, weights_backbone=None))
    encoder.model.roi_heads.score_thresh = 1.1
    regions = encoder.encode(noise((50, 50)))
    assert not regions.mask.any()
    assert regions.vectors.abs().sum() == 0


def test_weights_that_are_not_there_are_never_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(EncoderUnavailable, match=r"checkpoints.*weights='DEFAULT'"):
        load_image_encoder("torchvision:fasterrcnn_resnet50_fpn_v2")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchvision:nosuchnet", "no such model"),
        ("torchvision:resnet18@weights.pth", "safetensors"),
        ("torchvision:resnet18@nowhere.safetensors", "cannot read"),
        ("nowhere/at-all", "preprocessor_config"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_was_expected(name: str, said: str) -> None:
    with pytest.raises(EncoderUnavailable, match=said):
        load_image_encoder(name)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    name = saved("resnet18", tmp_path).replace("torchvision:resnet18@", "torchvision:resnet34@")
    with pytest.raises(EncoderUnavailable, match="do not fit"):
        load_image_encoder(name)


def test_a_model_of_texts_alone_is_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(EncoderUnavailable, match="takes no pictures"):
        load_image_encoder(tmp_path)


def test_the_shipped_network_loads_and_is_small_enough() -> None:
    encoder = load_image_encoder()
    regions = encoder.encode(noise((300, 200)))
    assert regions.vectors.shape == (1, 64, 584)
    assert regions.pooled is not None
    assert regions.pooled.shape == (1, 384)
    weights = Path(__file__).parents[3] / "models" / "weights" / "vision" / EYES / "model.safetensors"
    assert weights.stat().st_size < 12_000_000
