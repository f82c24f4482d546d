"""Bids, activations and what is said about them, as the national market hears them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from controller.balancing.https import LinkError, Peer, exchange
from controller.balancing.national.activation import read_list
from controller.balancing.openadr.strict_json import Malformed, read_json
from controller.domain.national import Tender

BODY_BYTES_MAX = 1 << 16
REASON_MAX = 300
_NAME = "the national market"


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
        return read_list(_read(body), bid_id)
    except Malformed as error:
        raise _malformed(error) from error


async def tell(tender: Tender, path: str, about: str, document: str, request_s: float) -> None:
    """Say something about one activation, until its id comes back. Raises LinkError: it may be said again."""
    answer = _read(await _exchange(tender, "POST", f"{tender.url}/{path}", document, request_s))
    if not isinstance(answer, dict) or answer.get("id") != about:
        raise LinkError(f"{_NAME}'s answer is not about {about}; expected its id")


def read_answer(body: bytes, bid_id: str) -> Answer:
    """``{"id", "accepted", "reason"}`` about this bid. Raises LinkError for anything else."""
    answer = _read(body)
    if not isinstance(answer, dict) or answer.get("id") != bid_id or not isinstance(answer.get("accepted"), bool):
        raise LinkError(f"{_NAME}'s answer is not about {bid_id}; expected id, accepted and reason")
    return Answer(answer["accepted"], str(answer.get("reason", ""))[:REASON_MAX])


async def _exchange(tender: Tender, method: str, url: str, document: str | None, request_s: float) -> bytes:
    peer = Peer(_NAME, tender.ca_file, credentials_file=tender.credentials_file)
    return await exchange(peer, method, url, BODY_BYTES_MAX, request_s, document=document)


def _read(body: bytes) -> Any:
    try:
        return read_json(body, BODY_BYTES_MAX)
    except Malformed as error:
        raise _malformed(error) from error


def _malformed(error: Malformed) -> LinkError:
    return LinkError(f"{_NAME}'s answer is malformed: {error}")
