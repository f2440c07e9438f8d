"""Responders by name: ours, a language model by folder, or another service by URL."""

from pathlib import Path

from dialog.replies.port import Responder
from models.catalogue import REPLY, path_of
from models.device import Where

LANGUAGE_MODEL = "lm:"


def open_responder(name: str = REPLY, *, network: bool = False, device: Where = None) -> Responder:
    """The responder of that name.

    A shipped one or its folder (`reply/built-in`), or a writer's (`rapport train responder/lm`); `lm:FOLDER` or
    `lm:HUB-NAME`, a causal language model of transformers, or what `rapport linearise` made of one;
    `https://HOST/v1#MODEL`, a service that speaks OpenAI's chat completions. `network` lets a hub name be fetched.
    ValueError says what is wrong with the name, or missing.
    """
    if name.startswith(LANGUAGE_MODEL):
        from dialog.replies.language_model import LanguageModelResponder

        return LanguageModelResponder.load(name.removeprefix(LANGUAGE_MODEL), network=network, device=device)
    if name.startswith(("http://", "https://")):
        from dialog.replies.endpoint import EndpointResponder

        url, _, model = name.partition("#")
        if not model:
            raise ValueError(f"responder {name!r}: expected URL#MODEL, the service's address and its model's name")
        return EndpointResponder(url, model)
    from dialog.replies.built_in import BuiltInConfig, BuiltInResponder
    from models.checkpoint import read_config
    from models.responder.writer import WriterConfig

    if isinstance(read_config(path_of(name), BuiltInConfig, WriterConfig), WriterConfig):
        from dialog.replies.writer import WritingResponder

        return WritingResponder.load(Path(name) if Path(name).is_dir() else name, device=device)
    return BuiltInResponder.load(Path(name) if Path(name).is_dir() else name, device=device)
