"""``gridedge market-key``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from controller.readable_errors import readable_errors


@click.command("market-key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def market_key(file: Path) -> None:
    """Make a signing key for the flexibility market in FILE and print the public key for the participants.

    The file can be read by its owner only; one that is there already is left as it is, and nothing is made.
    """
    with readable_errors(ImportError):
        from controller.balancing.uftp.wire import new_keys

        public, secret = new_keys()
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
            made.write(secret.encode() + b"\n")
    click.echo(public)
