"""A look at what asyncua is about to decode while a session is made (OPC 10000-4, 5.4 and 5.6).

asyncua builds whatever arrives: 15,000 empty certificates in 64 kB hold the loop for 0.06 s. This walks over the answer
without building anything and refuses more than a real server has to say. Sans-IO.
"""

from __future__ import annotations

from collections.abc import Callable

from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.session.binary import Reader, WireError, numeric_id

ENTRIES_MAX = 160
"""Endpoints, their login policies and addresses together: a server with 20 endpoints has about 100."""
RESULTS_MAX = 16
BLOB_BYTES_MAX = 32_768
"""Of a certificate with its chain."""


def check_opening(type_id: bytes, reader: Reader) -> None:
    """``reader`` stands behind the head of an answer of that type. Raises :class:`WireError` when it says too much."""
    walk = _WALKS.get(type_id)
    if walk is not None:
        walk(reader)


def _create_session(reader: Reader) -> None:
    reader.node_id()
    reader.node_id()
    reader.skip(8)  # time-out
    _blobs(reader, 2)  # nonce, certificate
    _endpoints(reader)
    for _ in range(_few(reader, 8, RESULTS_MAX, "software certificates")):
        _blobs(reader, 2)
    _blobs(reader, 2)  # signature
    reader.skip(4)


def _activate_session(reader: Reader) -> None:
    _blobs(reader, 1)
    reader.skip(4 * _few(reader, 4, RESULTS_MAX, "results"))
    for _ in range(_few(reader, 1, RESULTS_MAX, "diagnostics")):
        reader.diagnostic_info()


def _endpoints(reader: Reader) -> None:
    left = ENTRIES_MAX
    for _ in range(_few(reader, 40, ENTRIES_MAX, "endpoints")):
        left -= 1 + _endpoint(reader)
        if left < 0:
            raise WireError(f"more than {ENTRIES_MAX} endpoints, login policies and addresses")


def _endpoint(reader: Reader) -> int:
    """Walk over one; how many policies and addresses it has."""
    _blobs(reader, 3)  # address, application URI, product URI
    reader.localized_text()
    reader.skip(4)  # application type
    _blobs(reader, 2)  # gateway, profile
    addresses = _few(reader, 4, ENTRIES_MAX, "addresses")
    _blobs(reader, addresses)
    _blobs(reader, 1)  # certificate
    reader.skip(4)  # mode
    _blobs(reader, 1)  # policy
    policies = _few(reader, 20, ENTRIES_MAX, "login policies")
    for _ in range(policies):
        _blobs(reader, 1)
        reader.skip(4)  # kind of token
        _blobs(reader, 3)
    _blobs(reader, 1)  # transport
    reader.skip(1)
    return addresses + policies


def _blobs(reader: Reader, count: int) -> None:
    for _ in range(count):
        reader.blob(BLOB_BYTES_MAX)


def _few(reader: Reader, least_bytes: int, at_most: int, what: str) -> int:
    found = reader.count(least_bytes)
    if found > at_most:
        raise WireError(f"{found} {what}; expected at most {at_most}")
    return found


_WALKS: dict[bytes, Callable[[Reader], None]] = {
    numeric_id(int(ObjectIds.CreateSessionResponse_Encoding_DefaultBinary)): _create_session,
    numeric_id(int(ObjectIds.ActivateSessionResponse_Encoding_DefaultBinary)): _activate_session,
    numeric_id(int(ObjectIds.GetEndpointsResponse_Encoding_DefaultBinary)): _endpoints,
}
