"""What devices can be connected: one line per profile for a terminal, and the page ``docs/devices.md``."""

from __future__ import annotations

from collections.abc import Iterable

import click

from drivers.profile import FailBehaviour, Profile
from drivers.profile_loader import load_profile, profile_ids

_HEAD = """# Devices

Written by `gridedge devices --markdown` from the tables in `drivers/profiles/`; every register there names where it was
read. How a device **fails** is what it does by itself when set points stop coming: it *reverts* to a value that we
wrote or that is set in it, *holds* the last one, or fails *open* (its limit is cancelled). A unit behind a device that
holds or fails open needs `covered_by` in the site file, or a fail-safe power at its most. What a table was **checked
against** is said as it is: "not on a device" means that nobody has, and `gridedge commission` is how to change that.

SunSpec devices need no table of their own: their models are found out at every session, and the `sunspec_…` tables bind
to them by name. Curves (SunSpec 705, 706, 712) are read by `gridedge scan`, and read and changed by `gridedge curves`;
the controller itself never touches them.

Where a table says where the device keeps its **serial number**, and for every SunSpec device, the number is read at
every connection and every half minute: units of one model that have changed places are told apart by nothing else. It
is compared with `serial_number` of the site file, or else with the first that was read after the start.
"""

_FAILS = {
    FailBehaviour.REVERTS_TO_VALUE: "reverts",
    FailBehaviour.HOLDS_LAST: "holds",
    FailBehaviour.FAILS_OPEN: "**open**",
}
_KINDS = {
    "meter": "Meters",
    "der": "Generators",
    "battery": "Batteries",
    "ev_hub": "Charging stations",
    "transformer": "Transformers and tap changers",
}


@click.command()
@click.option("--markdown", is_flag=True, help="Print the page docs/devices.md.")
def devices(markdown: bool) -> None:
    """List the device profiles that are installed: what they are, what they take, how they fail."""
    profiles = [load_profile(name) for name in profile_ids()]
    if markdown:
        click.echo(page(profiles), nl=False)
        return
    for profile in profiles:
        takes = ", ".join(command.name for command in profile.commands) or "nothing"
        click.echo(f"{profile.id}: {profile.title}\n    takes {takes}; {profile.when_silent}")


def page(profiles: Iterable[Profile]) -> str:
    """The page, grouped by kind; a kind without a heading would be a mistake in a table."""
    found = list(profiles)
    parts = [_HEAD]
    for kind, heading in _KINDS.items():
        parts += [f"## {heading}\n", *(_section(profile) for profile in found if profile.kind == kind)]
    return "\n".join(parts)


def kinds() -> frozenset[str]:
    """Kinds of devices that the page has a heading for."""
    return frozenset(_KINDS)


def _section(profile: Profile) -> str:
    reads = ", ".join(f"`{name}`" for name in sorted(profile.poll_names()) if not name.startswith("model_"))
    takes = ", ".join(f"`{command.name}`" for command in profile.commands)
    fails = f"{_FAILS[profile.fails]}. {profile.when_silent}" if profile.commands else profile.when_silent
    return "\n".join(
        (
            f"### `{profile.id}`",
            f"{profile.title}{' (OPC UA)' if profile.protocol == 'opcua' else ''}.",
            "",
            f"- **reads** {reads}",
            f"- **takes** {takes or 'no set point'}",
            f"- **fails** {fails}",
            *([f"- **serial number** {profile.serial.ref}"] if profile.serial is not None else []),
            f"- **checked against** {profile.verified}",
            f"- **source** {profile.source}",
            "",
        )
    )
