"""Certificates for a test: an authority, a server, a client with a role, and whoever pretends to be the server."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

ROLE_OID = ObjectIdentifier("1.3.6.1.4.1.50316.802.1")


class Authority:
    """Signs certificates and writes them into a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.ca_file = self._write(name, self._sign(self._name, self._key, days=3650, ca=True))

    def issue(
        self,
        name: str,
        *,
        days: float = 365.0,
        host: str = "127.0.0.1",
        role: bytes = b"",
        curve: type[ec.EllipticCurve] = ec.SECP256R1,
    ) -> tuple[str, str]:
        """Paths of a certificate for ``host`` that expires in ``days``, and of its key."""
        key = ec.generate_private_key(curve())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, days=days, ca=False, host=host, role=role)
        key_file = self.folder / f"{name}.key"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return self._write(name, certificate), str(key_file)

    def server_context(
        self,
        name: str,
        *,
        days: float = 365.0,
        host: str = "127.0.0.1",
        curve: type[ec.EllipticCurve] = ec.SECP256R1,
    ) -> ssl.SSLContext:
        """A server that lets in only whom this authority has signed."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, days=days, host=host, curve=curve))
        context.load_verify_locations(self.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def options(self, *, role: bytes = b"\x0c\x08operator", days: float = 365.0) -> dict[str, str]:
        """What the site file says about a device of this authority; our certificate carries ``role`` (DER)."""
        certificate, key = self.issue("gridedge", role=role, days=days)
        return {"ca_file": self.ca_file, "certificate_file": certificate, "private_key_file": key}

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        days: float,
        ca: bool,
        host: str = "",
        role: bytes = b"",
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=400))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), False)
        if role:
            builder = builder.add_extension(x509.UnrecognizedExtension(ROLE_OID, role), False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate) -> str:
        path = self.folder / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)
