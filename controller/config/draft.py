"""A site file as far as it can be read: the items that are well formed by themselves, with where they stand.

So that one bad number does not hide the next mistake, checks run on the well-formed items while references count every
id that is written anywhere, well formed or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from controller.config.finding import Finding, Path, spell
from controller.config.schema import ControlModel, LimitsModel, ThermalLimitModel, VoltageLimitModel
from controller.config.schema_network import BusModel, LineModel, LoadModel, SourceModel, TransformerModel
from controller.config.schema_thermal import WeatherModel
from controller.config.schema_units import DeviceModel, UnitModel
from controller.config.yaml_text import Document

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class At(Generic[M]):
    """A well-formed item and its key path."""

    path: Path
    item: M


@dataclass(slots=True)
class Draft:
    """Well-formed parts of a site file, and the findings so far (shared with the document)."""

    document: Document
    source: At[SourceModel] | None = None
    control: ControlModel | None = None
    limits: LimitsModel | None = None
    weather: WeatherModel | None = None
    buses: list[At[BusModel]] = field(default_factory=list)
    lines: list[At[LineModel]] = field(default_factory=list)
    transformers: list[At[TransformerModel]] = field(default_factory=list)
    loads: list[At[LoadModel]] = field(default_factory=list)
    units: list[At[UnitModel]] = field(default_factory=list)
    devices: list[At[DeviceModel]] = field(default_factory=list)
    thermal: list[At[ThermalLimitModel]] = field(default_factory=list)
    voltage: list[At[VoltageLimitModel]] = field(default_factory=list)
    ids: dict[str, list[tuple[Path, str]]] = field(default_factory=dict)

    def report(self, path: Path, value: str, expected: str, message: str) -> None:
        """Add a finding at ``path``."""
        self.document.findings.append(Finding(spell(path), self.document.line(path), value, expected, message))

    def known(self, *sections: str) -> set[str]:
        """Every id written in the sections, in well-formed items or not."""
        return {name for section in sections for _, name in self.ids.get(section, ())}

    def clean(self, *sections: str) -> bool:
        """True when nothing was found in these top-level sections, nor in the file as a whole."""
        starts = {finding.path.split(".")[0].split("[")[0] for finding in self.document.findings}
        return not starts & {*sections, "(file)"}


def draft(document: Document) -> Draft:
    """Sort out what is well formed in ``document.data``."""
    out = Draft(document)
    out.source = next(_items(document, ("network", "source"), SourceModel, single=True), None)
    blank = [] if "control" in _as_dict(document.data) else [At(("control",), ControlModel())]
    out.control = next((at.item for at in (*blank, *_items(document, ("control",), ControlModel, single=True))), None)
    out.limits = next((at.item for at in _items(document, ("limits",), LimitsModel, single=True)), None)
    out.weather = next((at.item for at in _items(document, ("weather",), WeatherModel, single=True)), None)
    out.buses = list(_items(document, ("network", "buses"), BusModel))
    out.lines = list(_items(document, ("network", "lines"), LineModel))
    out.transformers = list(_items(document, ("network", "transformers"), TransformerModel))
    out.loads = list(_items(document, ("network", "loads"), LoadModel))
    out.units = list(_items(document, ("units",), UnitModel))
    out.devices = list(_items(document, ("devices",), DeviceModel))
    out.thermal = list(_items(document, ("limits", "thermal"), ThermalLimitModel))
    out.voltage = list(_items(document, ("limits", "voltage"), VoltageLimitModel))
    for path in (("network", key) for key in ("buses", "lines", "transformers", "loads")):
        out.ids[path[1]] = _ids(document, path)
    out.ids |= {section: _ids(document, (section,)) for section in ("units", "devices")}
    return out


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = _as_dict(data).get(str(part))
    return data


def _items(document: Document, path: Path, model: type[M], single: bool = False) -> Iterator[At[M]]:
    found = _at(document.data, path)
    raws = [(path, found)] if single else [((*path, index), raw) for index, raw in enumerate(_as_tuple(found))]
    for place, raw in raws:
        try:
            yield At(place, model.model_validate(raw))
        except ValidationError:
            continue


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else ()


def _ids(document: Document, path: Path) -> list[tuple[Path, str]]:
    raws = enumerate(_as_tuple(_at(document.data, path)))
    found = [((*path, index, "id"), _as_dict(raw).get("id")) for index, raw in raws]
    return [(place, name) for place, name in found if isinstance(name, str)]
