"""Access: who may use the management API.

Place     balancer/api; application.py asks it before anything else.
Promise   where tokens are configured, nothing is read or changed without one, on any address;
          where none is, only loopback and unix sockets are listened on (config.py sees to that),
          and no web page can use a visitor's browser to get there.
Not here  TLS; the rights of a unix socket's file, which are the directory's.

    Authorization: Bearer TOKEN ──▶ SHA-256 ──▶ compared with each configured ──▶ name, scope

The configuration has hashes, or names files: whoever may read it gets no token out of it. A token
is long and random, so a plain SHA-256 is enough; a password would want a slow hash, and there are
none here.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from hmac import compare_digest
from typing import TYPE_CHECKING

from verdant.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from werkzeug.wrappers import Request

    from verdant.balancer.config import TokenConfig

__all__ = ["Access", "Refused"]

# 128 bits as hexadecimal digits; shorter is a password, and those are guessed.
TOKEN_CHARACTERS_MIN = 32
TOKEN_BYTES_MAX = 4096

_bearer = re.compile(r"Bearer +([\x21-\x7e]+) *", re.IGNORECASE).fullmatch
# No port, no name, a name without a dot, or an address.
_names_this_machine = re.compile(
    r"(?:[^.:\[\]]*|[0-9]+(?:\.[0-9]+){3}|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"
).fullmatch

READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Refused(Exception):
    """Says that a request may not pass: `status`, `fault`, and a sentence."""

    def __init__(self, status: int, fault: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.fault = fault


class Access:
    """The tokens, by their hashes. Reads token files once; raises `ConfigurationError`. Blocks."""

    def __init__(self, tokens: Iterable[TokenConfig] = ()) -> None:
        self._tokens = [(_digest(token), token) for token in tokens]

    def admit(self, request: Request) -> str:
        """Who asks, for the audit. Raises `Refused`. Does not park."""
        peer = request.remote_addr or "unix"
        if not self._tokens:
            # No program sends Origin of its own accord: this is a page in somebody's browser. Nor
            # does one on this machine call us by a name of the internet's; a page whose name was
            # made to lead here does (DNS rebinding), and sends no Origin when it reads.
            named = _names_this_machine(request.headers.get("Host", ""))
            if "Origin" in request.headers or not named:
                raise Refused(
                    403,
                    "browser_refused",
                    "web pages, and whoever calls this balancer by another name than localhost or "
                    "an address, may use this interface with a token only",
                )
            return f"local@{peer}"
        token = self._find(request.headers.get("Authorization", ""))
        if token is None:
            raise Refused(
                401, "token_missing", "send a token of this balancer as Authorization: Bearer"
            )
        if token.scope != "write" and request.method not in READING:
            raise Refused(
                403, "scope_insufficient", f"the token {token.name} may read, and not change rules"
            )
        return f"{token.name}@{peer}"

    def _find(self, authorization: str) -> TokenConfig | None:
        shown = _bearer(authorization)
        digest = hashlib.sha256((shown[1] if shown else "").encode("ascii")).digest()
        found = None
        # All are compared, so that the time tells nobody which was close.
        for known, token in self._tokens:
            if compare_digest(known, digest):
                found = token
        return found if shown else None


def _digest(token: TokenConfig) -> bytes:
    if token.sha256 is not None:
        return bytes.fromhex(token.sha256)
    path = str(token.file)
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            secret = file.read(TOKEN_BYTES_MAX + 1).strip()
    except OSError as exc:
        raise ConfigurationError(
            f"the token {token.name}: {path} cannot be read ({exc.strerror})"
        ) from exc
    if stat.S_IMODE(mode) & stat.S_IRWXO:
        raise ConfigurationError(
            f"the token {token.name}: everybody on this machine may read {path}; chmod o= {path}"
        )
    if not TOKEN_CHARACTERS_MIN <= len(secret) <= TOKEN_BYTES_MAX or not re.fullmatch(
        rb"[\x21-\x7e]+", secret
    ):
        raise ConfigurationError(
            f"the token {token.name}: {path} must have one line of {TOKEN_CHARACTERS_MIN} to "
            f"{TOKEN_BYTES_MAX} characters without blanks; make one with: openssl rand -hex 32"
        )
    return hashlib.sha256(secret).digest()
