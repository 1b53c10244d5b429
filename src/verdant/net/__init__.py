"""Byte streams: listeners, connections, servers, TLS, relays."""

from verdant.net.backdoor import Backdoor, serve_console
from verdant.net.listener import AddressUnusable, bound_address, connect, listen, with_tls
from verdant.net.relay import relay
from verdant.net.server import CONNECTIONS_MAX_DEFAULT, Server, serve
from verdant.net.stream import Stream
from verdant.net.tls import (
    HANDSHAKE_S_MAX,
    TlsBroken,
    TlsStream,
    tls_client_context,
    tls_context_by_name,
    tls_server_context,
)

__all__ = [
    "CONNECTIONS_MAX_DEFAULT",
    "HANDSHAKE_S_MAX",
    "AddressUnusable",
    "Backdoor",
    "Server",
    "Stream",
    "TlsBroken",
    "TlsStream",
    "bound_address",
    "connect",
    "listen",
    "relay",
    "serve",
    "serve_console",
    "tls_client_context",
    "tls_context_by_name",
    "tls_server_context",
    "with_tls",
]
