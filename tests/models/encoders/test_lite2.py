"""What stands on the published network: regions, a vector among captions, words, files."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from models.encoders.image import load_image_encoder
from models.encoders.lite2 import D_REGION, AlignedLite2, Lite2Config
from models.encoders.text import EncoderUnavailable

SMALL = Lite2Config(picture_size=64, grid=3, d_text=12, d_hidden=8, d_sentence=4, words=("dog", "red"))


@pytest.fixture
def encoder() -> AlignedLite2:
    torch.manual_seed(0)
    return AlignedLite2(SMALL).eval()


def pictures(*sizes: tuple[int, int]) -> list[Image.Image]:
    return [Image.effect_noise(size, 80).convert("RGB") for size in sizes]


def test_regions_have_the_shapes_the_interface_says(encoder: AlignedLite2) -> None:
    regions = encoder.encode(pictures((50, 70), (300, 20)))
    assert regions.vectors.shape == (2, 9, D_REGION) == (2, encoder.n_regions, encoder.d_model)
    assert regions.mask.all()
    assert regions.pooled is not None
    assert regions.words is not None
    assert regions.classes is not None
    assert (regions.words.shape, regions.classes.shape) == ((2, 2), (2, 1000))
    torch.testing.assert_close(regions.pooled.norm(dim=-1), torch.ones(2))


def test_one_picture_is_encoded_alike_alone_and_in_a_batch(encoder: AlignedLite2) -> None:
    some = pictures((64, 64), (80, 40), (32, 99))
    together, alone = encoder.encode(some), encoder.encode(some[1:2])
    torch.testing.assert_close(together.vectors[1:2], alone.vectors, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(together.pooled[1:2], alone.pooled, rtol=1e-3, atol=1e-4)


def test_a_region_is_where_its_box_says(encoder: AlignedLite2) -> None:
    grey, spot = Image.new("RGB", (64, 64), "grey"), Image.new("RGB", (64, 64), "grey")
    spot.paste((255, 0, 0), (48, 48, 64, 64))
    changed = (encoder.encode([grey]).vectors - encoder.encode([spot]).vectors)[0, :, -16:].abs().sum(-1)
    assert changed.argmax() == 8  # of the first stage, which sees little around a cell
    assert changed[0] < changed[8] / 50


def test_sentences_begin_where_they_are_and_keep_their_length(encoder: AlignedLite2) -> None:
    vectors = torch.nn.functional.normalize(torch.randn(5, 12), dim=-1)
    torch.testing.assert_close(encoder.sentences(vectors), vectors)
    torch.nn.init.normal_(encoder.alignment.sentence_out.weight)  # type: ignore[union-attr]
    moved = encoder.sentences(vectors)
    assert (moved - vectors).abs().max() > 0.01
    torch.testing.assert_close(moved.norm(dim=-1), torch.ones(5))


def test_an_encoder_is_the_same_after_a_trip_to_disk(encoder: AlignedLite2, tmp_path: Path) -> None:
    encoder.alignment.region_mean.normal_()
    encoder.save(tmp_path)
    again = load_image_encoder(tmp_path)
    assert (again.d_model, again.n_regions, again.d_text) == (encoder.d_model, 9, 12)
    some = pictures((64, 64))
    torch.testing.assert_close(again.encode(some).vectors, encoder.encode(some).vectors, rtol=1e-2, atol=1e-2)


def test_the_published_network_is_not_stored_again(encoder: AlignedLite2, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 200_000


def test_gradients_reach_what_is_learned_and_nothing_else(encoder: AlignedLite2) -> None:
    regions = encoder(torch.randn(2, 3, 64, 64))
    (regions.pooled[0, 0] + regions.words.sum() + encoder.sentences(torch.randn(2, 12))[0, 0]).backward()
    assert all(p.grad is not None for p in encoder.alignment.parameters())
    assert all(p.grad is None for p in encoder.network.parameters())


def test_a_folder_without_an_encoder_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailable, match="efficientnet-lite2"):
        load_image_encoder(tmp_path / "nothing")


@pytest.mark.parametrize("fault", [{"picture_size": 100}, {"dropout": 1.5}])
def test_a_shape_that_cannot_be_built_is_refused(fault: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"multiple of 32|dropout"):
        Lite2Config(**fault)  # type: ignore[arg-type]
