from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

from dialog.pictures.match import BANK, TEXTS, PictureMatch, captions_of
from models.encoders.lite2 import AlignedLite2, Lite2Config
from models.encoders.text import EncoderUnavailable

SMALL = Lite2Config(picture_size=64, grid=2, d_text=6, d_hidden=8, d_sentence=4)


@pytest.fixture
def match() -> PictureMatch:
    torch.manual_seed(0)
    return PictureMatch(AlignedLite2(SMALL).eval(), torch.randn(20, 6))


def test_a_picture_and_its_mirror_image_are_one_to_it(match: PictureMatch) -> None:
    picture = Image.effect_noise((64, 64), 90).convert("RGB")
    plain, mirrored = match.vectors([picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    torch.testing.assert_close(plain, mirrored, rtol=1e-3, atol=1e-4)
    assert plain.norm() == pytest.approx(1, abs=1e-5)


def test_the_fit_is_the_logarithm_of_a_share_of_the_bank(match: PictureMatch) -> None:
    pictures = F.normalize(torch.randn(1, 6), dim=-1)
    fits = match.fits(pictures.expand(20, -1), match.captions)
    assert fits.exp().sum() == pytest.approx(1, abs=1e-4)
    assert fits.argmax() == (pictures @ match.captions.T).argmax()


def test_a_folder_without_a_bank_says_so(match: PictureMatch, tmp_path: Path) -> None:
    match.network.save(tmp_path)
    with pytest.raises(EncoderUnavailable, match="no bank of captions"):
        PictureMatch.load(tmp_path)
    save_file({"captions": match.captions}, tmp_path / BANK)
    torch.testing.assert_close(PictureMatch.load(tmp_path).captions, match.captions, rtol=1e-2, atol=1e-3)


def test_a_damaged_bank_is_one_line_that_names_the_file(match: PictureMatch, tmp_path: Path) -> None:
    match.network.save(tmp_path)
    for held in ({"other": match.captions}, {"captions": torch.ones(1)}):
        save_file(held, tmp_path / BANK)
        with pytest.raises(ValueError, match=rf"{BANK} holds no vectors called captions"):
            PictureMatch.load(tmp_path)
    (tmp_path / BANK).write_bytes(b"cut")
    with pytest.raises(ValueError, match=rf"{BANK}: it is cut off or damaged"):
        PictureMatch.load(tmp_path)
    for text, fault in (('["a dog', "is not JSON"), ("{}", "expected a list of captions, got dict")):
        (tmp_path / TEXTS).write_text(text)
        with pytest.raises(ValueError, match=rf"{TEXTS}.* ?{fault}"):
            captions_of(tmp_path)


def test_a_bank_of_other_vectors_is_refused(match: PictureMatch) -> None:
    with pytest.raises(ValueError, match=r"expected captions \(M, 6\), got \(3, 4\)"):
        PictureMatch(match.network, torch.ones(3, 4))
