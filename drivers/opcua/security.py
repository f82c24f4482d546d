"""How a connection to an OPC UA server is secured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

POLICIES = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")


@dataclass(frozen=True, slots=True)
class OpcUaSecurity:
    """Always SignAndEncrypt, always one pinned server.

    ``certificate_der`` and ``private_key_pem`` are ours, ``application_uri`` the one our certificate names.
    ``server_certificate_der`` is the only certificate that the server may prove: an OPC UA client that takes any
    certificate encrypts to whoever answers. ``username`` empty means an anonymous session inside the secured channel.
    ``private_key`` is the key that was read, ready for use: to check it takes 30 ms or more in which no other thread of
    the process runs either, and so must not be done when a connection is made.
    """

    certificate_der: bytes
    private_key_pem: bytes = field(repr=False)
    server_certificate_der: bytes
    application_uri: str
    policy: str = "Basic256Sha256"
    username: str = ""
    password: str = field(default="", repr=False)
    private_key: RSAPrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"OPC UA security policy is {self.policy!r}; expected one of {', '.join(POLICIES)}")
        if not (self.certificate_der and self.private_key_pem and self.server_certificate_der):
            raise ValueError("OPC UA security needs our certificate, our private key and the server's certificate")
        object.__setattr__(self, "private_key", _key(self.private_key_pem))


def load_security(options: Mapping[str, str]) -> OpcUaSecurity | None:
    """From the ``options`` of a device in the site file; None when there are none: an open connection.

    Certificates may be PEM or DER. Raises ``ValueError`` naming the key and the file that cannot be used.
    """
    if not options:
        return None
    own = _certificate(options, "certificate_file")
    username = options.get("username", "")
    password = _read(options, "password_file").decode("utf-8").split("\n", 1)[0].rstrip("\r") if username else ""
    return OpcUaSecurity(
        certificate_der=own.public_bytes(Encoding.DER),
        private_key_pem=_read(options, "private_key_file"),
        server_certificate_der=_certificate(options, "server_certificate_file").public_bytes(Encoding.DER),
        application_uri=_application_uri(own, options["certificate_file"]),
        policy=options.get("policy", POLICIES[0]),
        username=username,
        password=password,
    )


def _read(options: Mapping[str, str], key: str) -> bytes:
    path = options.get(key)
    if path is None:
        raise ValueError(f"OPC UA options have no {key}; expected the path of a file")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{key} {path} cannot be read: {error}") from error


def _certificate(options: Mapping[str, str], key: str) -> x509.Certificate:
    found = _read(options, key)
    try:
        pem = b"-----BEGIN" in found
        return x509.load_pem_x509_certificate(found) if pem else x509.load_der_x509_certificate(found)
    except ValueError as error:
        raise ValueError(f"{key} {options[key]} is no certificate: {error}") from error


def _key(private_key_pem: bytes) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(private_key_pem, password=None)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise ValueError(f"private_key_file is no usable private key: {error}") from error
    if isinstance(key, RSAPrivateKey):
        return key
    raise ValueError(f"private_key_file holds a {type(key).__name__}; expected an RSA key")


def _application_uri(certificate: x509.Certificate, path: str) -> str:
    """The URI that the certificate names; servers refuse a client whose application says another (OPC UA Part 6)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []
    if not uris:
        raise ValueError(f"certificate_file {path} names no application URI; expected one in subjectAltName")
    return uris[0]


def fingerprint(certificate_der: bytes) -> str:
    """SHA-256 of a certificate in the form that people compare, ``AB:CD:…``."""
    digest = sha256(certificate_der).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
