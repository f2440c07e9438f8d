"""The certificate and the key of a service that speaks TLS, looked at before it starts."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from serve.config import TlsConfig, UnusableConfig


def expect_usable(tls: TlsConfig, now: datetime | None = None) -> None:
    """UnusableConfig that says in a line what is wrong with the pair: a file that is missing or no PEM, a key of
    another certificate or with a password, a certificate whose time is over or has not come."""
    if tls.certificate is None or tls.key is None:
        return
    certificate = _certificate(tls.certificate)
    _read(tls.key, "key")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key, password=_refuse_password)
    except _HasPassword:
        raise UnusableConfig(f"tls.key {tls.key} is kept with a password: expected a key without one") from None
    except ssl.SSLError as error:
        mismatch = "KEY_VALUES_MISMATCH" in str(error) or "KEY_TYPE_MISMATCH" in str(error)
        why = f"it is not the key of the certificate {tls.certificate}" if mismatch else "it is no private key in PEM"
        raise UnusableConfig(f"tls.key {tls.key} cannot be used: {why}") from None
    moment = now or datetime.now(UTC)
    if moment > certificate.not_valid_after_utc:
        ended = certificate.not_valid_after_utc.date()
        raise UnusableConfig(f"tls.certificate {tls.certificate} has expired: it was good until {ended}")
    if moment < certificate.not_valid_before_utc:
        begins = certificate.not_valid_before_utc.date()
        raise UnusableConfig(f"tls.certificate {tls.certificate} is not good yet: it will be from {begins}")


class _HasPassword(Exception):
    """The key is asked for with a password, which nobody is there to type."""


def _refuse_password() -> str:
    raise _HasPassword


def _certificate(path: Path) -> x509.Certificate:
    data = _read(path, "certificate")
    try:
        return x509.load_pem_x509_certificates(data)[0]
    except ValueError:
        raise UnusableConfig(f"tls.certificate {path} is no certificate in PEM") from None


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableConfig(f"tls.{what} {path} cannot be read: {error.strerror}") from None
