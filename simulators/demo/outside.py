"""The day as the outside saw it, in two files that grow while it lasts.

``plant.csv`` is what the simulated plant counted, a row for each status line: powers in W and var, load convention and
import positive; ``available_w`` what a unit could do, ``curtailed_wh`` and ``energy_wh`` since the beginning, ``frac``
how far each limit is used and ``over_s`` how long it has been exceeded. ``parties.jsonl`` is what platform,
participants and transmission operator heard and said, a line of JSON each. The controller says nothing in either.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controller.domain.site import Site
from simulators.demo.course import sample

PLANT, PARTIES = "plant.csv", "parties.jsonl"
_OF_UNITS = ("p_w", "available_w", "soc_frac", "energy_wh", "curtailed_wh")
_OF_LIMITS = ("frac", "over_s")
_BOUNDARY = ("interface_p_w", "interface_q_var")


class Outside:
    """Writes both files into a folder while the context lasts; ``began_utc`` is site second zero."""

    def __init__(self, folder: Path, site: Site, began_utc: datetime) -> None:
        self._folder, self._site, self._began_utc = folder, site, began_utc
        self._files = ExitStack()

    def __enter__(self) -> Self:
        open_for = self._files.enter_context
        self._plant = csv.writer(open_for((self._folder / PLANT).open("w", encoding="utf-8", newline="")))
        self._parties = open_for((self._folder / PARTIES).open("w", encoding="utf-8"))
        self._plant.writerow(self._columns())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def plant(self, line: Mapping[str, Any]) -> None:
        """A status line of the simulator; one without the true state is none of the plant's."""
        if "truth" in line and "score" in line:
            self._plant.writerow(_written(value) for value in self._row(line["truth"], line["score"]))

    def party(self, line: Mapping[str, Any]) -> None:
        """Something that somebody outside heard or said; a line without a time is none of theirs."""
        if "t_s" in line:
            self._parties.write(json.dumps(line) + "\n")

    def _columns(self) -> list[str]:
        units = [f"{unit.id}.{name}" for unit in self._site.units for name in _OF_UNITS]
        limits = [f"{limit.id}.{name}" for limit in self._site.limits for name in _OF_LIMITS]
        return ["t_s", "utc", *_BOUNDARY, *units, *limits]

    def _row(self, truth: Mapping[str, Any], score: Mapping[str, Any]) -> Iterator[Any]:
        now = sample(self._site, truth)
        yield round(now.t_s, 1)
        yield (self._began_utc + timedelta(seconds=now.t_s)).isoformat(timespec="seconds")
        yield from (truth[name] for name in _BOUNDARY)
        for k, counted in enumerate(score["units"]):
            yield from (now.p_w[k], now.available_w[k], now.soc_frac[k], counted["energy_wh"], counted["curtailed_wh"])
        for k, counted in enumerate(score["limits"]):
            yield from (now.frac[k], counted["over_s"])


def _written(value: Any) -> Any:
    """Floats to seven digits; NaN is an empty field."""
    if not isinstance(value, float):
        return value
    return "" if value != value else f"{value:.7g}"  # noqa: PLR0124 - NaN is not itself
