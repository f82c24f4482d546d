"""One forecast over HTTPS: TLS 1.2 or newer, chain and name verified, no redirect, no proxy, bounded."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import httpx2

from controller.balancing.https import LinkError, body_of, credentials, tls_context
from controller.balancing.weather.reading import BODY_BYTES_MAX
from controller.domain.weather import WeatherService

DAYS = "4"


async def fetch(service: WeatherService, request_s: float) -> bytes:
    """What the service answers. Raises LinkError, which never names the query: it may hold a key."""
    context = await asyncio.to_thread(tls_context, service.ca_file, service.cert_file, service.key_file)
    login = await asyncio.to_thread(_login, service)
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    try:
        url = httpx2.URL(service.url).copy_merge_params(_query(service))
        async with (
            asyncio.timeout(request_s),
            httpx2.AsyncClient(verify=context, trust_env=False, follow_redirects=False, timeout=request_s) as client,
            client.stream("GET", url, headers=headers, auth=login) as answer,
        ):
            if answer.status_code != 200:
                raise LinkError(f"the weather service answers {answer.status_code}; expected 200")
            return await body_of(answer, BODY_BYTES_MAX)
    except TimeoutError as error:
        raise LinkError(f"no answer of the weather service within {request_s:g} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, UnicodeError) as error:
        raise LinkError(f"the weather service: {type(error).__name__}") from error


def _query(service: WeatherService) -> dict[str, str]:
    return {
        "latitude": f"{service.latitude_deg:.4f}",
        "longitude": f"{service.longitude_deg:.4f}",
        service.block: ",".join(service.names),
        "wind_speed_unit": "ms",
        "timeformat": "unixtime",
        "forecast_days": DAYS,
    }


def _login(service: WeatherService) -> tuple[str, str] | None:
    return None if service.credentials_file is None else credentials(Path(service.credentials_file))
