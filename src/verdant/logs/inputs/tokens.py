"""Tokens: who may write lines of which apps.

Place     logs/inputs, pure.
Promise   a token is compared by its digest, so that the time it takes tells nothing about it, and
          is in no message.

    # TOKEN SCOPE APP[,APP]          one a line; * is every app
    5f0c9e…  write  web,worker
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from verdant.logs.errors import InputUnusable

__all__ = ["Grant", "Tokens", "parse_tokens", "token_of"]

# Shorter ones can be guessed.
TOKEN_CHARS_MIN = 16
ANY_APP = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows: lines of `apps`. The first is what a line without an app gets."""

    apps: tuple[str, ...]

    def allows(self, app: str) -> bool:
        """True when lines of `app` may be written."""
        return ANY_APP in self.apps or app in self.apps

    @property
    def default_app(self) -> str | None:
        """The app of lines that name none; None when the input's own applies."""
        return None if self.apps[0] == ANY_APP else self.apps[0]


class Tokens:
    """The grants of a tokens file."""

    def __init__(self, grants: dict[bytes, Grant]) -> None:
        self._grants = grants

    def find(self, token: str) -> Grant | None:
        """What `token` allows; None for one that nobody was given."""
        return self._grants.get(_digest(token))


def parse_tokens(text: str, filename: str) -> Tokens:
    """The tokens in a file's text. Raises `InputUnusable` with the line that is wrong."""
    grants: dict[bytes, Grant] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split() if line.lstrip().startswith("#") else line.split()
        if not words:
            continue
        how = "write TOKEN write APP[,APP]"
        if len(words) != 3:
            raise InputUnusable(f"{filename}:{number}: {len(words)} words: {how}")
        token, scope, apps = words
        if scope not in ("write", "read"):
            raise InputUnusable(f"{filename}:{number}: {scope!r} is no scope: {how}")
        if len(token) < TOKEN_CHARS_MIN:
            raise InputUnusable(
                f"{filename}:{number}: the token is shorter than {TOKEN_CHARS_MIN} characters: "
                "make one with `openssl rand -hex 32`"
            )
        names = tuple(name for name in apps.split(",") if name)
        if not names:
            raise InputUnusable(f"{filename}:{number}: no app is named: {how}")
        if scope == "write":
            grants[_digest(token)] = Grant(names)
    return Tokens(grants)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def token_of(authorization: str) -> str | None:
    """The token in an Authorization field: `Bearer TOKEN`, or the password of `Basic`."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        return pair.partition(":")[2] or None
    return None
