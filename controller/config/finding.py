"""One mistake in a site file, worded so that it can be put right without opening the source."""

from __future__ import annotations

from dataclasses import dataclass

Path = tuple[str | int, ...]

_SHOWN_MAX = 60
LISTED_MAX = 200
"""So many mistakes of a file are told in words; nobody reads more of them."""


def spell(path: Path) -> str:
    """``("devices", 1, "poll_s")`` as people write it: ``devices[1].poll_s``; ``(file)`` for the whole document."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_key(part)}" if text else _key(part)
    return text or "(file)"


def _key(name: str) -> str:
    """A key as it is quoted: one short line, whatever a hostile file calls it."""
    shown = name if name.isprintable() else repr(name)
    return shown if len(shown) <= _SHOWN_MAX else shown[: _SHOWN_MAX - 1] + "…"


def show(value: object) -> str:
    """A value as it is quoted in a finding: short, one line, text in quotes, ``nothing`` for null."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at one place of a site file.

    ``path`` is the key path (``devices[1].poll_s``), ``line`` is 1-based, ``value`` what was found, ``expected`` what
    would be accepted and ``message`` why; either of the last two may be empty.
    """

    path: str
    line: int
    value: str
    expected: str
    message: str

    def text(self, name: str) -> str:
        """One line for people: ``site.yaml:12: devices[1].poll_s: found 0, expected seconds 0.05…60 (why)``."""
        said = f"found {self.value}"
        if self.expected:
            said += f", expected {self.expected}"
        if self.message:
            said += f" ({self.message})" if self.expected else f": {self.message}"
        return f"{name}:{self.line}: {self.path}: {said}"


class SiteError(ValueError):
    """A site file was refused. ``findings`` holds every mistake, in the order of the file; ``str`` lists the first."""

    def __init__(self, name: str, findings: tuple[Finding, ...]) -> None:
        self.name = name
        self.findings = findings
        more = len(findings) - LISTED_MAX
        lines = [finding.text(name) for finding in findings[:LISTED_MAX]]
        super().__init__("\n".join(lines + ([f"{name}: … and {more} more"] if more > 0 else [])))
