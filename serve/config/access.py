"""Who may ask the service and how it is reached safely, and whom it may call itself."""

import ssl
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, IPvAnyNetwork, SecretStr, field_validator, model_validator

from serve.config.part import Part, UnusableConfig
from serve.edge.keys import PAGE, Key, Keys, hash_of, read_keys


class AccessConfig(Part):
    """Who may ask."""

    hosts: tuple[str, ...] = ()
    """Names by which the service is called, beside its machine's own: a request for another is 403. `*` for any."""
    origins: tuple[str, ...] = ()
    """Pages of other hosts that may call the API, as `https://example.org`; a request from another one is 403."""
    proxies: tuple[IPvAnyNetwork, ...] = ()
    """Addresses or networks of proxies whose X-Forwarded-For, -Proto and -Host are believed; nobody else's are."""
    read_only: bool = False
    """What would make, change or delete anything is 403; what is asked and not kept is answered."""

    keys: Path | None = None
    """A file with the keys that may ask, as `rapport keys` writes it."""
    key: SecretStr | None = None
    """One more key, called `env`; for RAPPORT_ACCESS__KEY."""
    page: SecretStr | None = None
    """The page's own key; one is made at every start."""
    required: bool | None = None
    """Whether a key is asked for; by default where the service can be reached from other machines."""

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
                raise ValueError(f"expected https://host or https://host:port, got {origin!r}")
        return tuple(origin.rstrip("/") for origin in value)

    def known_keys(self, *, is_private: bool) -> Keys:
        """The keys there are, and whether one is needed. UnusableConfig for a file that cannot be read, or for none."""
        try:
            found: tuple[Key, ...] = () if self.keys is None else read_keys(self.keys)
        except ValueError as error:
            raise UnusableConfig(str(error)) from None
        if self.key is not None:
            found = (*found, Key(name="env", hash=hash_of(self.key.get_secret_value())))
        required = not is_private if self.required is None else self.required
        if required and not found:
            raise UnusableConfig(
                "whoever reaches this service must have a key, and there is none: make one with `rapport keys NAME "
                "--file KEYS.yaml` and name the file in access.keys, or say access.required: false to let everybody in"
            )
        if self.page is not None:
            found = (*found, Key(name=PAGE, hash=hash_of(self.page.get_secret_value())))
        return Keys(keys=found, required=required)


class TlsConfig(Part):
    """What makes it https. Both files or neither; a cluster's nodes each need them at the same place."""

    certificate: Path | None = None
    """A file with the certificate and those that vouch for it, in PEM."""
    key: Path | None = None
    """A file with its private key, in PEM, without a password."""

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("expected both a certificate and a key, or neither")
        return self

    def trust(self) -> ssl.SSLContext | bool:
        """For a client of this very service, whatever it calls it: only this certificate is good. True without one."""
        if self.certificate is None:
            return True
        context = ssl.create_default_context(cafile=self.certificate)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False  # it is called by its address here
        return context


class CallbacksConfig(Part):
    """Whom the service may call itself, to say that a batch has ended."""

    hosts: tuple[str, ...] = ()
    """Names of hosts; by an address or a network, private ones too. Others are 403; by default that is everybody."""
    secret: SecretStr | None = None
    """What is told is signed with it; `whsec_` and base 64, or any text. For RAPPORT_CALLBACKS__SECRET."""
    tries: int = Field(default=8, ge=1)
    """How often it is tried: after 10 seconds, then each time five times as much later, and 6 hours at most."""
    seconds: float = Field(default=10.0, gt=0)
    """How long an answer may take."""

    @model_validator(mode="after")
    def _is_signed(self) -> Self:
        if self.hosts and not self.told_secret:
            raise ValueError("callbacks.hosts needs callbacks.secret, with which what is told is signed")
        return self

    @property
    def told_secret(self) -> str:
        """The secret itself."""
        return "" if self.secret is None else self.secret.get_secret_value()
