"""The whole platform: the VTN behind TLS, with what can be wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.domain.platform import REACTIVE_PAYLOAD
from simulators.platform.certificates import Authority, Identity, server_context
from simulators.platform.http_server import HttpServer, Request, Response, json_response
from simulators.platform.notifier import Notifier
from simulators.platform.vtn import Document, Vtn

VEN = ("ven", "ven-secret")
BUSINESS = ("business", "business-secret")
MISBEHAVIOUR = ("late", "half", "error", "garbage", "huge", "nan", "redirect", "compressed", "not_a_list", "deaf")
"""What may be wrong with the answers to ``GET /events``."""
_HUGE_BYTES = 3 << 20


@dataclass
class StandIn:
    """One platform in a folder of its own (certificates and credentials are written there).

    ``certificate`` may be another than that of the authority in ``folder / "ca.pem"``; with ``mutual`` it asks for one.
    ``misbehave`` is one of :data:`MISBEHAVIOUR` or empty; ``utc`` is its clock.
    """

    folder: Path
    mutual: bool = False
    late_s: float = 1.0
    misbehave: str = ""
    certificate: Identity | None = None
    utc: Callable[[], datetime] = lambda: datetime.now(UTC)
    vtn: Vtn = field(init=False)
    authority: Authority = field(init=False)
    client: Identity = field(init=False)
    _server: HttpServer | None = None
    _port: int = 0

    def __post_init__(self) -> None:
        self.vtn = Vtn(dict([VEN, BUSINESS]), frozenset({BUSINESS[0]}), utc=self.utc)
        self.authority = Authority(self.folder)
        self.client = self.authority.issue("gridedge")
        self.credentials_file.write_text("\n".join(VEN) + "\n", encoding="utf-8")
        self.credentials_file.chmod(0o600)

    @property
    def credentials_file(self) -> Path:
        """Client id and secret of the site, a line each."""
        return self.folder / "credentials"

    @property
    def url(self) -> str:
        """Base path of the VTN."""
        return f"https://127.0.0.1:{self._port}{self.vtn.base}"

    async def open(self, port: int = 0) -> None:
        """Come up, at the same port as before if there was one."""
        identity = self.certificate or self.authority.issue("127.0.0.1")
        context = server_context(identity, self.authority.ca_file if self.mutual else None)
        self._server = HttpServer(self._handle, context)
        await self._server.open(port or self._port)
        self._port = self._server.port
        self.vtn.url = self.url

    async def aclose(self) -> None:
        """Vanish; what it knows stays."""
        if self._server is not None:
            await self._server.aclose()
        self._server = None

    def notify_by(self, notifier: Notifier, method: str = "ANONYMOUS") -> None:
        """Tell of events by MQTT from now on; whoever calls runs the notifier."""
        uri = f"mqtt://127.0.0.1:{notifier.port}"
        authentication = {"method": method, "username": "{clientID}"}
        self.vtn.mqtt = {"URIS": [uri], "authentication": authentication, "serialization": "JSON"}
        self.vtn.changed = notifier.changed

    def programme(self, name: str) -> Document:
        """A program of that name."""
        return self.vtn.add("programs", {"programName": name})

    def post(self, program: Document, payload_type: str, values: Sequence[Any], **more: Any) -> Document:
        """An event of one payload type (kW, kvar) with an interval per value; keys of ``more`` replace what is here."""
        units = "KVAR" if payload_type == REACTIVE_PAYLOAD else "KW"
        descriptor = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": payload_type, "units": units}
        intervals = [{"id": k, "payloads": [{"type": payload_type, "values": [v]}]} for k, v in enumerate(values)]
        period = {"start": "0001-01-01T00:00:00Z", "duration": "PT30M"}
        event = {"programID": program["id"], "payloadDescriptors": [descriptor], "intervalPeriod": period}
        return self.vtn.add("events", {**event, "intervals": intervals, **more})

    def answers(self, event_id: str) -> list[list[str]]:
        """What the site has said about an event: ACCEPTED, or REFUSED and why."""
        return [
            payload["values"]
            for report in self.vtn.objects["reports"].values()
            if report.get("eventID") == event_id
            for resource in report["resources"]
            for interval in resource["intervals"]
            for payload in interval["payloads"]
            if payload["type"] == "GRIDEDGE_ANSWER"
        ]

    def _handle(self, request: Request) -> Response:
        try:
            answer = self.vtn.handle(request)
        except ValueError as error:
            return json_response(400, {"status": 400, "detail": str(error)})
        events = request.method == "GET" and request.path.endswith("/events")
        return self._spoilt(answer) if events and self.misbehave else answer

    def _spoilt(self, answer: Response) -> Response:
        match self.misbehave:
            case "late":
                return replace(answer, delay_s=self.late_s)
            case "half":
                return replace(answer, send_frac=0.5)
            case "error":
                return json_response(503, {"status": 503})
            case "garbage":
                return replace(answer, body=b"<html>Bad gateway</html>")
            case "huge":
                return replace(answer, body=b"[" + b" " * _HUGE_BYTES + b"]")
            case "nan":
                return replace(answer, body=answer.body.replace(b'"values": [', b'"values": [NaN, '))
            case "redirect":
                return Response(302, headers={"Location": "http://127.0.0.1:1/events"})
            case "compressed":
                return replace(answer, headers={**answer.headers, "Content-Encoding": "gzip"})
            case "not_a_list":
                return replace(answer, body=b'{"events": []}')
            case "deaf":
                return json_response(401, {"status": 401})
        return answer
