"""One bid over HTTPS and its answer: TLS 1.2 or newer, chain and name verified, no redirect, no proxy, bounded."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from controller.balancing.https import LinkError, body_of, credentials, tls_context
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
    context = await asyncio.to_thread(tls_context, tender.ca_file)
    name_and_password = await asyncio.to_thread(_credentials, tender)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
    try:
        async with (
            asyncio.timeout(request_s),
            httpx2.AsyncClient(verify=context, trust_env=False, follow_redirects=False, timeout=request_s) as client,
            client.stream("POST", tender.url, content=document, headers=headers, auth=name_and_password) as said,
        ):
            if said.status_code != 200:
                raise LinkError(f"the national market answers {said.status_code}; expected 200")
            return read_answer(await body_of(said, BODY_BYTES_MAX), bid_id)
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
