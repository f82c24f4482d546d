"""Does the weather forecast name three different things, and a certificate together with its key?"""

from __future__ import annotations

from controller.config.draft import Draft
from controller.config.finding import Path, show
from controller.config.schema import SiteFile


def check_weather(draft: Draft, file: SiteFile) -> None:
    """The block `weather.forecast`."""
    block = file.weather.forecast
    if block is None:
        return
    path: Path = ("weather", "forecast")
    if (block.cert_file is None) != (block.key_file is None):
        draft.report(path, "one of them", "cert_file with key_file", "a certificate proves nothing without its key")
    if len({block.irradiance, block.wind, block.temperature}) < 3:
        expected = "three different names"
        draft.report((*path, "wind"), show(block.wind), expected, "one column cannot be two quantities")
    if block.poll_min > 60.0 * block.stale_h:
        expected = f"at most stale_h {block.stale_h:g}"
        draft.report((*path, "poll_min"), show(block.poll_min), expected, "every forecast would be too old")
