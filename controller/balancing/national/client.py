"""Bids, activations and what is said about them over HTTPS: TLS 1.2 or newer, verified, no redirect, bounded."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from controller.balancing.https import LinkError, body_of, credentials, tls_context
from controller.balancing.national.activation import read_list
from controller.balancing.openadr.strict_json import Malformed, read_json
from controller.domain.national import Tender

BODY_BYTES_MAX = 1 << 16
REASON_MAX = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What the market says to a bid."""

    accepted: bool
    reason: str


async def submit(tender: Tender, bid_id: str, document: str, request_s: float) -> Answer:
    """Say it once. Raises LinkError when there is no answer, or none that makes sense: it may be said again."""
    return read_answer(await _exchange(tender, "POST", tender.url, document, request_s), bid_id)


async def activations(tender: Tender, bid_id: str, request_s: float) -> list[Mapping[str, Any]]:
    """What the market lists of a bid. Raises LinkError when there is no answer, or none that makes sense."""
    body = await _exchange(tender, "GET", f"{tender.url}/{quote(bid_id)}/activations", None, request_s)
    try:
        return read_list(read_json(body, BODY_BYTES_MAX), bid_id)
    except Malformed as error:
        raise LinkError(f"the national market's answer is malformed: {error}") from error


async def tell(tender: Tender, path: str, about: str, document: str, request_s: float) -> None:
    """Say something about one activation, until its id comes back. Raises LinkError: it may be said again."""
    body = await _exchange(tender, "POST", f"{tender.url}/{path}", document, request_s)
    try:
        answer = read_json(body, BODY_BYTES_MAX)
    except Malformed as error:
        raise LinkError(f"the national market's answer is malformed: {error}") from error
    if not isinstance(answer, dict) or answer.get("id") != about:
        raise LinkError(f"the national market's answer is not about {about}; expected its id")


async def _exchange(tender: Tender, method: str, url: str, document: str | None, request_s: float) -> bytes:
    context = await asyncio.to_thread(tls_context, tender.ca_file)
    name_and_password = await asyncio.to_thread(_credentials, tender)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
    try:
        async with (
            asyncio.timeout(request_s),
            httpx2.AsyncClient(verify=context, trust_env=False, follow_redirects=False, timeout=request_s) as client,
            client.stream(method, url, content=document, headers=headers, auth=name_and_password) as said,
        ):
            if said.status_code != 200:
                raise LinkError(f"the national market answers {said.status_code} to {method} {url}; expected 200")
            return await body_of(said, BODY_BYTES_MAX)
    except TimeoutError as error:
        raise LinkError(f"no answer of the national market within {request_s:g} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, UnicodeError) as error:
        raise LinkError(f"the national market: {type(error).__name__}: {error}") from error


def read_answer(body: bytes, bid_id: str) -> Answer:
    """``{"id", "accepted", "reason"}`` about this bid. Raises LinkError for anything else."""
    try:
        answer: Any = read_json(body, BODY_BYTES_MAX)
    except Malformed as error:
        raise LinkError(f"the national market's answer is malformed: {error}") from error
    if not isinstance(answer, dict) or answer.get("id") != bid_id or not isinstance(answer.get("accepted"), bool):
        raise LinkError(f"the national market's answer is not about {bid_id}; expected id, accepted and reason")
    return Answer(answer["accepted"], str(answer.get("reason", ""))[:REASON_MAX])


def _credentials(tender: Tender) -> tuple[str, str] | None:
    return None if tender.credentials_file is None else credentials(Path(tender.credentials_file))
