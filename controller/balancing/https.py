"""HTTPS as this box speaks it to anybody: TLS 1.2 or newer, chain and name verified, no compressed body, bounded."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2


class LinkError(OSError):
    """The other side did not answer, or not as it must."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is asked: its name in errors, and the files that prove it to us and us to it."""

    name: str
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    credentials_file: str | None = None

    def proofs(self) -> tuple[ssl.SSLContext, tuple[str, str] | None]:
        """For the connection, and for the request, from the disk. Raises LinkError."""
        login = None if self.credentials_file is None else credentials(Path(self.credentials_file))
        return tls_context(self.ca_file, self.cert_file, self.key_file), login


async def exchange(
    peer: Peer,
    method: str,
    url: str,
    bytes_max: int,
    request_s: float,
    *,
    document: str | None = None,
    query: Mapping[str, str] | None = None,
) -> bytes:
    """One request for JSON and the body of its answer, on a connection of its own; no redirect, no proxy.

    Raises LinkError when there is no answer 200 of at most ``bytes_max`` within ``request_s`` machine seconds; its text
    never holds the query, which may be a key.
    """
    context, login = await asyncio.to_thread(peer.proofs)
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if document is not None:
        headers["Content-Type"] = "application/json"
    path, has_query, _ = url.partition("?")
    try:
        asked = httpx2.URL(url).copy_merge_params(query or {})
        async with (
            asyncio.timeout(request_s),
            httpx2.AsyncClient(verify=context, trust_env=False, follow_redirects=False, timeout=request_s) as client,
            client.stream(method, asked, content=document, headers=headers, auth=login) as answer,
        ):
            if answer.status_code != 200:
                raise LinkError(f"{peer.name} answers {answer.status_code} to {method} {path}; expected 200")
            return await body_of(answer, bytes_max)
    except TimeoutError as error:
        raise LinkError(f"no answer of {peer.name} within {request_s:g} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, UnicodeError) as error:
        why = "" if query or has_query else f": {error}"
        raise LinkError(f"{peer.name}: {type(error).__name__}{why}") from error


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
