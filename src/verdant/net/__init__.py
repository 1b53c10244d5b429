"""Byte streams: listeners, connections, servers, relays."""

from verdant.net.backdoor import Backdoor
from verdant.net.listener import AddressUnusable, bound_address, connect, listen
from verdant.net.relay import relay
from verdant.net.server import CONNECTIONS_MAX_DEFAULT, Server, serve
from verdant.net.stream import Stream

__all__ = [
    "CONNECTIONS_MAX_DEFAULT",
    "AddressUnusable",
    "Backdoor",
    "Server",
    "Stream",
    "bound_address",
    "connect",
    "listen",
    "relay",
    "serve",
]
