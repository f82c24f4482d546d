"""Signed messages: bytes to payload and back (UFTP 3.1, cryptographic scheme 1: XML inside Ed25519 inside XML).

The signature is checked before the inner text is read. Neither text may declare anything (``<!``): no entities, no
external files. Only messages that a DSO can get are parsed, by a parser that takes no unknown attribute and no number
that is none. Size and structure are bounded first, because the parser's time grows with both, and with the square of
the attributes of one element.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import logging
import re
from dataclasses import MISSING, dataclass, fields
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

from nacl.bindings import (
    crypto_sign,
    crypto_sign_keypair,
    crypto_sign_open,
    crypto_sign_PUBLICKEYBYTES,
    crypto_sign_SECRETKEYBYTES,
)
from nacl.exceptions import CryptoError
from shapeshifter_uftp import uftp
from xsdata.exceptions import ConverterError, ParserError
from xsdata.formats.converter import DecimalConverter, converter
from xsdata.formats.dataclass.context import XmlContext
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig
from xsdata.formats.dataclass.parsers.handlers import XmlEventHandler
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig

BYTES_MAX = 1 << 18
MARKS_MAX = 1000
"""Elements with their ends: nine options of 96 periods that each stand alone, or a whole day of meter values."""
ATTRIBUTES_MAX = 32
"""Of one element; the protocol has at most 20."""
ROLES = ("AGR", "CRO", "DSO")
DECLARATION = re.compile(rb"<!")
# Bounded everywhere: two runs of blanks side by side would be tried in as many ways as there are blanks, squared.
PROLOGUE = (
    rb"""<\?xml\s{1,9}version=["']1\.0["'](?:\s{1,9}encoding=["'][Uu][Tt][Ff]-8["'])?"""
    rb"""(?:\s{1,9}standalone=["'](?:yes|no)["'])?\s{0,9}\?>\s{0,9}"""
)
ROOT = re.compile(rb"\A\s{0,9}(?:" + PROLOGUE + rb")?<(?:[A-Za-z_][\w.-]{0,40}:)?([A-Za-z][\w-]{0,60})[\s/>]")

INCOMING = {
    "D-Prognosis": uftp.DPrognosis,
    "FlexOffer": uftp.FlexOffer,
    "FlexOfferRevocation": uftp.FlexOfferRevocation,
    "Metering": uftp.Metering,
    "FlexRequestResponse": uftp.FlexRequestResponse,
    "FlexOrderResponse": uftp.FlexOrderResponse,
    "FlexReservationUpdateResponse": uftp.FlexReservationUpdateResponse,
    "FlexSettlementResponse": uftp.FlexSettlementResponse,
    "DSOPortfolioQueryResponse": uftp.DsoPortfolioQueryResponse,
    "DSOPortfolioUpdateResponse": uftp.DsoPortfolioUpdateResponse,
    "TestMessage": uftp.TestMessage,
    "TestMessageResponse": uftp.TestMessageResponse,
}

OWN = {
    "FlexRequest": uftp.FlexRequest,
    "FlexOrder": uftp.FlexOrder,
    "FlexReservationUpdate": uftp.FlexReservationUpdate,
}

DIGITS_MAX = 64


class _PlainDecimal(DecimalConverter):
    """xs:decimal has no exponent; the library would write 1E+999999999 out in full, for half a minute."""

    def deserialize(self, value: Any, **more: Any) -> Decimal:
        """The number. Raises ConverterError."""
        if isinstance(value, str) and ("e" in value.lower() or len(value) > DIGITS_MAX):
            raise ConverterError(f"{value[:40]!r} is no decimal")
        found: Decimal = super().deserialize(value, **more)
        return found


converter.register_converter(Decimal, _PlainDecimal())

logging.getLogger("xsdata").setLevel(logging.ERROR)  # a line for whatever it cannot place: the verdict says that

_CONTEXT = XmlContext()
_PARSER = XmlParser(
    context=_CONTEXT,
    config=ParserConfig(fail_on_converter_warnings=True, fail_on_unknown_attributes=True),
    handler=XmlEventHandler,  # the library's default mends broken XML, and then says what nobody has written
)
_SERIALIZER = XmlSerializer(context=_CONTEXT, config=SerializerConfig(indent="  "))


class Unreadable(Exception):
    """Bytes that are no message; ``status`` is what HTTP says about it (UFTP 3.1, "Error handling")."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Envelope:
    """The outer message: who says that he signed, in which role, and the sealed text."""

    sender: str
    role: str
    sealed: bytes


def open_envelope(body: bytes) -> Envelope:
    """The outer message. Raises Unreadable."""
    found = _parse(body, {"SignedMessage": uftp.SignedMessage})
    if not isinstance(found.body, bytes) or not isinstance(found.sender_domain, str):
        raise Unreadable(400, "SignedMessage without SenderDomain or Body")
    if found.sender_role not in ROLES:
        raise Unreadable(400, f"SignedMessage with SenderRole {str(found.sender_role)[:20]!r}; expected one of {ROLES}")
    return Envelope(found.sender_domain, str(found.sender_role), found.body)


def unseal(envelope: Envelope, public_key: str) -> tuple[Any, bytes]:
    """The inner payload, and the text that was signed. Raises Unreadable: 401 for a wrong signature."""
    try:
        text: bytes = crypto_sign_open(envelope.sealed, _key(public_key, crypto_sign_PUBLICKEYBYTES))
    except (CryptoError, ValueError, TypeError) as error:
        raise Unreadable(401, f"signature of {envelope.sender}: {error}") from error
    return _parse(text, INCOMING), text


def parse(text: bytes) -> Any:
    """A message that was opened before. Raises Unreadable."""
    return _parse(text, INCOMING)


def parse_own(text: bytes) -> Any:
    """A message of ours that was written down. Raises Unreadable."""
    return _parse(text, OWN)


def seal(text: bytes, sender: str, signing_key: str, role: str = "DSO") -> bytes:
    """The message to send: ``text`` signed. Raises ValueError for a key that is none."""
    signed = uftp.SignedMessage(
        sender_domain=sender,
        sender_role=uftp.UsefRole(role),
        body=crypto_sign(text, base64.b64decode(signing_key, validate=True)),
    )
    return bytes(_SERIALIZER.render(signed).encode())


def read_secret(text: str) -> str:
    """The signing key of a file's text. Raises ValueError, without the text: it may be somebody's secret."""
    key = text.strip()
    try:
        found = len(base64.b64decode(key, validate=True))
    except binascii.Error:
        found = 0
    if found != crypto_sign_SECRETKEYBYTES:
        raise ValueError(
            f"{found or 'no'} bytes in base64; expected the {crypto_sign_SECRETKEYBYTES} of a signing key, as `gridedge"
            " market-key` makes it"
        )
    return key


def new_keys() -> tuple[str, str]:
    """A new pair of signing keys, public and secret, base64."""
    public, secret = crypto_sign_keypair()
    return base64.b64encode(public).decode(), base64.b64encode(secret).decode()


def plain_text(payload: Any) -> bytes:
    """The payload as it is signed."""
    return bytes(_SERIALIZER.render(payload).encode())


def fingerprint(text: bytes) -> str:
    """What tells two messages with one id apart."""
    return hashlib.sha256(text).hexdigest()


def kind_of(payload: Any) -> str:
    """Name of the payload's kind in the library."""
    return type(payload).__name__


def _key(text: str, length: int) -> bytes:
    """A public key, with or without the protocol's prefix and the encryption key that may follow it."""
    try:
        raw = base64.b64decode(text.removeprefix("cs1."), validate=True)
    except binascii.Error as error:
        raise ValueError(f"the key is no base64: {error}") from error
    if len(raw) not in (length, 2 * length):
        raise ValueError(f"the key has {len(raw)} bytes; expected {length} or {2 * length}")
    return raw[:length]


def _attributes(element: bytes) -> int:
    return element.count(b"=")


def _defaulted(kind: type[Any]) -> frozenset[str]:
    """Required attributes in whose place the library puts a value of its own, even Accepted for an answer's Result."""
    return frozenset(
        field.metadata["name"]
        for field in fields(kind)
        if field.metadata.get("required") and field.default not in (None, MISSING)
    )


def _check_complete(text: bytes, kind: type[Any]) -> None:
    lacking = _defaulted(kind) - _root_attributes(text)
    if lacking:
        raise ParserError(f"{', '.join(sorted(lacking))} is missing")


def _root_attributes(text: bytes) -> frozenset[str]:
    _, root = next(iter(ElementTree.iterparse(io.BytesIO(text), events=("start",))))
    return frozenset(root.attrib)


def _parse(text: bytes, kinds: dict[str, Any]) -> Any:
    if len(text) > BYTES_MAX:
        raise Unreadable(413, f"{len(text)} bytes; expected at most {BYTES_MAX}")
    elements = text.split(b"<", MARKS_MAX + 1)
    if len(elements) > MARKS_MAX + 1 or max(map(_attributes, elements)) > ATTRIBUTES_MAX:
        raise Unreadable(413, f"more than {MARKS_MAX} elements, or {ATTRIBUTES_MAX} attributes of one")
    if DECLARATION.search(text):
        raise Unreadable(400, "a declaration (<!) in the text; expected none")
    root = ROOT.match(text)
    kind = kinds.get(root.group(1).decode()) if root else None
    if kind is None:
        raise Unreadable(400, f"{root.group(1).decode() if root else 'no XML element'}; expected {', '.join(kinds)}")
    try:
        _check_complete(text, kind)
        return _PARSER.from_bytes(text, kind)
    except (ParserError, TypeError, ValueError, ArithmeticError, SyntaxError) as error:
        raise Unreadable(400, f"not by the schema: {type(error).__name__}: {str(error)[:200]}") from error
