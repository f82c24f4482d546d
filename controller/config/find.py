"""Where a site file is."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = "site_configs"


def site_folders() -> tuple[Path, ...]:
    """Folders with site files, in the order they are searched: here, beside the package, installed data."""
    beside = Path(__file__).resolve().parents[2] / FOLDER
    return (Path(FOLDER), beside, Path(sys.prefix) / "share" / "gridedge" / FOLDER)


def find_site(name: str) -> Path:
    """The file ``name``, or the shipped site of that bare name (``demo_primary``).

    Raises FileNotFoundError that says where it was looked for.
    """
    given = Path(name)
    if given.is_file():
        return given
    if given.name == name:
        for folder in site_folders():
            if (folder / f"{name}.yaml").is_file():
                return folder / f"{name}.yaml"
    shipped = sorted({path.stem for folder in site_folders() for path in folder.glob("*.yaml")})
    raise FileNotFoundError(f"no site file {name!r}; expected a path, or one of: {', '.join(shipped) or 'none found'}")
