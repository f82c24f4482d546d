"""How a connection to an OPC UA server is secured."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

POLICIES = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")


@dataclass(frozen=True, slots=True)
class OpcUaSecurity:
    """Always SignAndEncrypt, always one pinned server.

    ``certificate_der`` and ``private_key_pem`` are ours, ``application_uri`` the one our certificate names.
    ``server_certificate_der`` is the only certificate that the server may prove: an OPC UA client that takes any
    certificate encrypts to whoever answers. ``username`` empty means an anonymous session inside the secured channel.
    """

    certificate_der: bytes
    private_key_pem: bytes = field(repr=False)
    server_certificate_der: bytes
    application_uri: str
    policy: str = "Basic256Sha256"
    username: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"OPC UA security policy is {self.policy!r}; expected one of {', '.join(POLICIES)}")
        if not (self.certificate_der and self.private_key_pem and self.server_certificate_der):
            raise ValueError("OPC UA security needs our certificate, our private key and the server's certificate")


def fingerprint(certificate_der: bytes) -> str:
    """SHA-256 of a certificate in the form that people compare, ``AB:CD:…``."""
    digest = sha256(certificate_der).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
