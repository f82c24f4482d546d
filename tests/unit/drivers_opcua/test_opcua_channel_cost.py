"""Opening a channel takes our private key: how often, a peer does not decide."""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.ua_binary import struct_to_binary
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from drivers.opcua.session.protocol import OPENING_BYTES_MAX, Caps, GuardedProtocol

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
BLOCK = 256


def certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "both")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return made.sign(KEY, hashes.SHA256())


class Told:
    """A protocol that has a connection, has asked for a channel or not, and counts what its key is used for."""

    def __init__(self, *, asked: bool) -> None:
        shown = certificate()
        policy = SecurityPolicyBasic256Sha256(shown, shown, KEY, ua.MessageSecurityMode.SignAndEncrypt)
        self.decrypted = 0
        decryptor = policy.asymmetric_cryptography.Decryptor
        once = decryptor.decryptor

        def counted(key: rsa.RSAPrivateKey, data: bytes) -> bytes:
            self.decrypted += 1
            return bytes(once(key, data))

        decryptor.decryptor = counted
        self.protocol = GuardedProtocol(1.0, policy, Caps(65_535, 65_535, 16, 1 << 17))
        self.uri = policy.URI
        if asked:
            self.protocol._open_secure_channel_exchange = ua.OpenSecureChannelParameters()

    def hear(self, blocks: int, final: bytes = b"F") -> str:
        """What anybody can send who has seen our certificate; why the connection has ended."""
        head = ua.AsymmetricAlgorithmHeader(self.uri, b"", b"")
        secret = KEY.public_key().encrypt(b"x", OAEP)
        body = struct.pack("<I", 0) + struct_to_binary(head) + secret * blocks
        self.protocol.data_received(b"OPN" + final + struct.pack("<I", 8 + len(body)) + body)
        return self.protocol.fault


@pytest.mark.parametrize(
    ("asked", "blocks", "final", "said", "decrypted"),
    [
        (True, 240, b"F", f"61440 bytes to decrypt; expected {OPENING_BYTES_MAX} or less", 0),
        (True, OPENING_BYTES_MAX // BLOCK, b"F", "InvalidSignature", OPENING_BYTES_MAX // BLOCK),
        (True, 4, b"C", "several chunks", 0),
        (False, 4, b"F", "nobody asked for", 0),
    ],
    ids=["a whole chunk", "as much as may be", "chunk after chunk", "without being asked"],
)
def test_a_peer_does_not_decide_how_long_our_private_key_is_busy(
    asked: bool, blocks: int, final: bytes, said: str, decrypted: int
) -> None:
    async def play() -> tuple[str, int]:
        told = Told(asked=asked)
        return told.hear(blocks, final), told.decrypted

    fault, used = asyncio.run(play())
    assert said in fault
    assert used == decrypted
