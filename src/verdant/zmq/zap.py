"""ZAP: who may connect, decided from values.

Place     zmq, pure. guard.py asks here for every handshake.
Promise   arbitrary frames give a request or a `BadFrames`. What a policy does not allow is denied,
          and so is everything under a domain that nobody set up.
Not here  the socket that libzmq asks (guard.py), the key files (keys.py).

ZeroMQ RFC 27: libzmq sends, for each connection that wants to come in,

    version "1.0" · request id · domain · address · identity · mechanism · credentials ...

and hears version · request id · status · text · user id · metadata. CURVE's credential is the
client's public key, 32 bytes, which the handshake has proved it holds.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from zmq.utils import z85

from verdant.zmq.errors import BadFrames
from verdant.zmq.frames import FrameLimits, check_frames

__all__ = [
    "Decision",
    "Policy",
    "Reason",
    "ZapRequest",
    "decide",
    "parse_networks",
    "parse_request",
    "reply_frames",
]

VERSION = b"1.0"
ALLOWED = b"200"
# "Temporary", not 400: after a 400 libzmq's client stops trying for good, so a client whose key is
# allowed a minute later would have to be restarted. After a 300 the server closes the connection
# when the handshake's time is up, and the client comes again.
DENIED = b"300"

# PLAIN has two credentials, CURVE one; names and passwords are at most 255 bytes each.
_LIMITS = FrameLimits(6, 8, 4096, VERSION)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Reason = Literal["allowed", "mechanism", "address", "key", "domain"]


@dataclass(frozen=True, slots=True)
class ZapRequest:
    """What libzmq asks. `key`: the client's public key in Z85, for CURVE."""

    request_id: bytes
    domain: bytes
    address: str
    mechanism: str
    key: bytes | None


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may come in.

    `keys`: client keys (Z85) and their names; None lets every key in. `networks`: from where; None
    is from everywhere. `mechanism`: CURVE, or NULL for a port without keys.
    """

    mechanism: Literal["CURVE", "NULL"] = "CURVE"
    keys: dict[bytes, str] | None = None
    networks: tuple[Network, ...] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A policy's word. `user`: the name of the key, for the server's log."""

    reason: Reason
    user: str = ""

    @property
    def allowed(self) -> bool:
        """True when the client may come in."""
        return self.reason == "allowed"


def parse_networks(texts: list[str]) -> tuple[Network, ...]:
    """Networks from CIDR texts (`10.0.0.0/8`, `::1`). Raises ValueError that names the text."""
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as exc:
            raise ValueError(f"{text!r} is no network ({exc}): write it as 10.0.0.0/8") from exc
    return tuple(found)


def parse_request(frames: list[bytes]) -> ZapRequest:
    """The request in `frames`. Raises `BadFrames`."""
    _, request_id, domain, address, _, mechanism, *credentials = check_frames(frames, _LIMITS)
    key = None
    if mechanism == b"CURVE":
        if len(credentials) != 1 or len(credentials[0]) != 32:
            raise BadFrames("a CURVE client's credential is one key of 32 bytes")
        key = z85.encode(credentials[0])
    return ZapRequest(
        request_id,
        domain,
        address.decode("ascii", "backslashreplace"),
        mechanism.decode("ascii", "backslashreplace"),
        key,
    )


def decide(policy: Policy | None, request: ZapRequest) -> Decision:
    """May it come in? `policy`: that of the request's domain, None when there is none."""
    if policy is None:
        return Decision("domain")
    if request.mechanism != policy.mechanism:
        return Decision("mechanism")
    if policy.networks is not None and not _within(request.address, policy.networks):
        return Decision("address")
    if policy.mechanism == "NULL" or policy.keys is None:
        return Decision("allowed")
    if request.key is None or request.key not in policy.keys:
        return Decision("key")
    return Decision("allowed", policy.keys[request.key])


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        # ipc and inproc have no address: a rule on addresses does not know them, so it denies.
        return False
    # A socket for both families sees IPv4 clients as ::ffff:a.b.c.d.
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in network for network in networks)


def reply_frames(request_id: bytes, decision: Decision) -> list[bytes]:
    """The answer to libzmq."""
    status, text = (ALLOWED, b"OK") if decision.allowed else (DENIED, decision.reason.encode())
    return [VERSION, request_id, status, text, decision.user.encode(), b""]
