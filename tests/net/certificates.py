"""Certificates made for one test run: an authority, a server's, a client's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import trustme

from verdant.net import tls_client_context, tls_server_context

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True)
class Certificates:
    """PEM files: the authority's certificate, and chains with keys that it signed."""

    ca: Path
    server: Path
    other: Path
    client: Path

    def server_context(self) -> ssl.SSLContext:
        return tls_server_context(self.server)

    def client_context(self) -> ssl.SSLContext:
        return tls_client_context(ca=self.ca)


@cache
def certificates() -> Certificates:
    """The same for a whole run: making keys takes a while."""
    directory = Path(mkdtemp(prefix="verdant-tls-"))
    authority = trustme.CA()
    found = Certificates(
        directory / "ca.pem",
        directory / "server.pem",
        directory / "other.pem",
        directory / "client.pem",
    )
    authority.cert_pem.write_to_path(str(found.ca))
    for path, names in (
        (found.server, ("localhost", "127.0.0.1")),
        (found.other, ("other.test",)),
        (found.client, ("client@a.test",)),
    ):
        authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(str(path))
    return found
