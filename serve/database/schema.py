"""The formats of the database: 1, 2, 3 and so on, as releases added to it. SQLite keeps its number in `user_version`,
PostgreSQL in Alembic's table."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, column, inspect, select, table

from serve.database.engine import alone
from serve.database.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = 15
"""What this release writes."""
_SCRIPTS = Path(__file__).parent / "migrations"
_VERSIONS = "alembic_version"


def current(db: Connection) -> int:
    """The format of the database; 0 for an empty one. ValueError where nobody knows it."""
    if db.dialect.name == "sqlite":
        return int(db.exec_driver_sql("PRAGMA user_version").scalar_one())
    if not inspect(db).has_table(_VERSIONS):
        return 0
    found = db.execute(select(table(_VERSIONS, column("version_num")).c.version_num)).scalars().all()
    if len(found) > 1 or not all(version.isdigit() for version in found):
        raise ValueError(f"the database has been written by something else: its format is {', '.join(found)}")
    return int(found[0]) if found else 0


def bring_up(engine: Engine, name: str) -> None:
    """Makes the newest format of an empty or an older database, in one transaction. ValueError for a newer one."""
    with engine.begin() as db:
        alone(db, "schema")
        version = current(db)
        if version > NEWEST:
            raise ValueError(f"{name} was written by another version: its format is {version}, not {NEWEST}")
        if version == 0:
            metadata.create_all(db, checkfirst=False)
            _stamp(db, NEWEST)
        elif version < NEWEST:
            _migrate(db, version, NEWEST)


def move(engine: Engine, name: str, version: int) -> tuple[int, int]:
    """Brings the database to this format, up or down; what a lower one has no room for is lost. The formats before
    and after. ValueError for a format there is not, or a database that is newer than this release."""
    if not 0 <= version <= NEWEST:
        raise ValueError(f"there is no format {version}: expected 0 to {NEWEST}")
    with engine.begin() as db:
        alone(db, "schema")
        before = current(db)
        if before > NEWEST:
            raise ValueError(f"{name} was written by another version: its format is {before}, not {NEWEST}")
        if before != version:
            _migrate(db, before, version)
    return before, version


def _migrate(db: Connection, before: int, after: int) -> None:
    from alembic import command  # a tenth of a second, and seldom needed

    config = _config(db)
    command.stamp(config, _revision(before), purge=True)
    if after > before:
        command.upgrade(config, _revision(after))
    else:
        command.downgrade(config, _revision(after))
    if db.dialect.name == "sqlite":
        db.exec_driver_sql(f"PRAGMA user_version = {after}")


def _stamp(db: Connection, version: int) -> None:
    if db.dialect.name == "sqlite":
        db.exec_driver_sql(f"PRAGMA user_version = {version}")
        return
    from alembic import command

    command.stamp(_config(db), _revision(version))


def _config(db: Connection) -> "Config":
    from alembic.config import Config

    config = Config(attributes={"connection": db})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(version: int) -> str:
    return f"{version:04d}" if version else "base"
