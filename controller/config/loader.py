"""Site file in, :class:`~controller.domain.site.Site` out, or every mistake at once."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from controller.config.convert import all_feeds, to_site
from controller.config.explain import explain
from controller.config.finding import Finding, SiteError
from controller.config.schema import SiteFile
from controller.config.yaml_text import BYTES_MAX, Document, read_yaml
from controller.domain.site import Site


def load_site(path: Path) -> Site:
    """The site that the file states, in SI and the house's sign.

    Raises :class:`SiteError` with every mistake when the file is refused, OSError when it cannot be read.
    """
    return parse_site(_read(path), path.name)


def check_site(path: Path) -> list[Finding]:
    """Every mistake of the file, in its order; empty when :func:`load_site` would succeed."""
    try:
        load_site(path)
    except SiteError as error:
        return list(error.findings)
    return []


def parse_site(text: str | bytes, name: str) -> Site:
    """Like :func:`load_site` for text that is already here; ``name`` stands for the file in messages."""
    document = read_yaml(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    file = _validate(document)
    if file is None or document.findings:
        raise SiteError(name, tuple(sorted(document.findings, key=lambda finding: finding.line)))
    return to_site(file, {device.id: all_feeds(device, None) for device in file.devices})


def _read(path: Path) -> bytes:
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
