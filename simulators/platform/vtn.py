"""An OpenADR 3.1 VTN in memory: programs, events, reports, vens, resources, subscriptions and tokens.

Plain documents, no model: what business logic posts is what VENs get, however wrong it is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from simulators.platform.http_server import Request, Response, json_response
from simulators.platform.notifier import topics_of

TYPES = {
    "programs": "PROGRAM",
    "events": "EVENT",
    "reports": "REPORT",
    "vens": "VEN",
    "resources": "RESOURCE",
    "subscriptions": "SUBSCRIPTION",
}
_NAMES = {"programs": "programName", "vens": "venName", "resources": "resourceName"}
_BUSINESS_ONLY = ("programs", "events")
_FILTERS = ("programID", "eventID", "venID", "venName", "programName", "resourceName", "clientName")
_PAGE_MAX = 50
TOKEN_S = 3600

Document = dict[str, Any]


class Vtn:
    """The state and its rules. ``clients`` are secrets by client id; those in ``business`` may write events.

    ``base`` is the path before ``/programs``; ``url`` is set when it is known where the server listens. What others
    posted is in ``objects``, every request in ``seen`` (method, path, status). ``mqtt`` is the binding of its
    notifications, ``changed`` what publishes them (operation, event).
    """

    def __init__(
        self,
        clients: Mapping[str, str],
        business: frozenset[str],
        base: str = "/openadr3/3.1.0",
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.objects: dict[str, dict[str, Document]] = {kind: {} for kind in TYPES}
        self.seen: list[tuple[str, str, int]] = []
        self.url = ""
        self.mqtt: Document | None = None
        self.changed: Callable[[str, Document], None] | None = None
        self.base = base
        self._utc = utc
        self._clients = dict(clients)
        self._business = business
        self._tokens: dict[str, str] = {}
        self._count = 0

    def handle(self, request: Request) -> Response:
        """The answer to one request."""
        answer = self._answer(request)
        self.seen.append((request.method, request.path, answer.status))
        return answer

    def add(self, kind: str, document: Document) -> Document:
        """Post a document as business logic does, with nothing checked."""
        self._count += 1
        stamp = _stamp(self._utc)
        made = {"id": f"{kind[:-1]}-{self._count}", "createdDateTime": stamp, "modificationDateTime": stamp}
        found = made | document | {"objectType": TYPES[kind]}
        self.objects[kind][found["id"]] = found
        self._tell(kind, "CREATE", found)
        return found

    def change(self, kind: str, object_id: str, **changes: Any) -> Document:
        """Change a document as business logic does."""
        found = self.objects[kind][object_id] | {"modificationDateTime": _stamp(self._utc)} | changes
        self.objects[kind][object_id] = found
        self._tell(kind, "UPDATE", found)
        return found

    def revoke(self) -> None:
        """Forget every token."""
        self._tokens.clear()

    def _answer(self, request: Request) -> Response:
        if not request.path.startswith(f"{self.base}/"):
            return _problem(404, f"nothing at {request.path}")
        parts = [unquote(part) for part in request.path.removeprefix(f"{self.base}/").split("/")]
        if parts == ["auth", "server"]:
            return json_response(200, {"tokenURL": f"{self.url}/auth/token"})
        if parts == ["auth", "token"]:
            return self._token(request)
        client = self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if client is None:
            return _problem(401, "no valid token")
        if parts[0] == "notifiers":
            return self._notifiers(parts)
        if parts[0] not in TYPES or len(parts) > 2:
            return _problem(404, f"nothing at {request.path}")
        return self._serve(request, client, parts[0], parts[1] if len(parts) == 2 else None)

    def _notifiers(self, parts: list[str]) -> Response:
        """What binding there is, and the topics of one program's events."""
        if parts == ["notifiers"]:
            return json_response(200, {"WEBHOOK": False} | ({} if self.mqtt is None else {"MQTT": self.mqtt}))
        known = len(parts) == 6 and parts[1:4] == ["mqtt", "topics", "programs"] and parts[5] == "events"
        if self.mqtt is None or not known or parts[4] not in self.objects["programs"]:
            return _problem(404, "no such topics")
        return json_response(200, {"topics": topics_of(parts[4])})

    def remove(self, kind: str, object_id: str) -> Document:
        """Take a document away as business logic does."""
        found = self.objects[kind].pop(object_id)
        self._tell(kind, "DELETE", found)
        return found

    def _tell(self, kind: str, operation: str, document: Document) -> None:
        if kind == "events" and self.changed is not None:
            self.changed(operation, document)

    def _token(self, request: Request) -> Response:
        """Client credentials, in the body or by basic authentication (RFC 6749, section 2.3.1 and 4.4)."""
        form = {key: values[0] for key, values in parse_qs(request.body.decode("latin-1")).items()}
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        basic = request.headers.get("authorization", "")
        if basic.startswith("Basic "):
            client, _, secret = base64.b64decode(basic[6:]).decode().partition(":")
        if form.get("grant_type") != "client_credentials" or self._clients.get(unquote(client)) != unquote(secret):
            return json_response(401, {"error": "invalid_client"})
        token = secrets.token_urlsafe(24)
        self._tokens[token] = unquote(client)
        return json_response(200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_S})

    def _serve(self, request: Request, client: str, kind: str, object_id: str | None) -> Response:
        writes = request.method in ("POST", "PUT", "DELETE")
        if writes and (kind in _BUSINESS_ONLY) != (client in self._business) and kind not in ("vens", "resources"):
            return _problem(403, f"{client} may not write {kind}")
        if object_id is None:
            return self._list(request, kind) if request.method == "GET" else self._create(request, client, kind)
        if object_id not in self.objects[kind]:
            return _problem(404, f"no {kind} {object_id}")
        return self._one(request, kind, object_id)

    def _one(self, request: Request, kind: str, object_id: str) -> Response:
        if request.method == "GET":
            return _tagged(request, self.objects[kind][object_id])
        if request.method == "DELETE":
            return json_response(200, self.remove(kind, object_id))
        body = _object(request)
        kept = {key: self.objects[kind][object_id][key] for key in ("id", "createdDateTime")}
        return json_response(200, self.change(kind, object_id, **{**body, **kept, "objectType": TYPES[kind]}))

    def _create(self, request: Request, client: str, kind: str) -> Response:
        body = _object(request)
        name = _NAMES.get(kind)
        if name and any(body.get(name) == other.get(name) for other in self.objects[kind].values()):
            return _problem(409, f"{name} {body.get(name)!r} exists")
        return json_response(201, self.add(kind, body | {"clientID": client} if kind not in _BUSINESS_ONLY else body))

    def _list(self, request: Request, kind: str) -> Response:
        found = [x for x in self.objects[kind].values() if _matches(x, request.query)]
        skip, limit = (int(request.query.get(key, [d])[0]) for key, d in (("skip", "0"), ("limit", str(_PAGE_MAX))))
        if skip < 0 or not 0 < limit <= _PAGE_MAX:
            return _problem(400, f"skip {skip}, limit {limit}; expected at most {_PAGE_MAX} at once")
        return _tagged(request, found[skip : skip + limit])


def _object(request: Request) -> Document:
    body = request.json()
    if not isinstance(body, dict):
        raise ValueError(f"{type(body).__name__}; expected an object")  # noqa: TRY004 - it is the peer's, not ours
    return {key: value for key, value in body.items() if key not in ("id", "createdDateTime", "modificationDateTime")}


def _matches(document: Document, query: Mapping[str, list[str]]) -> bool:
    for key in _FILTERS:
        if key in query and document.get(key) not in query[key]:
            return False
    targets = query.get("targets", [])
    return not targets or bool(set(targets) & set(document.get("targets") or ()))


def _tagged(request: Request, document: Any) -> Response:
    tag = '"' + hashlib.sha256(json.dumps(document).encode()).hexdigest()[:32] + '"'
    if request.headers.get("if-none-match") == tag:
        return Response(304, headers={"ETag": tag})
    return json_response(200, document, ETag=tag)


def _problem(status: int, detail: str) -> Response:
    return json_response(status, {"type": "about:blank", "title": "refused", "status": status, "detail": detail})


def _stamp(now: Callable[[], datetime]) -> str:
    return now().isoformat(timespec="microseconds").replace("+00:00", "Z")
