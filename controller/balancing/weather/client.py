"""One forecast over HTTPS, as it was answered."""

from __future__ import annotations

from controller.balancing.https import Peer, exchange
from controller.balancing.weather.reading import BODY_BYTES_MAX
from controller.domain.weather import WeatherService

DAYS = "4"


async def fetch(service: WeatherService, request_s: float) -> bytes:
    """What the service answers. Raises LinkError, which never names the query: it may hold a key."""
    files = (service.ca_file, service.cert_file, service.key_file, service.credentials_file)
    peer = Peer("the weather service", *files)
    return await exchange(peer, "GET", service.url, BODY_BYTES_MAX, request_s, query=_query(service))


def _query(service: WeatherService) -> dict[str, str]:
    return {
        "latitude": f"{service.latitude_deg:.4f}",
        "longitude": f"{service.longitude_deg:.4f}",
        service.block: ",".join(service.names),
        "wind_speed_unit": "ms",
        "timeformat": "unixtime",
        "forecast_days": DAYS,
    }
