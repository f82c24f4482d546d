"""HTTPS as this box speaks it to anybody: TLS 1.2 or newer, chain and name verified, no compressed body, bounded."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx2


class LinkError(OSError):
    """The other side did not answer, or not as it must."""


def tls_context(ca_file: str | None, cert_file: str | None = None, key_file: str | None = None) -> ssl.SSLContext:
    """What the other side has to prove, and what we show. Raises LinkError when a file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(x for x in (ca_file, cert_file, key_file) if x)
        raise LinkError(f"{files or 'the certificates of the system'}: {error}; expected PEM files") from error
    return context


async def body_of(answer: httpx2.Response, bytes_max: int) -> bytes:
    """What was sent, as it was sent. Raises LinkError when it is compressed or longer."""
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise LinkError(f"body is {answer.headers['content-encoding'][:20]!r}; asked for no encoding")
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > bytes_max:
            raise LinkError(f"body is longer than {bytes_max} bytes")
    return bytes(body)


def credentials(path: Path) -> tuple[str, str]:
    """Client id and secret. Raises LinkError; its text holds neither."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise LinkError(f"credentials {path}: {type(error).__name__}; expected a text file that we may read") from error
    if len(lines) < 2 or not lines[0].strip() or not lines[1].strip():
        raise LinkError(f"credentials {path}: {len(lines)} lines; expected the client id and the secret, a line each")
    return lines[0].strip(), lines[1].strip()
