"""Site file in, :class:`~controller.domain.site.Site` out, or every mistake at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from controller.config.catalogue import ProfileCatalogue, installed_catalogue
from controller.config.convert import all_feeds, to_site
from controller.config.draft import draft
from controller.config.explain import explain
from controller.config.finding import Finding, SiteError
from controller.config.physics_checks import check_parts, check_whole
from controller.config.schema import SiteFile
from controller.config.yaml_text import BYTES_MAX, Document, read_yaml
from controller.domain.site import Site


@dataclass(frozen=True, slots=True)
class Loaded:
    """A site file that passed: as written (field units) and as the controller takes it (SI)."""

    file: SiteFile
    site: Site
    profiles_checked: bool


def load_site(path: Path) -> Site:
    """The site that the file states, in SI and the house's sign, checked against the installed device profiles.

    Raises :class:`SiteError` with every mistake when the file is refused, OSError when it cannot be read.
    """
    return load(path).site


def load(path: Path) -> Loaded:
    """Like :func:`load_site`, with the file as written."""
    return parse(read_bytes(path), path.name, installed_catalogue())


def check_site(path: Path) -> list[Finding]:
    """Every mistake of the file, in its order; empty when :func:`load_site` would succeed."""
    try:
        load_site(path)
    except SiteError as error:
        return list(error.findings)
    return []


def parse_site(text: str, name: str, catalogue: ProfileCatalogue | None = None) -> Site:
    """Like :func:`load_site` for text that is already here; ``name`` stands for the file in messages.

    Without a catalogue the names of profiles, their points and their commands are not checked, and a device is taken
    to feed every point of its unit.
    """
    return parse(text.encode("utf-8", "surrogatepass"), name, catalogue).site


def parse(raw: bytes, name: str, catalogue: ProfileCatalogue | None) -> Loaded:
    """The whole way from bytes to a checked site. Raises :class:`SiteError`."""
    document = read_yaml(raw)
    file = _validate(document)
    if document.data is not None:
        parts = draft(document)
        check_parts(parts, catalogue)
        if file is not None:
            check_whole(parts, file)
    if file is None or document.findings:
        raise SiteError(name, tuple(sorted(document.findings, key=lambda finding: finding.line)))
    points = {device.id: None if catalogue is None else catalogue.points(device.profile) for device in file.devices}
    feeds = {device.id: all_feeds(device, points[device.id]) for device in file.devices}
    return Loaded(file, to_site(file, feeds), catalogue is not None)


def read_bytes(path: Path) -> bytes:
    """The file, or as much of it as shows that it is too large."""
    with path.open("rb") as file:
        return file.read(BYTES_MAX + 1)


def _validate(document: Document) -> SiteFile | None:
    if document.data is None:
        return None
    try:
        return SiteFile.model_validate(document.data)
    except ValidationError as error:
        document.findings.extend(explain(error, SiteFile, document))
    return None
