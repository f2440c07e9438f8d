"""What people call runs where the weights are, from text and pictures to answers.

Whatever is made without saying where is made on `meta` here, where nothing that has numbers may meet it: so a machine
without a card notices what would fail on one. The answers themselves are compared with those made as usual.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from dialog.emotion.tagger import EmotionTagger
from dialog.pictures.match import PictureMatch
from dialog.pictures.seqdialn import VisualDialog
from dialog.reading.captions import caption_vectors
from models.device import NoSuchDevice
from models.encoders.base import ImageEncoder
from models.encoders.text import TextEncoder
from tests.dialog.tiny import LAYOUT, chat, longer
from tests.dialog.tiny_visual import make_visual, picture

META = torch.device("meta")
LOG = [longer(5), chat("A: i am so happy", "B: why"), chat(), longer(90)]


def fresh(tagger: EmotionTagger) -> EmotionTagger:
    """Without anything remembered."""
    encoder = type(tagger.encoder)(tagger.encoder.encoder, LAYOUT, version=tagger.encoder.version)
    finder = None
    if tagger.causes is not None:
        finder = type(tagger.causes)("tiny", "1", tagger.causes.config, tagger.causes.model, encoder)
    return EmotionTagger(tagger.name, "1", tagger.config, encoder, tagger.context, finder)


@pytest.mark.parametrize("mode", ["offline", "live"])
def test_a_log_is_labelled_where_the_weights_are(finding: EmotionTagger, mode: Any) -> None:
    expected, again = fresh(finding).tag(LOG, mode=mode), fresh(finding)
    with META:
        assert again.tag(LOG, mode=mode) == expected


def test_a_very_long_conversation_is(finding: EmotionTagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialog.emotion.tagger.PIECE", 20)
    monkeypatch.setattr("dialog.reading.encoding.PIECE", 20)
    expected, again = fresh(finding).tag(LOG), fresh(finding)
    with META:
        assert again.tag(LOG) == expected


def test_a_chat_is_and_goes_through_a_database(finding: EmotionTagger) -> None:
    def said(tagger: EmotionTagger) -> list[Any]:
        state, predictions, rows = tagger.start(), [], list[tuple[bytes, str]]()
        for u in longer(6).utterances:
            prediction, state = tagger.step(tagger.restore(state.head(), rows), u.speaker, u.text)
            predictions.append(prediction)
            rows.append((state.rows(1)[0], u.text))
        return predictions

    expected, again = said(fresh(finding)), fresh(finding)
    with META:
        assert said(again) == expected


def test_questions_about_a_picture_are(tmp_path: Path) -> None:
    def asked(dialog: VisualDialog) -> list[Any]:
        state, answers = dialog.start(dialog.look(picture()), caption="a dog"), []
        for question in ("is it a dog?", "what is it?", "why is it happy"):
            answer, state = dialog.ask(dialog.restore(state.to_bytes()), question)
            answers.append(answer)
        return answers

    model = make_visual(tmp_path, familiar=True)
    expected, again = asked(VisualDialog.load(model)), VisualDialog.load(model)
    with META:
        assert asked(again) == expected


def test_captions_and_their_fit_are(tmp_path: Path, encoder: TextEncoder) -> None:
    make_visual(tmp_path)
    eyes = VisualDialog.load(tmp_path / "model").eyes
    assert isinstance(eyes, ImageEncoder)
    captions = caption_vectors(["the dog", "oh well", "it is a good film"], encoder)
    match = PictureMatch(eyes, captions)  # type: ignore[arg-type]
    expected = match.fits(match.vectors([picture(1), picture(2)]), captions[:2])
    with META:
        again = caption_vectors(["the dog", "oh well", "it is a good film"], encoder)
        assert torch.equal(match.fits(match.vectors([picture(1), picture(2)]), again[:2]), expected)


def test_what_is_loaded_goes_where_it_is_told(
    model_folder: Path, causes_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = EmotionTagger.load(model_folder, causes=causes_folder, device="cpu")
    assert tagger.causes is not None
    assert tagger.device == tagger.causes.device == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for load, model in ((EmotionTagger.load, model_folder), (VisualDialog.load, make_visual(tmp_path))):
        with pytest.raises(NoSuchDevice, match="no card that PyTorch can use"):
            load(model, device="cuda")
