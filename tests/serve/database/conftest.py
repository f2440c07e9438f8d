"""A PostgreSQL for the tests that need one, where Debian's is installed."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine

from serve.database.engine import url_of
from tests.serve.database import postgresql
from tests.serve.database.postgresql import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    place = postgresql.binaries()
    if place is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql), or nobody may run it")
    with postgresql.running(place) as server:
        yield server


@pytest.fixture
def make_database(server: Server) -> Callable[[], str]:
    """The URL of an empty database, as often as it is called."""

    def make() -> str:
        name = f"rapport_{uuid.uuid4().hex}"
        engine = create_engine(url_of(server.url()), isolation_level="AUTOCOMMIT")
        with engine.connect() as db:
            db.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return server.url(name)

    return make
