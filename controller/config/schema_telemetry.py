"""Fleet telemetry of the site file as strict models."""

from __future__ import annotations

from controller.config.fields import Strict, about, number, text
from controller.config.schema_platform import FILE_PATH

_ID = (r"an id: letters, digits, _, - and ., at most 64", r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")


class SparkplugModel(Strict):
    """Telemetry by MQTT Sparkplug B to a broker that is there already; the station process sends it.

    Nothing is commanded this way: of all commands only the request for a rebirth is answered.
    """

    host: str = text("a host name or an address", r"^[A-Za-z0-9][A-Za-z0-9.:-]*$", "Where the broker is.")
    port: int = number("port", 1, 65_535, "Its port.", 8883)
    tls: bool = about("TLS with the broker's certificate checked; false: in the clear, for a network of its own.", True)
    group: str = text(*_ID, "Sparkplug group id: the fleet.")
    node: str | None = text(*_ID, "Sparkplug edge node id, unique in the group; left out: site.id.", None)
    primary_host: str | None = text(
        *_ID,
        "Sparkplug host id that is waited for before anything is sent; left out: what the broker has taken counts as "
        "delivered.",
        None,
    )
    credentials: str | None = text(*FILE_PATH, "File with user and password, a line each.", None)
    ca_file: str | None = text(
        *FILE_PATH, "Authorities that may vouch for the broker (PEM); left out: the system's.", None
    )
    cert_file: str | None = text(*FILE_PATH, "Our certificate (PEM), with key_file, where it asks for one.", None)
    key_file: str | None = text(*FILE_PATH, "Private key of cert_file (PEM).", None)
    live_s: float = number("seconds", 0.2, 3600, "Period of live values; what has not changed is not sent.", 1.0)
    settle_s: float = number(
        "seconds",
        0,
        3600,
        "How long the primary host must have been there after something stored was sent until it is forgotten; above "
        "1.5 times that host's keep-alive.",
        90.0,
    )
    backlog_kbyte_per_s: float = number(
        "kB/s", 1, 100_000, "What stored data may use of the link after an outage, about.", 50.0
    )
