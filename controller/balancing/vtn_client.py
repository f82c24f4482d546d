"""HTTPS to an OpenADR VTN: token, pages, bounds. Everything that goes wrong is one error; nothing is retried here.

TLS 1.2 or newer, host name and chain verified, no redirect followed, no proxy of the environment, no compressed body:
what is read is what was sent, up to a bound.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx2

from controller.balancing.https import LinkError, body_of, credentials, tls_context
from controller.balancing.openadr.models import AuthServer, Token, parse
from controller.balancing.openadr.strict_json import Malformed, read_json
from controller.domain.platform import Link
from controller.ports import Clock

REQUEST_S = 20.0
"""Longest time for one request with its answer, machine seconds."""
BODY_BYTES_MAX = 1 << 20
PAGE = 50
PAGES_MAX = 20
PAGES_KEPT = 40
"""Pages that are remembered, so that they need not be sent again."""
COLLECTION_BYTES_MAX = 4 << 20
"""All pages of a collection together."""
_TOKEN_S_MAX = 86_400.0  # whatever it says: a secret that was changed must not be kept for years
_TOKEN_EARLY_S = 60.0
_TOKEN_YOUNG_S = 30.0  # one that is younger and turned down was not revoked: asking again would not help
_TOKEN_S = 3600.0  # when the platform does not say


class Declined(LinkError):
    """The platform has understood and does not want it: saying it again changes nothing."""


class VtnClient:
    """One platform as this site sees it; used by one task at a time, as ``async with``."""

    def __init__(self, link: Link, clock: Clock, request_s: float = REQUEST_S) -> None:
        self._link = link
        self._clock = clock
        self._request_s = request_s
        self._http: httpx2.AsyncClient | None = None
        self._token = ""
        self._token_at_s = self._token_until_s = -1.0
        self._pages: dict[str, tuple[str, bytes]] = {}

    async def __aenter__(self) -> VtnClient:
        link = self._link
        context = await asyncio.to_thread(tls_context, link.ca_file, link.cert_file, link.key_file)
        self._http = httpx2.AsyncClient(
            verify=context, trust_env=False, follow_redirects=False, timeout=self._request_s
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def everything(self, path: str, params: Mapping[str, str] | None = None) -> list[Any]:
        """All pages of a collection; a page that has not changed is not sent again. Raises LinkError, Malformed."""
        out: list[Any] = []
        size = 0
        for number in range(PAGES_MAX):
            body = await self._page(path, {**(params or {}), "skip": str(number * PAGE), "limit": str(PAGE)})
            size += len(body)
            if size > COLLECTION_BYTES_MAX:
                raise LinkError(f"{path} is longer than {COLLECTION_BYTES_MAX} bytes")
            page = _listed(path, body)
            out += page
            if len(page) < PAGE:
                return out
        raise LinkError(f"{path} has more than {PAGES_MAX * PAGE} objects")

    async def one(self, path: str) -> Any:
        """One object. Raises LinkError, Malformed."""
        status, _, body = await self._authorised("GET", path)
        _check(status, path, (200,))
        return read_json(body, BODY_BYTES_MAX)

    async def token(self) -> str:
        """A token that is valid now. Raises LinkError, Malformed."""
        return await self._valid_token()

    async def post(self, path: str, document: Mapping[str, Any]) -> Any:
        """Create an object; the answer. Raises Declined, LinkError, Malformed."""
        status, _, body = await self._authorised("POST", path, json=document)
        _check(status, path, (200, 201))
        return read_json(body, BODY_BYTES_MAX)

    async def _page(self, path: str, params: Mapping[str, str]) -> bytes:
        key = path + repr(sorted(params.items()))
        known = self._pages.get(key)
        headers = {} if known is None else {"If-None-Match": known[0]}
        status, answer, body = await self._authorised("GET", path, params=params, headers=headers)
        if status == 304 and known is not None:
            return known[1]
        _check(status, path, (200,))
        if "etag" in answer:
            if len(self._pages) >= PAGES_KEPT:
                self._pages.clear()
            self._pages[key] = (answer["etag"], body)
        return body

    async def _authorised(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        """The answer; where a token that was good is turned down it was revoked: then once more with a new one."""
        url, given = self._link.url + path, headers or {}
        began_s = self._clock.now_s()
        bearer = {"Authorization": f"Bearer {await self._valid_token()}"}
        answer = await self._exchange(method, url, headers={**given, **bearer}, **more)
        if answer[0] not in (401, 403):
            return answer
        self._token_until_s = -1.0
        if self._token_at_s >= began_s - _TOKEN_YOUNG_S:
            return answer
        bearer = {"Authorization": f"Bearer {await self._valid_token()}"}
        return await self._exchange(method, url, headers={**given, **bearer}, **more)

    async def _valid_token(self) -> str:
        if self._clock.now_s() < self._token_until_s:
            return self._token
        status, _, body = await self._exchange("GET", f"{self._link.url}/auth/server")
        _check(status, "/auth/server", (200,))
        url = parse(AuthServer, read_json(body, BODY_BYTES_MAX)).tokenURL
        client, secret = await asyncio.to_thread(credentials, Path(self._link.credentials_file))
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
        status, _, body = await self._exchange("POST", url, data=form)
        _check(status, urlsplit(url).path, (200,))
        token = parse(Token, read_json(body, BODY_BYTES_MAX))
        lasts_s = min(float(token.expires_in or _TOKEN_S), _TOKEN_S_MAX)
        self._token, self._token_at_s = token.access_token, self._clock.now_s()
        self._token_until_s = self._clock.now_s() + max(lasts_s - _TOKEN_EARLY_S, lasts_s / 2.0)
        return self._token

    async def _exchange(self, method: str, url: str, **more: Any) -> tuple[int, Mapping[str, str], bytes]:
        if self._http is None:
            raise RuntimeError("the client is not open; expected `async with`")
        more["headers"] = {"Accept": "application/json", "Accept-Encoding": "identity", **more.get("headers", {})}
        try:
            async with asyncio.timeout(self._request_s), self._http.stream(method, url, **more) as answer:
                return answer.status_code, answer.headers, await body_of(answer, BODY_BYTES_MAX)
        except TimeoutError as error:
            raise LinkError(f"{method} {urlsplit(url).path}: no answer within {self._request_s:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, UnicodeError) as error:
            raise LinkError(f"{method} {urlsplit(url).path}: {type(error).__name__}: {error}") from error


def _listed(path: str, body: bytes) -> list[Any]:
    """The objects of one page. Raises Malformed."""
    page = read_json(body, BODY_BYTES_MAX)
    if not isinstance(page, list):
        raise Malformed(f"{path} is {type(page).__name__}; expected a list")
    if len(page) > PAGE:
        raise Malformed(f"{path} gave {len(page)} objects; asked for {PAGE}")
    return page


def _check(status: int, path: str, expected: tuple[int, ...]) -> None:
    if status not in expected:
        kind = Declined if status in (400, 403, 404, 409, 413, 422) else LinkError
        raise kind(f"{path} answers {status}; expected {' or '.join(map(str, expected))}")
