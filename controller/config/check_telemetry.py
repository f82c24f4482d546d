"""Does the telemetry block say how the broker and this site know each other?"""

from __future__ import annotations

from controller.config.draft import Draft
from controller.config.finding import show
from controller.config.schema import SiteFile

_HERE = ("localhost", "127.0.0.1", "::1")


def check_telemetry(draft: Draft, file: SiteFile) -> None:
    """Certificates come with their keys, and nothing secret goes over a network in the clear."""
    block, path = file.sparkplug, ("sparkplug",)
    if block is None:
        return
    if (block.cert_file is None) != (block.key_file is None):
        draft.report(path, "one of them", "cert_file with key_file", "a certificate proves nothing without its key")
    if block.tls:
        return
    for key in ("ca_file", "cert_file"):
        if getattr(block, key) is not None:
            draft.report((*path, key), show(getattr(block, key)), "tls: true with it", "nothing is checked without TLS")
    if block.credentials is not None and block.host not in _HERE:
        message = "the password would cross the network in the clear"
        draft.report((*path, "credentials"), show(block.credentials), "tls: true with it", message)
