"""Certificates for a platform on loopback, made when it starts and worth nothing afterwards."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFE = timedelta(days=90)
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Identity:
    """Files of one party (PEM)."""

    cert_file: Path
    key_file: Path


class Authority:
    """An authority of its own; ``ca_file`` is what others have to trust."""

    def __init__(self, folder: Path, name: str = "stand-in authority") -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.BasicConstraints(ca=True, path_length=0)
        builder = _builder(self._name, self._name, self._key.public_key()).add_extension(usage, critical=True)
        self._certificate = builder.add_extension(_ca_usage(), critical=True).sign(self._key, hashes.SHA256())
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self._certificate.public_bytes(_PEM))

    def issue(self, name: str, *, expired: bool = False, also: Sequence[str] = ()) -> Identity:
        """A certificate for ``name`` (host name or address), and ``also`` for others, that may serve and ask."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, self._name, key.public_key(), expired=expired)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general(item) for item in (name, *also)]), critical=False
        )
        vouched = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = builder.add_extension(vouched, critical=False).sign(self._key, hashes.SHA256())
        stem = name.replace(":", "_") + ("-expired" if expired else "")
        made = Identity(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        made.cert_file.write_bytes(certificate.public_bytes(_PEM))
        form = serialization.PrivateFormat.PKCS8
        made.key_file.write_bytes(key.private_bytes(_PEM, form, serialization.NoEncryption()))
        made.key_file.chmod(0o600)
        return made


def server_context(identity: Identity, client_ca: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer; with ``client_ca`` only for those who have a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(identity.cert_file, identity.key_file)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, expired: bool = False
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    begins = now - 2 * _LIFE if expired else now - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
