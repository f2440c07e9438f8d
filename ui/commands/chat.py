"""`rapport chat`: a chat in the terminal, each message labelled at once."""

import sys

from models.catalogue import EMOTION
from ui.commands.options import AsJson, ModelName


def chat(model: ModelName = EMOTION, as_json: AsJson = False) -> int:
    """Chat in the terminal: type `Name: text`, see each message's emotion at once."""
    from dialog.emotion.tagger import EmotionTagger
    from ui.commands.terminal import progress
    from ui.commands.terminal_chat import converse

    with progress("Loading the model"):
        tagger = EmotionTagger.load(model)
    return converse(tagger, sys.stdin, as_json=as_json)
