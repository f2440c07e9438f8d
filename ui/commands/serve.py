"""`rapport serve`: the page and the service."""

from pathlib import Path
from typing import Annotated

import typer

from models.catalogue import EMOTION


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. \\[default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. \\[default: 8000]")] = None,
    config: Annotated[str | None, typer.Option(help="A YAML file, or a profile: laptop, gpu, cluster.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where chats are kept. \\[default: the user's data folder]")
    ] = None,
    model: Annotated[str | None, typer.Option(help=f"The model that answers. \\[default: {EMOTION}]")] = None,
    watch: Annotated[
        bool | None, typer.Option("--watch/--no-watch", help="Watch the service itself: what runs full, what slows.")
    ] = None,
) -> int:
    """Start the web page and the REST service."""
    from serve.config import AppConfig
    from serve.ray.checks import check

    watched = None if watch is None else {"on": watch}
    settings = AppConfig.load(config, host=host, port=port, data_dir=data_dir, model=model, watch=watched)
    check(settings)  # what is in the way is said before Ray is imported, which takes seconds
    from ui.commands.service import serve_everything

    return serve_everything(settings)
