"""A PostgreSQL of one's own, from Debian's packages, in a temporary folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serve.running import free_port

_NOBODYS = "postgres"
"""Who runs it where we are root, whom the server refuses."""


def binaries() -> Path | None:
    """Where `initdb` and `postgres` are; None where they are not installed."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists() and _user() is not None), None)


class Server:
    """A running server. It may be stopped and started again."""

    def __init__(self, place: Path, folder: Path, port: int) -> None:
        self._place = place
        self._folder = folder
        self._port = port

    def url(self, name: str = "postgres") -> str:
        """Of one of its databases."""
        return f"postgresql://rapport:secret@127.0.0.1:{self._port}/{name}"

    def start(self) -> None:
        """Until it answers."""
        said = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        log = str(self._folder / "log")
        _run(self._place / "pg_ctl", "-D", str(self._folder / "data"), "-l", log, "-o", said, "-w", "start")

    def stop(self) -> None:
        """At once; whoever is connected is cut off."""
        _run(self._place / "pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")


@contextmanager
def running(place: Path) -> Iterator[Server]:
    """A server with an empty cluster, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="rapport-postgresql-"))
    word = folder / "word"
    word.write_text("secret")
    user = _user()
    if user is not None and os.getuid() == 0:
        for path in (folder, word):
            shutil.chown(path, user.pw_uid, user.pw_gid)
    server = Server(place, folder, free_port())
    try:
        made = ("-D", str(folder / "data"), "-U", "rapport", "-A", "scram-sha-256", "--pwfile", str(word), "-N")
        _run(place / "initdb", *made, "-E", "UTF8", "--locale=C.UTF-8")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(os.getuid()) if os.getuid() else pwd.getpwnam(_NOBODYS)
    except KeyError:
        return None


def _run(program: Path, *arguments: str) -> None:
    user = _user()
    as_user = {"user": user.pw_uid, "group": user.pw_gid} if user is not None and os.getuid() == 0 else {}
    subprocess.run([program, *arguments], check=True, capture_output=True, cwd="/", timeout=120, **as_user)  # type: ignore[call-overload]
