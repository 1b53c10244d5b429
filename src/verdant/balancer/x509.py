"""X.509: what a certificate says of itself, read from its PEM text.

Place     balancer, pure; certificates.py reports by it.
Promise   names and times as the certificate has them, or ValueError; nothing is verified, and no
          text makes it loop or read past its end.
Not here  whether a client would trust it: that is OpenSSL's affair, at the client's end.

    Certificate ─▶ TBSCertificate ─▶ validity, and among the extensions subjectAltName

Why by hand: the stdlib tells these of verified peers only, and a whole library for two fields would
be a dependency of every balancer. Sources: RFC 5280 section 4.1, X.690 for the encoding (DER).
"""

from __future__ import annotations

import binascii
import calendar
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CertificateFacts", "read_certificate"]

_find_block = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s*([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----"
).search

_SEQUENCE, _OCTETS, _OBJECT = 0x30, 0x04, 0x06
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_VERSION, _EXTENSIONS, _DNS_NAME = 0xA0, 0xA3, 0x82
_SUBJECT_ALT_NAME = b"\x55\x1d\x11"


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The DNS names of a certificate, in lower case, and when it is valid (Unix seconds)."""

    names: tuple[str, ...]
    not_before_s: int
    not_after_s: int

    def covers(self, name: str) -> bool:
        """True when a client that wants `name` would take it (RFC 6125 section 6.4.3).

        `name` may be a wildcard itself; then exactly that must be there.
        """
        return name in self.names or f"*.{name.partition('.')[2]}" in self.names


def read_certificate(pem: bytes) -> CertificateFacts:
    """The facts of the first certificate in `pem`, which is the leaf of a chain.

    Raises ValueError, in a sentence, for text without one. Does not park.
    """
    block = _find_block(pem)
    if block is None:
        raise ValueError("there is no certificate in it (BEGIN CERTIFICATE)")
    try:
        return _read(binascii.a2b_base64(block[1]))
    except (ValueError, IndexError) as exc:
        raise ValueError("its first certificate is damaged") from exc


def _read(der: bytes) -> CertificateFacts:
    ((tag, certificate),) = _elements(der)
    (tag, to_sign), *_ = _elements(certificate)
    if tag != _SEQUENCE:
        raise ValueError("no certificate")
    parts = list(_elements(to_sign))
    if parts[0][0] == _VERSION:
        del parts[0]
    # Then: serial number, algorithm, issuer, validity, subject, key.
    (begin, end) = _elements(parts[3][1])
    names: list[str] = []
    for tag, value in parts[6:]:
        if tag == _EXTENSIONS:
            names += _alternative_names(value)
    return CertificateFacts(tuple(names), _seconds(*begin), _seconds(*end))


def _alternative_names(extensions: bytes) -> Iterator[str]:
    ((_, listed),) = _elements(extensions)
    for _, extension in _elements(listed):
        parts = list(_elements(extension))
        if parts[0] != (_OBJECT, _SUBJECT_ALT_NAME) or parts[-1][0] != _OCTETS:
            continue
        ((_, names),) = _elements(parts[-1][1])
        for tag, name in _elements(names):
            if tag == _DNS_NAME:
                yield name.decode("ascii").lower()


def _seconds(tag: int, text: bytes) -> int:
    if tag == _UTC_TIME:
        # RFC 5280 section 4.1.2.5.1: two digits from 50 on are of the last century.
        text = (b"19" if text[:2] >= b"50" else b"20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return calendar.timegm(time.strptime(text.decode("ascii"), "%Y%m%d%H%M%SZ"))


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements that `data` is a row of: tag and content of each."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        content = data[at : at + length]
        if len(content) < length:
            raise ValueError("cut short")
        yield tag, content
        at += length
