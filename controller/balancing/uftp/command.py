"""``gridedge market-key``."""

from __future__ import annotations

import os
from base64 import b64encode
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
        from nacl.bindings import crypto_sign_keypair

        public, secret = crypto_sign_keypair()
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
            made.write(b64encode(secret) + b"\n")
    click.echo(b64encode(public).decode())
