"""OPC UA security from the site file: what is read, and what is refused with the file's name."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from drivers.opcua.security import load_security
from drivers.opcua.session.guard import GuardedClient, secure
from simulators.adapters.opcua_server import generate_credentials

URI = "urn:gridedge:controller"


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Ours in DER, the server's in PEM: both forms are in use in the field."""
    folder = tmp_path_factory.mktemp("opcua")
    ours, server = generate_credentials(URI), generate_credentials()
    files = {
        "certificate_file": ours.certificate_der,
        "private_key_file": ours.private_key_pem,
        "server_certificate_file": ssl.DER_cert_to_PEM_cert(server.certificate_der).encode(),
        "password_file": b"s3cret\nnot this\n",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in files} | {"username": "gridedge"}


def test_a_device_without_options_has_an_open_connection() -> None:
    assert load_security({}) is None


def test_certificates_password_and_the_uri_of_our_certificate_are_taken_from_the_files(
    options: Mapping[str, str],
) -> None:
    found = load_security(options)
    assert found is not None
    assert found.application_uri == URI
    assert (found.username, found.password, found.policy) == ("gridedge", "s3cret", "Basic256Sha256")
    assert found.certificate_der != found.server_certificate_der
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize("key", ["certificate_file", "private_key_file", "server_certificate_file", "password_file"])
def test_a_file_that_is_not_there_is_named_with_its_key(options: Mapping[str, str], key: str) -> None:
    with pytest.raises(ValueError, match=rf"{key} /nowhere/x cannot be read"):
        load_security(dict(options) | {key: "/nowhere/x"})


def test_a_file_that_is_no_certificate_is_refused(options: Mapping[str, str], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("hello", encoding="ascii")
    with pytest.raises(ValueError, match=r"server_certificate_file .*wrong\.pem is no certificate"):
        load_security(dict(options) | {"server_certificate_file": str(wrong)})


def key_that_is(kind: str, rsa_pem: bytes) -> bytes:
    """A file of that kind."""
    if kind == "no key":
        return b"hello"
    key = generate_private_key(SECP256R1()) if kind == "of another kind" else None
    chosen = key or serialization.load_pem_private_key(rsa_pem, None, unsafe_skip_rsa_key_validation=True)
    lock = BestAvailableEncryption(b"x") if kind == "encrypted" else NoEncryption()
    return chosen.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


@pytest.mark.parametrize("kind", ["no key", "encrypted", "of another kind"])
def test_a_private_key_that_cannot_be_used_is_refused_at_start_and_not_at_the_first_connection(
    kind: str, options: Mapping[str, str], tmp_path: Path
) -> None:
    wrong = tmp_path / "key.pem"
    wrong.write_bytes(key_that_is(kind, Path(options["private_key_file"]).read_bytes()))
    with pytest.raises(ValueError, match=r"private_key_file (is no usable private key|holds a .*; expected)"):
        load_security(dict(options) | {"private_key_file": str(wrong)})


async def test_no_key_is_read_and_checked_when_a_connection_is_made(
    options: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checking takes 30 ms or more, in which the control loop would stand still."""

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a key is read")

    security = load_security(options)
    assert security is not None
    monkeypatch.setattr(serialization, "load_pem_private_key", forbidden)
    monkeypatch.setattr(serialization, "load_der_private_key", forbidden)
    client = GuardedClient("opc.tcp://127.0.0.1:1/", 1.0)
    secure(client, security)
    assert client.application_uri == URI
    assert client.security_policy.host_certificate == security.certificate_der
    assert client.security_policy.peer_certificate == security.server_certificate_der
    assert client.uaclient.security_policy is client.security_policy
