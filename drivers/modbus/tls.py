"""Modbus/TCP Security: both sides prove who they are, and nobody but the expected device is spoken to.

MODBUS/TCP Security Protocol Specification V2.1: TLS 1.2 or newer (R-01, R-02), certificates on both sides (R-07), port
802. The role that decides what we may do is an extension of our own certificate (OID 1.3.6.1.4.1.50316.802.1), which
is carried as it is.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

EXPIRES_SOON = timedelta(days=30)

CURVES = ("prime256v1", "", "secp384r1", "X25519")
"""For the exchange of keys, offered one at a time; ``""`` is all of them, in TLS 1.2.

Left alone, OpenSSL 3 also offers finite fields of up to 8192 bits in TLS 1.3, and whoever answers can choose one before
it has proved who it is: 110 ms of computing at every attempt, in which nothing else of the process runs. Python cannot
say "these three": whoever does not speak the first is offered the next at the next attempt. In TLS 1.2 certificates on
both sides have to be on a curve that was offered, and fields can be left out.
"""
_CIPHERS = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
"""Of TLS 1.2: those of Python without DHE, where the device chooses the field too."""


class TlsError(Exception):
    """The connection cannot be secured as the site file wants it."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What a connection needs: the context, the name that the device must have, the one certificate if it is pinned."""

    context: ssl.SSLContext
    server_name: str | None
    pinned_der: bytes | None
    own_expiry: datetime

    def check_peer(self, certificate_der: bytes | None) -> datetime:
        """When the device's certificate expires; :class:`TlsError` when it is not the pinned one."""
        if certificate_der is None:
            raise TlsError("the device showed no certificate")
        if self.pinned_der is not None and certificate_der != self.pinned_der:
            raise TlsError("the device proved another certificate than server_certificate_file")
        return x509.load_der_x509_certificate(certificate_der).not_valid_after_utc


def load_tls(options: Mapping[str, str], utc: datetime, curve: str = CURVES[0]) -> Tls:
    """From the ``options`` of a device, with the ``curve`` of :data:`CURVES` that is offered.

    Files are read anew for every connection, so that they can be renewed.

    Raises :class:`TlsError`, also when our own certificate has expired at ``utc``.
    """
    own = _certificate(options, "certificate_file")
    if own.not_valid_after_utc <= utc:
        raise TlsError(f"our certificate expired on {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    if curve:
        context.set_ecdh_curve(curve)
    else:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # whoever proved who it is may not become somebody else later
    pinned = None
    try:
        context.load_cert_chain(options["certificate_file"], options.get("private_key_file"))
        if "ca_file" in options:
            context.load_verify_locations(options["ca_file"])
        if "server_certificate_file" in options:
            pinned = ssl.PEM_cert_to_DER_cert(Path(options["server_certificate_file"]).read_text("ascii"))
            context.load_verify_locations(cadata=pinned)
            context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # the pin itself is the anchor
    except (OSError, ValueError) as error:
        raise TlsError(f"certificates cannot be used: {error}") from error
    # A pin says more than a name; without an authority there is nobody who would have checked the name.
    context.check_hostname = "ca_file" in options
    return Tls(context, options.get("server_name"), pinned, own.not_valid_after_utc)


def _certificate(options: Mapping[str, str], key: str) -> x509.Certificate:
    path = options.get(key)
    if path is None:
        raise TlsError(f"options have no {key}; expected the path of a PEM certificate")
    try:
        return x509.load_pem_x509_certificate(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise TlsError(f"{key} {path} cannot be read: {error}") from error


def explain(error: ssl.SSLError) -> str:
    """What went wrong in the handshake, for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    return f"TLS: {error.reason or error}"
