"""Bearer keys: who has one may ask. What is kept of a key is its hash, so that a file with keys gives none away.

A key is 32 random bytes, which nobody guesses: a plain SHA-256 of it is enough, and is compared in constant time.
"""

import hashlib
import hmac
import secrets
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.datastructures import Headers
from starlette.types import Scope

from serve.edge.problems import Refusal, overloaded

KEYS_VARIABLE = "RAPPORT_PROXY_KEYS"
"""Where the HTTP proxy finds the keys' hashes."""
OWNER_HEADER = "x-rapport-owner"
"""On a request that the door has let in: the name of its key. Taken off whatever a client sends."""
PAGE = "page"
"""The page's own key, made at every start."""
NOBODY = ""
"""Who asks without a key, where none is required."""
STATELESS = ("/emotions", "/visual-answers", "/corrections", "/telemetry", "/chat/completions")
"""What is posted there is answered and not kept, so that reading is enough."""
_PREFIX = "rapport_"
Kind = Literal["read", "write"]


class Key(BaseModel):
    """One key, without itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    scopes: tuple[Kind, ...] = ("read", "write")
    requests_per_minute: int | None = Field(default=None, gt=0)


class Keys(BaseModel):
    """The keys of a service, and whether one is required."""

    model_config = ConfigDict(frozen=True)

    keys: tuple[Key, ...] = ()
    required: bool = False

    def find(self, token: str) -> Key | None:
        """The key that this is; every one is compared, so that the time says nothing."""
        found, digest = None, hash_of(token)
        for key in self.keys:
            if hmac.compare_digest(key.hash, digest):
                found = key
        return found

    def identify(self, headers: Headers) -> Key | None:
        """Whose key a request carries; None without one where none is required. Refusal 401.

        A service that gave nobody a key lets any pass for none: OpenAI's clients always send one.
        """
        token = _token_of(headers.get("authorization", ""))
        if token is None:
            if self.required:
                raise _unknown("this service asks for a key: Authorization: Bearer KEY")
            return None
        key = self.find(token)
        if key is None and (self.required or any(known.name != PAGE for known in self.keys)):
            raise _unknown("the key is not one of this service's")
        return key


class Pace:
    """How many requests a minute each key has left: a bucket that fills evenly and holds a minute's worth."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: Key) -> None:
        """One request. Refusal 429 where there is none left."""
        most = key.requests_per_minute
        if most is None:
            return
        now = self._clock()
        left, since = self._left.get(key.name, (float(most), now))
        left = min(float(most), left + (now - since) * most / 60)
        if left < 1:
            self._left[key.name] = left, now
            raise overloaded("too many requests with this key", limit="requests_per_minute", retry_after=60 / most)
        self._left[key.name] = left - 1, now


def wanted(method: str, path: str) -> Kind:
    """What a request does; path is that under the API's prefix."""
    return "read" if method in ("GET", "HEAD", "OPTIONS") or path in STATELESS else "write"


def expect_scope(key: Key, method: str, path: str) -> None:
    """Refusal 403 where the key may not do that; path is that under the API's prefix."""
    if (does := wanted(method, path)) not in key.scopes:
        raise Refusal(403, "wrong-scope", f"this key may not {does}")


def new_key(
    name: str, *, scopes: tuple[Kind, ...] = ("read", "write"), per_minute: int | None = None
) -> tuple[str, Key]:
    """A key, which is told once and never again, and what is kept of it."""
    token = _PREFIX + secrets.token_urlsafe(32)
    return token, Key(name=name, hash=hash_of(token), scopes=scopes, requests_per_minute=per_minute)


def hash_of(token: str) -> str:
    """What is kept of a key."""
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file: a YAML list of name, hash, scopes and requests_per_minute. ValueError says what is wrong."""
    try:
        found = TypeAdapter(tuple[Key, ...]).validate_python(yaml.safe_load(path.read_text("utf-8")) or ())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ValueError(f"the keys in {path} cannot be read: {why}") from None
    except ValidationError as error:
        told = error.errors(include_input=False)
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'expected a list of keys'}: {e['msg']}" for e in told)
        raise ValueError(f"{path}: {faults}") from None
    names = [key.name for key in found]
    if twice := sorted({name for name in names if names.count(name) > 1 or name == PAGE}):
        raise ValueError(
            f"{path}: a name stands for one key, and `{PAGE}` for the page's; found again: {', '.join(twice)}"
        )
    return found


def owner_of(scope: Scope) -> str:
    """Whose things a request sees: the name of its key."""
    return Headers(scope=scope).get(OWNER_HEADER, NOBODY)


def owners_of(scope: Scope) -> frozenset[str]:
    """Whose things a request may find by their ids: its own key's, and to read them the page's too, which are its
    visitors' with keys of their own and go by ids that nobody else has."""
    owner = owner_of(scope)
    return frozenset({owner, PAGE} if owner != NOBODY and scope["method"] in ("GET", "HEAD") else {owner})


def _token_of(header: str) -> str | None:
    """The key in an Authorization header: Bearer, or the password of Basic, which browsers ask people for."""
    kind, _, rest = header.strip().partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() == "basic":
        try:
            return b64decode(rest.strip(), validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return "" if header else None


def _unknown(detail: str) -> Refusal:
    challenges = ('Bearer realm="rapport"', 'Basic realm="rapport", charset="UTF-8"')
    return Refusal(401, "no-key", detail, challenges=challenges)
