"""What a proxy in front says of a request, where it is believed: who asked, for which host, and whether over TLS."""

import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Scope

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FOR, _PROTO, _HOST = "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"
_TOLD = ("forwarded", "x-forwarded-")
"""How the names of such headers begin."""


def believe(scope: Scope, trusted: Sequence[Network]) -> None:
    """Writes what a trusted proxy says onto the request. Afterwards none of those headers is on it, whoever sent them:
    what stands behind would believe them.

    Of a list the last counts: it is what the trusted proxy itself has seen. Of addresses it is the last that is not
    itself a trusted proxy's.
    """
    headers = MutableHeaders(scope=scope)
    if trusted and is_in(str((scope.get("client") or ("",))[0]), trusted):
        if client := _asker(headers, trusted):
            scope["client"] = (client, 0)
        if (scheme := _last(headers, _PROTO).lower()) in ("http", "https"):
            scope["scheme"] = scheme
        if host := _last(headers, _HOST):
            headers["host"] = host
    for name in {name for name in headers if name.startswith(_TOLD)}:
        del headers[name]


def address_of(text: str) -> Address | None:
    """The address in a text, with or without a port; None where there is none."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _asker(headers: Headers, trusted: Sequence[Network]) -> str | None:
    """The last address that no trusted proxy has; the first where all of them are trusted."""
    found = None
    for told in reversed([a for value in headers.getlist(_FOR) for a in value.split(",")]):
        address = address_of(told)
        if address is None:  # what stands before it was passed on by somebody unknown
            break
        found = address
        if not any(address in network for network in trusted):
            break
    return None if found is None else str(found)


def _last(headers: Headers, name: str) -> str:
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()


def is_in(client: str, trusted: Sequence[Network]) -> bool:
    """Whether an address is in one of these networks."""
    address = address_of(client)
    return address is not None and any(address in network for network in trusted)
