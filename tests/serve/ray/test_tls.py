"""Certificates: what is wrong with a pair is said before anything starts, and a good one makes it https."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serve.client import Client
from serve.config import AppConfig, TlsConfig, UnusableConfig
from serve.ray.tls import expect_usable
from tests.serve import running

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


def pair(folder: Path, *, begins: datetime = NOW - DAY, ends: datetime = NOW + DAY, password: bytes = b"") -> TlsConfig:
    """A certificate for mood.example.org that vouches for itself, and its key."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mood.example.org")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("mood.example.org")]), critical=False)
    kept = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, kept))
    (folder / "cert.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    return TlsConfig(certificate=folder / "cert.pem", key=folder / "key.pem")


def wrong(tls: TlsConfig) -> str:
    with pytest.raises(UnusableConfig) as raised:
        expect_usable(tls)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_good_pair_and_none_are_fine(tmp_path: Path) -> None:
    expect_usable(pair(tmp_path))
    expect_usable(TlsConfig())


def test_what_is_wrong_with_a_pair_is_said(tmp_path: Path) -> None:
    good = pair(tmp_path / "good")
    other = pair(tmp_path / "other")
    assert good.certificate is not None
    assert good.key is not None
    assert "cert.pem cannot be read: No such file" in wrong(TlsConfig(certificate=tmp_path / "cert.pem", key=good.key))
    assert "key.pem cannot be read: No such file" in wrong(
        TlsConfig(certificate=good.certificate, key=tmp_path / "key.pem")
    )
    mixed = wrong(TlsConfig(certificate=good.certificate, key=other.key))
    assert f"tls.key {other.key} cannot be used: it is not the key of the certificate {good.certificate}" == mixed
    assert "is no certificate in PEM" in wrong(TlsConfig(certificate=good.key, key=good.key))
    assert "it is no private key in PEM" in wrong(TlsConfig(certificate=good.certificate, key=good.certificate))
    assert "is kept with a password" in wrong(pair(tmp_path / "locked", password=b"secret"))
    expired = pair(tmp_path / "expired", begins=NOW - 9 * DAY, ends=NOW - 2 * DAY)
    assert f"has expired: it was good until {(NOW - 2 * DAY).date()}" in wrong(expired)
    early = pair(tmp_path / "early", begins=NOW + 2 * DAY, ends=NOW + 9 * DAY)
    assert f"is not good yet: it will be from {(NOW + 2 * DAY).date()}" in wrong(early)


def test_one_file_without_the_other_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableConfig, match="expected both a certificate and a key"):
        AppConfig.load(tls={"key": tmp_path / "key.pem"})


def test_our_own_client_takes_this_certificate_and_no_other(tmp_path: Path) -> None:
    tls = pair(tmp_path)
    context = tls.trust()
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)
    assert context.cert_store_stats()["x509"] == 1
    assert TlsConfig().trust() is True


@pytest.mark.slow
def test_the_page_and_the_api_over_tls_under_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_MAIN", "import sys; from ui.commands.main import run; sys.exit(run(['serve']))")
    tls = pair(tmp_path / "tls")
    given = {"tls__certificate": str(tls.certificate), "tls__key": str(tls.key), "root_path": "/mood"}
    proxies = {"access__proxies": '["127.0.0.1"]', "access__hosts": '["mood.example.org"]'}
    with running.Running(tmp_path, **given, **proxies) as service:
        url = service.url.replace("http://", "https://")
        assert f"rapport is ready: {url}/" in service.log.read_text()
        with Client(f"{url}/mood", verify=tls.trust()) as client:
            chat = client.start_chat()
            assert client.add_message(chat.id, "Ann", "great").emotion == "joy"
        with httpx.Client(base_url=url, verify=tls.trust()) as http:
            told = {"x-forwarded-host": "mood.example.org", "x-forwarded-proto": "https"}
            page = http.get("/mood/", headers=told)
            assert "rapport" in page.text
            assert "https://mood.example.org/mood" in page.text
            assert "127.0.0.1" not in page.text
            direct = http.get("/mood/").text
            assert f"{url}/mood" in direct
            assert http.get("/mood").status_code == 308
            assert http.post("/v1/chats", json={}).headers["location"].startswith("/mood/v1/chats/")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/v1/health/live")
        assert service.stop() == 0
        assert service.left_over() == []
