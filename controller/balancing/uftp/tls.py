"""TLS of both ends of the market's wire: certificates that are renewed on the disk count without a restart."""

from __future__ import annotations

import ssl
from pathlib import Path

from controller.domain.market import Wire


class InwardTls:
    """What the endpoint shows: the certificate that lies on the disk. Raises OSError for files that cannot be used."""

    def __init__(self, cert_file: str, key_file: str | None) -> None:
        self._files = cert_file, key_file
        self._seen: tuple[tuple[int, int, int], ...] = ()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if trouble := self.renew():
            raise OSError(trouble)

    def renew(self) -> str:
        """Show the files as they are from the next connection on, where they have changed; why that cannot be done.

        What was shown before stays then: half of a pair may be replaced already, the other half follows.
        """
        try:
            seen = tuple(_stamp(Path(file)) for file in self._files if file is not None)
            if seen == self._seen:
                return ""
            # A context that has refused a pair has lost its own: another one tries it first.
            for context in (ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), self.context):
                context.load_cert_chain(*self._files)
        except OSError as error:  # ssl.SSLError is one
            return f"{', '.join(file for file in self._files if file)}: {error}; expected a PEM certificate and its key"
        self._seen = seen
        return ""


def inward_tls(wire: Wire) -> InwardTls | None:
    """TLS of the endpoint; none on loopback without a certificate. Raises OSError for files that cannot be used."""
    return None if wire.cert_file is None else InwardTls(wire.cert_file, wire.key_file)


def outward_tls(wire: Wire) -> ssl.SSLContext:
    """TLS towards participants, with our certificate where we have one. Raises OSError for files that cannot be used.

    Made anew for each message: there are few, and whatever was renewed on the disk counts.
    """
    context = ssl.create_default_context(cafile=wire.ca_file)
    if wire.cert_file is not None:
        context.load_cert_chain(wire.cert_file, wire.key_file)
    return context


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes when a file is replaced or written to."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
