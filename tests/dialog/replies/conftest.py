"""A responder made on the spot: untrained towers over the real encoder, and a bank of six replies."""

import pytest
import torch

from dialog.reading.text_vectors import TextReader
from dialog.replies.bank import ReplyBank, Written
from dialog.replies.built_in import MAX_TOKENS, BuiltInConfig, BuiltInResponder
from models.encoders.text import TextEncoder
from models.responder.config import TowersConfig
from models.responder.model import ReplyTowers

REPLIES = (
    ("Has your dog seen a doctor?", "neutral", ("asks",)),
    ("Which exam did you sit, and how hard was it?", "neutral", ("asks",)),
    ("That's a pity.", "sadness", ("bad",)),
    ("How sad for you.", "sadness", ("bad",)),
    ("That's wonderful!", "joy", ("good",)),
    ("Tell me more.", "neutral", ("said", "good", "bad")),
    ("Well, it depends.", None, ("asked",)),
    ("You're welcome.", "joy", ("thanks",)),
)


@pytest.fixture(scope="session")
def responder() -> BuiltInResponder:
    torch.manual_seed(0)
    config = BuiltInConfig(towers=TowersConfig(emotions=("joy", "neutral", "sadness"), d_out=384), threshold=0.2)
    towers = ReplyTowers(config.towers).eval()
    towers.start_at(torch.eye(384))
    reader = TextReader(TextEncoder.load(device="cpu"), max_tokens=MAX_TOKENS)
    written = [Written(text, emotion, "made up", kinds) for text, emotion, kinds in REPLIES]
    with torch.no_grad():
        vectors = towers.reply(torch.stack([v.sentence for v in reader.read([w.text for w in written])]))
    return BuiltInResponder("made-up", "made-up@1", config, reader, towers, ReplyBank.of(written, vectors))
