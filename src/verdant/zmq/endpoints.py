"""Endpoints: does one leave this machine?

Place     zmq, pure. Configurations ask it before they allow a port without keys.
Promise   what is not known to stay on this machine counts as leaving it.
"""

from __future__ import annotations

import ipaddress

__all__ = ["is_exposed"]


def is_exposed(endpoint: str) -> bool:
    """True when other machines can reach what is bound to `endpoint`.

    `tcp://` on a loopback address or `localhost`, `ipc://` and `inproc://` stay here. An interface
    or host name may be anything, so it counts as exposed. Does not park, resolves nothing.
    """
    transport, separator, address = endpoint.partition("://")
    if not separator:
        return True
    if transport in ("ipc", "inproc"):
        return False
    if transport != "tcp":
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
