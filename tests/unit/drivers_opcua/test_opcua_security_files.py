"""OPC UA security from the site file: what is read, and what is refused with the file's name."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest

from drivers.opcua.security import load_security
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
