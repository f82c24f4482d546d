"""The ``gridedge`` command. Sub-commands are plug-ins found by entry point, so that this file imports none of them."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, entry_points

import click

GROUP = "gridedge.commands"

# Before anything imports numpy. The core's matrices are too small to share out: a second thread of the linear algebra
# library gains nothing on an idle box and, where other work wants the cores, waits for its turn in every call.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class PluginGroup(click.Group):
    """A click group whose commands are the entry points of ``gridedge.commands``, loaded only when used."""

    def _plugins(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=GROUP)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, sorted."""
        return sorted(self._plugins())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        point = self._plugins().get(cmd_name)
        if point is None:
            return None
        command = point.load()
        if not isinstance(command, click.Command):
            raise TypeError(f"entry point {GROUP}:{cmd_name} is a {type(command).__name__}; expected a click command")
        return command


@click.group(cls=PluginGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="gridedge")
def main() -> None:
    """Edge controller for distribution substations."""
