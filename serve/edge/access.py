"""Who may ask: the host a request is for, the page it comes from, and whose word about both counts.

A page that somebody has open in a browser may send requests to any address, this service's too, and a name that leads
to 127.0.0.1 makes it look like the same origin. So a request must be for a name of this service, and if a page sent it,
for that page's own host, or the page is on a list.
"""

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork
from starlette.datastructures import Headers
from starlette.types import Scope

from serve.edge.keys import wanted
from serve.edge.problems import Refusal
from serve.edge.proxies import address_of, believe

ACCESS_VARIABLE = "RAPPORT_PROXY_ACCESS"
"""Where the HTTP proxy finds whom it lets in."""
_EXPOSED = "Idempotent-Replayed, Location, Retry-After, Server-Timing, X-Request-ID"
_MAY_SEND = "Authorization, Content-Encoding, Content-Type, Idempotency-Key, X-Request-ID"
_ANY = "*"


class Access(BaseModel):
    """Which hosts and pages are ours. Without a `host` nothing is checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    host: str | None = None
    """The address listened on."""
    hosts: tuple[str, ...] = ()
    """Names by which the service is called, beside those of its own machine; `*` for any."""
    origins: tuple[str, ...] = Field(default=())
    """Pages elsewhere that may call the API, as `https://example.org`."""
    proxies: tuple[IPvAnyNetwork, ...] = ()
    """The proxies whose X-Forwarded-For, -Proto and -Host are believed."""
    root_path: str = ""
    """What a proxy puts before every path, as `/mood`."""
    read_only: bool = False
    """Nothing that writes is let in."""

    def enter(self, scope: Scope) -> None:
        """To be called once, first: what trusted proxies say is on the request afterwards, and no root path before its
        own any more."""
        believe(scope, self.proxies)
        path = str(scope["path"])
        if self.root_path and path.startswith(self.root_path + "/"):
            scope["path"] = path.removeprefix(self.root_path)
            raw = bytes(scope.get("raw_path") or path.encode())
            scope["raw_path"] = raw.removeprefix(self.root_path.encode())

    def check_writes(self, method: str, path: str) -> None:
        """Refusal 403 for what writes, in a service that only reads; path is that under the API's prefix."""
        if self.read_only and wanted(method, path) == "write":
            raise Refusal(403, "read-only", "this service is read-only at the moment: nothing can be made or changed")

    def check(self, headers: Headers) -> None:
        """Refusal 403 where the request is for another host, or from a page that is not ours."""
        if self.host is None:
            return
        if len(headers.getlist("host")) > 1:
            raise Refusal(403, "wrong-host", "a request names one host, and this one names several")
        host = headers.get("host", "")
        if host and not self._is_ours(_name_of(host)):
            detail = "this service is not called by that name; the setting access.hosts lists others"
            raise Refusal(403, "wrong-host", detail)
        origin = headers.get("origin")
        if origin is None or origin.rstrip("/") in self.origins:
            return
        if origin == "null" or not host or urlsplit(origin).netloc.lower() != host.lower():
            detail = "this service takes no requests from pages of other hosts; the setting access.origins lists some"
            raise Refusal(403, "wrong-origin", detail)

    def cors(self, headers: Headers) -> Mapping[str, str]:
        """The headers that let a browser give our answer to a page elsewhere; none for any other page."""
        origin = headers.get("origin", "")
        if origin.rstrip("/") not in self.origins:
            return {"Cross-Origin-Resource-Policy": "same-origin"} if self.host is not None else {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _EXPOSED,
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Vary": "Origin",
        }

    def preflight(self, headers: Headers) -> Mapping[str, str] | None:
        """The answer to a browser that asks whether a page may ask; None for any other request."""
        if headers.get("origin", "").rstrip("/") not in self.origins or "access-control-request-method" not in headers:
            return None
        return {
            **self.cors(headers),
            "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": _MAY_SEND,
            "Access-Control-Max-Age": "600",
        }

    def _is_ours(self, name: str) -> bool:
        listed = {host.lower() for host in self.hosts}
        if _ANY in listed or name in listed or name in ("localhost", self.host):
            return True
        address = address_of(name)
        if _is_private(str(self.host)):
            return address is not None and address.is_loopback
        # A name can be made to lead here by whoever owns it; an address is nobody's.
        return address is not None or name == socket.gethostname().lower()


def _name_of(host: str) -> str:
    """The host without its port, in small letters."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_private(host: str) -> bool:
    address = address_of(host)
    return host == "localhost" or (address is not None and address.is_loopback)
