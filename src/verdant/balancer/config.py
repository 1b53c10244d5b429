"""Configuration: the `[balancer]` table of verdant.toml as frozen values.

Place     balancer, pure. cli/toml.py reads the file and names line and key of what is wrong.
Promise   a `BalancerConfig` that exists is complete and within bounds; every field has a default
          that works on one machine without root.
Not here  rules: they change while the balancer runs and live in `state_dir` (state.py).

    [balancer]
    bind = ["*:80"]
    [balancer.wake]
    command = ["systemctl", "start", "app@{host}"]

A check of this file begins its message with `field: `, which is how cli/toml.py finds the key.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from verdant.address import BadAddress, TcpAddress, parse_address
from verdant.zmq.endpoints import is_exposed

__all__ = ["BalancerConfig", "WakeConfig"]

# More listeners than any machine has networks.
LISTENERS_COUNT_MAX = 64
# Linux's fs.nr_open default; a connection needs a descriptor, a proxied one needs two.
CONNECTIONS_MAX = 1_048_576
# A day, for whoever serves very long polls.
TIMEOUT_S_MAX = 86_400

_Count = Annotated[int, msgspec.Meta(ge=1, le=CONNECTIONS_MAX)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=TIMEOUT_S_MAX)]
_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Addresses = Annotated[list[str], msgspec.Meta(max_length=LISTENERS_COUNT_MAX)]


class WakeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to tell the outside that requests are held for a host (`[balancer.wake]`)."""

    # A ZeroMQ PUB socket is bound here, and tells each subscriber the host to wake.
    publish: _Text | None = None
    # Run once for each notice, without a shell, `{host}` replaced: names come from rules alone.
    command: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    # A notice can be lost (PUB keeps none for late subscribers), so it is repeated for as long as
    # requests wait. Five seconds is well below what a client waits, well above a fast start.
    repeat_s: _Seconds = 5.0
    # The publisher's secret key file: subscribers then need keys, those of the directory `allow`
    # ("*" is any).
    keys: _Text | None = None
    allow: _Text | None = None
    # Notices to other machines in plain text: whoever is on the way sees which hosts are asked for.
    insecure: bool = False

    def __post_init__(self) -> None:
        """Refuses what no start could use."""
        if self.publish is not None and not self.publish.startswith(("tcp://", "ipc://")):
            raise ValueError(
                f"publish: {self.publish!r} is no ZeroMQ endpoint; write it as "
                "tcp://127.0.0.1:8043 or ipc:///run/verdant/wake"
            )
        if (self.keys is None) != (self.allow is None):
            missing = "keys" if self.keys is None else "allow"
            raise ValueError(
                f"{missing}: `keys` and `allow` go together; name the publisher's secret key file "
                'and the directory of its subscribers\' .key files (or "*")'
            )
        open_to_all = self.keys is None and not self.insecure
        if self.publish is not None and open_to_all and is_exposed(self.publish):
            raise ValueError(
                f"publish: {self.publish!r} can be reached from other machines in plain text; "
                "give `keys` and `allow`, or say `insecure = true`"
            )
        if self.command is not None and not self.command[0]:
            raise ValueError("command: its first word must be the program to run")


class BalancerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The balancer's settings (`[balancer]`)."""

    # Where clients connect. 8000 needs no root; "*:80" is what a front door wants.
    bind: _Addresses = msgspec.field(default_factory=lambda: ["127.0.0.1:8000"])
    # Where trusted peers connect, such as a TLS terminator: their X-Forwarded-* is believed.
    bind_internal: _Addresses = []
    # The REST API. It has no passwords, so it listens on loopback unless told otherwise.
    management: _Text = "127.0.0.1:8042"
    # Rules are kept here; relative to where the balancer starts, so that a first try needs no root.
    state_dir: _Text = "verdant-state/balancer"
    # TYPE.http files that stand in for the shipped pages; None has the shipped ones only.
    static_dir: _Text | None = None
    # The talk's number, and Mantrid's: 10,000 connections cost about 200 MB here.
    connections_max: _Count = 10_000
    # A held request is an open connection; more than those cannot be held.
    held_requests_max: _Count = 10_000
    # One sleeping site that is suddenly popular must not hold up all the others.
    held_per_host_max: _Count = 2_000
    # From a connection's first byte to its head's last: slower than ten seconds is an attack.
    head_timeout_s: _Seconds = 10.0
    # Between two requests of a connection. Browsers reuse within a minute or not at all.
    idle_timeout_s: _Seconds = 75.0
    # A backend nearby that has not accepted after this long is down or full.
    backend_connect_timeout_s: _Seconds = 5.0
    # From a request's last byte to its answer's head; long polls need more.
    backend_response_timeout_s: _Seconds = 60.0
    # Between two pieces of an answer, and for some progress of a request's body. Event streams
    # that say nothing for longer send comments, as browsers' own libraries advise.
    backend_idle_timeout_s: _Seconds = 300.0
    # What a stop waits for requests under way: the whole stack stops within five seconds. Where
    # requests run longer, allow more; systemd kills after 90 s by default.
    drain_timeout_s: _Seconds = 3.0
    wake: WakeConfig = WakeConfig()

    def __post_init__(self) -> None:
        """Refuses addresses that are none, and bounds that contradict each other."""
        for name, addresses in (("bind", self.bind), ("bind_internal", self.bind_internal)):
            for address in addresses:
                _check_address(name, address)
        if not self.bind and not self.bind_internal:
            raise ValueError('bind: nothing to listen on; write bind = ["127.0.0.1:8000"]')
        both = {*self.bind} & {*self.bind_internal}
        if both:
            raise ValueError(
                f"bind_internal: {min(both)!r} is in bind too; a listener is external or internal"
            )
        _check_address("management", self.management)
        if self.held_per_host_max > self.held_requests_max:
            raise ValueError(
                f"held_per_host_max: {self.held_per_host_max} for one host is more than "
                f"held_requests_max = {self.held_requests_max} for all"
            )


def _check_address(name: str, text: str) -> None:
    try:
        address = parse_address(text)
    except BadAddress as exc:
        raise ValueError(f"{name}: {exc}") from exc
    # An address of one connection has no meaning for the clients' X-Forwarded-For; TCP or unix
    # are both fine for the API and for a terminator on this machine.
    if name == "bind" and not isinstance(address, TcpAddress):
        raise ValueError(f"{name}: {text!r} has no client addresses; put it into bind_internal")
