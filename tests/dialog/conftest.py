"""A tiny encoder and a tiny emotion model, made once for all tests of this folder."""

from pathlib import Path

import pytest

from dialog.emotion.tagger import EmotionTagger
from models.encoders.text import TextEncoder
from tests.dialog.tiny import make_causes, make_encoder, make_model


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny", encoder_folder)


@pytest.fixture(scope="session")
def encoder(encoder_folder: Path) -> TextEncoder:
    return TextEncoder.load(encoder_folder)


@pytest.fixture(scope="session")
def tagger(model_folder: Path) -> EmotionTagger:
    return EmotionTagger.load(model_folder)


@pytest.fixture(scope="session")
def causes_folder(tmp_path_factory: pytest.TempPathFactory, tagger: EmotionTagger) -> Path:
    return make_causes(tmp_path_factory.mktemp("models") / "tiny-causes", tagger.encoder.version)


@pytest.fixture(scope="session")
def finding(model_folder: Path, causes_folder: Path) -> EmotionTagger:
    """The tiny emotion model, with causes."""
    return EmotionTagger.load(model_folder, causes=causes_folder)
