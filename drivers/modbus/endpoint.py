"""Where Modbus devices are reached, as site files say it.

``host:port`` and ``tcp://host:port`` (Modbus TCP), ``modbus+tls://host[:802]`` (Modbus/TCP Security),
``rtu+tcp://host:port`` (RTU frames inside TCP, a transparent serial gateway) and
``rtu:///dev/ttyUSB0?baud=19200&parity=E&stop=1`` (RTU on a serial line).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

TLS_PORT = 802  # MODBUS/TCP Security V2.1, clause 8.1: mbap/TLS is registered at port 802
BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
EXPECTED = (
    "host:port, rtu+tcp://host:port, modbus+tls://host[:802] or "
    "rtu:///dev/ttyX?baud=19200&parity=E&stop=1, with a port of 1 to 65535"
)


@dataclass(frozen=True, slots=True)
class SerialLine:
    """How characters travel on the line; the default is that of MODBUS over Serial Line V1.02, clause 2.5.1."""

    baud: int = 19200
    parity: str = "E"
    stop: int = 1

    @property
    def character_s(self) -> float:
        """Time of one character: start bit, 8 data bits, parity bit if any, stop bits."""
        return (9 + (self.parity != "N") + self.stop) / self.baud

    @property
    def silence_s(self) -> float:
        """t3.5, the silence between frames: 3.5 characters, above 19200 baud 1.75 ms (same document, 2.5.1.1)."""
        return 0.00175 if self.baud > 19200 else 3.5 * self.character_s


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One line to one or more units; ``rtu`` frames as RTU, ``host`` is the path of a ``serial`` port."""

    host: str
    port: int = 0
    rtu: bool = False
    tls: bool = False
    serial: SerialLine | None = None

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """From the text of a site file; ValueError says what was expected."""
        scheme, separator, rest = text.rpartition("://") if "://" in text else ("", "", text)
        if scheme == "rtu":
            return _parse_serial(text, rest)
        if scheme == "modbus+tls" and ":" not in rest.rpartition("]")[2]:
            rest = f"{rest}:{TLS_PORT}"
        host, _, port = rest.rpartition(":")
        good_port = port.isascii() and port.isdigit() and 0 < int(port) < 65536
        if (separator and scheme not in ("tcp", "rtu+tcp", "modbus+tls")) or not host or not good_port:
            raise ValueError(f"endpoint is {text!r}; expected {EXPECTED}")
        name = host.removeprefix("[").removesuffix("]")
        return cls(name, int(port), rtu=scheme == "rtu+tcp", tls=scheme == "modbus+tls")

    @property
    def line(self) -> tuple[str, int]:
        """What devices on one connection have in common."""
        return (self.host if self.serial is not None else self.host.lower(), self.port)

    @property
    def text(self) -> str:
        """As a site file would say it, complete."""
        if self.serial is not None:
            line = self.serial
            return f"rtu://{self.host}?baud={line.baud}&parity={line.parity}&stop={line.stop}"
        scheme = "modbus+tls" if self.tls else "rtu+tcp" if self.rtu else "tcp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    def __str__(self) -> str:
        return self.host if self.serial is not None else f"{self.host}:{self.port}"


def _parse_serial(text: str, rest: str) -> Endpoint:
    path, _, query = rest.partition("?")
    found = dict(parse_qsl(query, keep_blank_values=True))
    baud, parity, stop = (
        found.pop(key, default) for key, default in (("baud", "19200"), ("parity", "E"), ("stop", "1"))
    )
    good = path.startswith("/") and not found and baud in map(str, BAUDS) and parity in "NEO" and stop in ("1", "2")
    if not good or not parity:
        known = ", ".join(map(str, BAUDS))
        raise ValueError(
            f"endpoint is {text!r}; expected rtu:///dev/ttyX?baud=19200&parity=E&stop=1 "
            f"with a baud of {known}, a parity of N, E or O and 1 or 2 stop bits"
        )
    return Endpoint(path, rtu=True, serial=SerialLine(int(baud), parity, int(stop)))
