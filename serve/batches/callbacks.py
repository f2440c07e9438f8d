"""Who is told that a batch has ended: which addresses may be, how what is told is signed, and what was tried so far.

The signature is that of https://www.standardwebhooks.com: receivers check it with the libraries there are for it.
"""

import hashlib
import hmac
import ipaddress
import socket
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from sqlalchemy import Connection, insert, select, update

from serve.database.tables import batches, callbacks
from serve.edge.problems import Fault, Refusal
from serve.edge.proxies import Address, Network, address_of
from serve.storage import STAMP

State = Literal["waiting", "delivered", "failed"]
_PORTS = {"http": 80, "https": 443}
_SECRET = "whsec_"
"""How a secret begins that is bytes in base 64; any other is its characters."""
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses with an IPv4 address in their last four bytes."""


class NotAllowed(ValueError):
    """The address is none that may be called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredCallback:
    """What became of telling the owner of a batch so far. Times are UTC."""

    batch: str
    url: str
    state: State
    tries: int
    due: str
    """When it is tried next; empty for at once."""
    tried: str | None
    status: int | None
    """What was answered last."""
    error: str | None


def expect_allowed(url: str, hosts: Sequence[str]) -> None:
    """Refusal 422 for what is no address to call, 403 where it is on no list."""
    try:
        parts = split(url)
    except NotAllowed as error:
        raise Refusal(
            422, "invalid", "1 fault in the request", faults=[Fault(pointer="/callback", detail=str(error))]
        ) from None
    if not _is_listed(str(parts.hostname), hosts):
        detail = "callbacks to that host are not allowed; the setting callbacks.hosts lists those that are"
        raise Refusal(403, "callback-not-allowed", detail)


def split(url: str) -> SplitResult:
    """The parts of an address to call. NotAllowed for any other."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is no number, or brackets without an address
        fine = False
    if not fine or not url.isascii() or any(c <= " " for c in url):
        raise NotAllowed("expected http://host/path or https://host/path")
    if "@" in parts.netloc:
        raise NotAllowed("expected an address without a name and a password in it")
    return parts


def place_of(url: str, hosts: Sequence[str]) -> str:
    """The address of the machine to call: looked up once and called as it is, so that no second answer of the name
    service leads elsewhere. NotAllowed where none of them may be called; OSError where the name is not known."""
    parts = split(url)
    host = str(parts.hostname)
    if not _is_listed(host, hosts):
        raise NotAllowed("the host is on the list no more")
    found = socket.getaddrinfo(host, parts.port or _PORTS[parts.scheme], type=socket.SOCK_STREAM)
    addresses = [address for entry in found if (address := address_of(str(entry[4][0]).partition("%")[0]))]
    for address in addresses:
        if _is_public(address) or any(address in network for network in _networks(hosts)):
            return str(address)
    raise NotAllowed("the host has a private address, which callbacks.hosts does not list")


def signed(secret: str, batch_id: str, moment: datetime, body: bytes) -> dict[str, str]:
    """The headers with which a receiver can tell that it is we, and when: HMAC-SHA256 over `id.timestamp.body`."""
    key = b64decode(secret.removeprefix(_SECRET)) if secret.startswith(_SECRET) else secret.encode()
    stamp = str(int(moment.timestamp()))
    digest = hmac.new(key, f"{batch_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": batch_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{b64encode(digest).decode()}",
    }


def add(db: Connection, batch_id: str, url: str) -> None:
    """Whoever is there is to be told when this batch has ended."""
    db.execute(insert(callbacks), {"batch": batch_id, "url": url})


def of(db: Connection, batch_ids: Sequence[str]) -> dict[str, StoredCallback]:
    """Those of these batches, by the batch."""
    wanted = select(callbacks).where(callbacks.c.batch.in_(batch_ids))
    return {row["batch"]: StoredCallback(**row) for row in db.execute(wanted).mappings()}


def due(db: Connection, moment: datetime, most: int) -> list[StoredCallback]:
    """Those that are to be tried now, the longest waiting first: of batches that have ended."""
    wanted = select(callbacks).join(batches, batches.c.id == callbacks.c.batch)
    wanted = wanted.where(callbacks.c.state == "waiting", callbacks.c.due <= moment.strftime(STAMP))
    wanted = wanted.where(batches.c.state.in_(("done", "failed"))).order_by(callbacks.c.due).limit(most)
    return [StoredCallback(**row) for row in db.execute(wanted).mappings()]


def take(db: Connection, callback: StoredCallback, until: datetime) -> bool:
    """It is tried by whoever asks first, and by another only after that moment. False where one was faster."""
    same = (callbacks.c.batch == callback.batch, callbacks.c.state == "waiting", callbacks.c.due == callback.due)
    return db.execute(update(callbacks).where(*same).values(due=until.strftime(STAMP))).rowcount > 0


def tried(
    db: Connection,
    callback: StoredCallback,
    state: State,
    moment: datetime,
    *,
    status: int | None = None,
    error: str | None = None,
    due: datetime | None = None,
) -> None:
    """Keeps what came of a try, and when the next one is."""
    told = {
        "state": state,
        "tries": callbacks.c.tries + 1,
        "tried": moment.strftime(STAMP),
        "status": status,
        "error": error,
        "due": due.strftime(STAMP) if due else "",
    }
    db.execute(update(callbacks).where(callbacks.c.batch == callback.batch).values(told))


def _is_listed(host: str, hosts: Sequence[str]) -> bool:
    address = address_of(host) if ":" in host or host.replace(".", "").isdigit() else None
    if address is not None:
        return any(address in network for network in _networks(hosts))
    return host.lower().rstrip(".") in {listed.lower().rstrip(".") for listed in hosts}


def _networks(hosts: Sequence[str]) -> list[Network]:
    found: list[Network] = []
    for host in hosts:
        try:
            found.append(ipaddress.ip_network(host, strict=False))
        except ValueError:  # a name
            continue
    return found


def _is_public(address: Address) -> bool:
    inside: Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        if address in _TRANSLATED:
            inside = ipaddress.IPv4Address(address.packed[-4:])
        else:
            inside = address.sixtofour or (address.teredo[1] if address.teredo else None)
    return address.is_global and not address.is_multicast and (inside is None or _is_public(inside))
