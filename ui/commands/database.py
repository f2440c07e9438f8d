"""`rapport database`: the format of a service's database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine

database = typer.Typer(
    name="database", help="Print the format of a service's database, or bring it to another.", no_args_is_help=True
)

Config = Annotated[str | None, typer.Option(help="A YAML file, or a profile: laptop, gpu, cluster.")]
DataDir = Annotated[Path | None, typer.Option(help="Where chats are kept.")]


@database.command()
def current(config: Config = None, data_dir: DataDir = None) -> int:
    """Print the format of the database, and the newest there is."""
    from serve.database import schema

    with _opened(config, data_dir) as (engine, _), engine.connect() as db:
        print(f"{schema.current(db)} of {schema.NEWEST}")
    return 0


@database.command()
def upgrade(
    version: Annotated[int | None, typer.Argument(metavar="FORMAT", help="By default the newest.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> int:
    """Bring the database up to a format; `rapport serve` brings it to the newest by itself."""
    return _move(version, config, data_dir, down=False)


@database.command()
def downgrade(
    version: Annotated[int, typer.Argument(metavar="FORMAT", help="Its number; 0 leaves nothing.")],
    config: Config = None,
    data_dir: DataDir = None,
) -> int:
    """Bring the database down to the format of an older rapport, while no service runs; what that has no room for is
    lost."""
    return _move(version, config, data_dir, down=True)


def _move(version: int | None, config: str | None, data_dir: Path | None, *, down: bool) -> int:
    from serve.database import schema
    from ui.commands.terminal import note

    wanted = schema.NEWEST if version is None else version
    with _opened(config, data_dir) as (engine, name):
        with engine.connect() as db:
            before = schema.current(db)
        if (wanted > before) if down else (wanted < before):
            other = "upgrade" if down else "downgrade"
            raise ValueError(f"the database is of format {before}: to {wanted} leads `rapport database {other}`")
        before, after = schema.move(engine, name, wanted)
    note(f"rapport: the database was of format {before}, and is of format {after}")
    return 0


@contextmanager
def _opened(config: str | None, data_dir: Path | None) -> Iterator[tuple["Engine", str]]:
    """The database of a configuration, and what it is called."""
    from sqlalchemy.exc import DBAPIError

    from serve.config import AppConfig
    from serve.database.engine import described, engine_of, file_url, url_of
    from serve.storage import DATABASE

    settings = AppConfig.load(config, data_dir=data_dir)
    path = settings.data_folder() / DATABASE
    if settings.database_url is None and not path.exists():
        raise ValueError(f"there is no database {path}; `rapport serve` makes one")
    url = file_url(path) if settings.database_url is None else url_of(settings.database_url)
    name = str(path) if settings.database_url is None else url.render_as_string(hide_password=True)
    engine = engine_of(url, patience=5.0, writes=True, kept=False)
    try:
        yield engine, name
    except DBAPIError as error:
        raise ValueError(f"the database {name} cannot be used: {described(error)}") from None
    finally:
        engine.dispose()
