"""`rapport chat`: a chat in the terminal, each message labelled at once; with an assistant, if one is wanted."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from models.catalogue import EMOTION, REPLY
from ui.commands.options import AsJson, ModelName


def chat(
    model: ModelName = EMOTION,
    assistant: Annotated[bool, typer.Option("--assistant", help="Have every message answered.")] = False,
    responder: Annotated[
        str, typer.Option(help="With --assistant: who answers; a shipped model, lm:FOLDER, or URL#MODEL.")
    ] = REPLY,
    network: Annotated[
        bool, typer.Option("--network", help="A language model may be fetched from the hub, by lm:NAME.")
    ] = False,
    keep: Annotated[
        Path | None, typer.Option(help="With --assistant: a file for the chat, which goes on where it was left.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Chat in the terminal: type `Name: text`, see each message's emotion at once."""
    from dialog.emotion.tagger import EmotionTagger
    from ui.commands.kept_chat import KeptChat
    from ui.commands.terminal import progress
    from ui.commands.terminal_chat import converse

    if not assistant and (network or responder != REPLY or keep is not None):
        raise ValueError("--responder, --network and --keep belong to --assistant")
    kept = KeptChat(keep)
    with progress("Loading the model"):
        tagger = EmotionTagger.load(model)
    if not assistant:
        return converse(tagger, sys.stdin, as_json=as_json)
    from dialog.replies.choosing import open_responder
    from ui.commands.terminal_assistant import converse_with

    with progress("Loading the responder"):
        who = open_responder(responder, network=network)
    return converse_with(who, tagger, sys.stdin, kept=kept, as_json=as_json)
