"""From every released format to the newest, and back."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from serve.database.engine import engine_of, file_url, url_of
from serve.database.schema import NEWEST, bring_up, current, move
from serve.database.tables import metadata
from tests.serve.database import released

KEPT = {
    1: (
        "INSERT INTO chats (id, created, model, labels, total, model_version, state) "
        "VALUES ('c', '2026-01-01T00:00:00Z', 'm', '[]', 1, 'm@1', x'00ff')",
        "INSERT INTO messages (chat, n, speaker, text, error) VALUES ('c', 0, 'Ann', 'hello', 'unread')",
    ),
    2: (
        "INSERT INTO batches (id, created, filename, input_format, output_format, model, anonymise, bytes, state) "
        "VALUES ('b', '2026-01-01T00:00:00Z', 'a.txt', 'auto', 'jsonl', 'm', 0, 5000000000, 'done')",
    ),
    3: (
        "INSERT INTO visual_dialogs (id, created, picture, caption, look, total, model_version, state) "
        "VALUES ('v', '2026-01-01T00:00:00Z', x'00', 'a cap', '{}', 0, 'm@1', x'01')",
    ),
}
"""What is put into each format, and is to be there ever after."""


def kept_in(version: int) -> list[str]:
    return [row for since, rows in KEPT.items() if since <= version for row in rows]


def shape(engine: Engine) -> dict[str, Any]:
    """Everything in the database but the order of its columns, and Alembic's own table."""
    found: dict[str, Any] = {}
    looked = inspect(engine)
    for name in looked.get_table_names():
        if name == "alembic_version":
            continue
        key = looked.get_pk_constraint(name)["constrained_columns"]
        found[name] = {
            "columns": {
                c["name"]: (str(c["type"]), c["nullable"] and c["name"] not in key, _plain(c["default"]))
                for c in looked.get_columns(name)
            },
            "key": key,
            "foreign": [(f["constrained_columns"], f["referred_table"]) for f in looked.get_foreign_keys(name)],
            "unique": sorted(str(u["column_names"]) for u in looked.get_unique_constraints(name)),
            "indexes": {str(i["name"]): i["column_names"] for i in looked.get_indexes(name)},
        }
    with engine.connect() as db:
        if engine.dialect.name == "sqlite":
            found["on delete"] = {
                (name, row[6]) for name in [*found] for row in db.exec_driver_sql(f"PRAGMA foreign_key_list({name})")
            }
            rows = db.execute(text("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'")).all()
            strict = db.execute(text("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")).all()
            found["strict"] = {name for name, is_strict in strict if is_strict}
        else:
            wanted = "SELECT conrelid::regclass::text, confdeltype FROM pg_constraint WHERE contype = 'f'"
            found["on delete"] = {tuple(row) for row in db.execute(text(wanted))}
            wanted = "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal"
            rows = db.execute(text(wanted)).all()
    return {**found, "triggers": sorted(tuple(row) for row in rows)}


def _plain(default: str | None) -> str | None:
    return None if default is None else default.strip("()").partition("::")[0]


@pytest.fixture(params=["sqlite", "postgresql"])
def make_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Engines of empty databases."""
    made: list[Engine] = []

    def make() -> Engine:
        if request.param == "sqlite":
            url = file_url(tmp_path / f"{len(made)}.sqlite")
        else:
            url = url_of(request.getfixturevalue("make_database")())
        made.append(engine_of(url, patience=5, writes=True))
        return made[-1]

    if request.param == "postgresql":
        request.getfixturevalue("server")
    yield make
    for engine in made:
        engine.dispose()


def test_a_new_database_is_what_all_steps_together_make(make_engine: Callable[[], Engine]) -> None:
    new, stepped = make_engine(), make_engine()
    bring_up(new, "new")
    for version in range(1, NEWEST + 1):
        assert move(stepped, "stepped", version) == (version - 1, version)
    assert shape(stepped) == shape(new)
    with new.connect() as db:
        assert current(db) == NEWEST
    assert set(shape(new)) >= set(metadata.tables)


def test_each_step_back_leads_to_the_format_before_and_keeps_what_that_has_room_for(
    make_engine: Callable[[], Engine],
) -> None:
    engine = make_engine()
    shapes = [shape(engine)]
    for version in range(1, NEWEST + 1):
        move(engine, "up", version)
        shapes.append(shape(engine))
    with engine.begin() as db:
        for row in kept_in(3):
            is_postgresql = engine.dialect.name == "postgresql"
            db.exec_driver_sql(row.replace("x'", r"'\x") if is_postgresql else row)
    for version in reversed(range(1, NEWEST + 1)):
        with engine.connect() as db:
            assert db.execute(text("SELECT text FROM messages")).scalars().all() == ["hello"]
        move(engine, "down", version - 1)
        assert shape(engine) == shapes[version - 1], version
    move(engine, "up again", NEWEST)
    assert shape(engine) == shapes[NEWEST]


@pytest.mark.parametrize("version", range(1, len(released.STEPS) + 1))
def test_a_database_of_a_release_is_brought_up_with_what_is_in_it(tmp_path: Path, version: int) -> None:
    path = tmp_path / "old.sqlite"
    released.write(path, version, *kept_in(version))
    old, new = (engine_of(file_url(p), patience=5, writes=True) for p in (path, tmp_path / "new.sqlite"))
    bring_up(old, "old")
    bring_up(new, "new")
    assert shape(old) == shape(new)
    with old.connect() as db:
        said = "SELECT text FROM messages JOIN chats ON chats.id = chat WHERE owner = ''"
        assert db.execute(text(said)).scalars().all() == ["hello"]
        if version >= 2:
            assert db.execute(text("SELECT bytes FROM batches")).scalar_one() == 5_000_000_000
    old.dispose()
    new.dispose()


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    released.write(path, 2, "CREATE TABLE repeats (mine TEXT)", *KEPT[1])
    engine = engine_of(file_url(path), patience=5, writes=True)
    with pytest.raises(Exception, match="repeats already exists"):
        bring_up(engine, "old")
    engine.dispose()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} == {
            "chats",
            "messages",
            "batches",
            "repeats",
        }


def test_a_newer_database_is_refused_in_a_line_and_left_alone(make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    bring_up(engine, "mine")
    with engine.begin() as db:
        newer = {"sqlite": "PRAGMA user_version = 99", "postgresql": "UPDATE alembic_version SET version_num = '0099'"}
        db.exec_driver_sql(newer[engine.dialect.name])
    for refused in (lambda: bring_up(engine, "mine"), lambda: move(engine, "mine", 1)):
        with pytest.raises(ValueError, match="mine was written by another version: its format is 99, not"):
            refused()
    with pytest.raises(ValueError, match=f"there is no format {NEWEST + 1}: expected 0 to {NEWEST}"):
        move(engine, "mine", NEWEST + 1)
