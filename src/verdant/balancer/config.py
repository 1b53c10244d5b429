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

import re
from typing import Annotated, Literal

import msgspec

from verdant.address import BadAddress, TcpAddress, UnixAddress, parse_address
from verdant.zmq.endpoints import is_exposed

__all__ = ["BalancerConfig", "FeedConfig", "TlsConfig", "TokenConfig", "WakeConfig"]

# Each is compared with what a request shows.
TOKENS_COUNT_MAX = 100
# A scrape of so many series takes a second.
METRICS_HOSTS_MAX = 100_000
# More listeners than any machine has networks.
LISTENERS_COUNT_MAX = 64
# Linux's fs.nr_open default; a connection needs a descriptor, a proxied one needs two.
CONNECTIONS_MAX = 1_048_576
# A day, for whoever serves very long polls.
TIMEOUT_S_MAX = 86_400

_Count = Annotated[int, msgspec.Meta(ge=1, le=CONNECTIONS_MAX)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=TIMEOUT_S_MAX)]
_Text = Annotated[str, msgspec.Meta(min_length=1)]
_sha256 = re.compile(r"[0-9a-fA-F]{64}").fullmatch
_Addresses = Annotated[list[str], msgspec.Meta(max_length=LISTENERS_COUNT_MAX)]


def _check_publishing(config: WakeConfig | FeedConfig, examples: str) -> None:
    if config.publish is not None and not config.publish.startswith(("tcp://", "ipc://")):
        raise ValueError(
            f"publish: {config.publish!r} is no ZeroMQ endpoint; write it as {examples}"
        )
    if (config.keys is None) != (config.allow is None):
        missing = "keys" if config.keys is None else "allow"
        raise ValueError(
            f"{missing}: `keys` and `allow` go together; name the publisher's secret key file "
            'and the directory of its subscribers\' .key files (or "*")'
        )
    open_to_all = config.keys is None and not config.insecure
    if config.publish is not None and open_to_all and is_exposed(config.publish):
        raise ValueError(
            f"publish: {config.publish!r} can be reached from other machines in plain text; "
            "give `keys` and `allow`, or say `insecure = true`"
        )


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
        _check_publishing(self, "tcp://127.0.0.1:8043 or ipc:///run/verdant/wake")
        if self.command is not None and not self.command[0]:
            raise ValueError("command: its first word must be the program to run")


class TlsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where clients connect by TLS, and with which certificates (`[balancer.tls]`)."""

    bind: _Addresses = []
    # NAME.pem and NAME.key, or NAME/fullchain.pem and NAME/privkey.pem, looked at as they change.
    directory: _Text | None = None
    # The name whose certificate those get that ask for an unknown name or none; None refuses them.
    default: _Text | None = None
    # Authorities (PEM) one of which must have signed each client's own certificate.
    client_ca: _Text | None = None
    # Plain listeners answer 308 to the same place under https, for hosts that have a rule.
    redirect: bool = False
    # The port of `redirect`, as clients see it.
    redirect_port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 443
    # Two round trips and some ten milliseconds of work; slower ones are attacks.
    handshake_timeout_s: _Seconds = 10.0
    # Contexts in memory, some 30 KiB each: the busy names of one front door.
    certificates_max: _Count = 4096

    def __post_init__(self) -> None:
        """Refuses listeners without certificates, and names that are none."""
        for address in self.bind:
            _check_address("bind", address)
        if self.bind and self.directory is None:
            raise ValueError(
                "directory: TLS needs certificates; name the directory that has NAME.pem files"
            )
        if self.redirect and not self.bind:
            raise ValueError("redirect: nobody listens for https here; write bind too")
        if self.default is not None and "/" in self.default:
            raise ValueError(f"default: {self.default!r} is a host's name, not a file's")


class FeedConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where changes of the rules are published (`[balancer.feed]`)."""

    # A ZeroMQ PUB socket is bound here, and sends each change as it is made.
    publish: _Text | None = None
    # As for wake notices.
    keys: _Text | None = None
    allow: _Text | None = None
    # Rules to other machines in plain text: whoever is on the way sees every host and backend.
    insecure: bool = False

    def __post_init__(self) -> None:
        """Refuses what no start could use."""
        _check_publishing(self, "tcp://127.0.0.1:8044 or ipc:///run/verdant/changes")


class TokenConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One token of the management API (`[[balancer.tokens]]`)."""

    # Who shows it; stands in the audit lines.
    name: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z_.-]{1,64}$")]
    # "read": rules, statistics, changes, metrics. "write": rules may be changed too.
    scope: Literal["read", "write"] = "read"
    # The token's SHA-256 as 64 hexadecimal digits; or a file that has the token itself.
    sha256: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        """Refuses a token that nobody could show."""
        if (self.sha256 is None) == (self.file is None):
            raise ValueError(
                "sha256: give either the token's `sha256` or a `file` that has it, not "
                + ("both" if self.sha256 else "neither")
            )
        if self.sha256 is not None and not _sha256(self.sha256):
            raise ValueError("sha256: it is 64 hexadecimal digits, as sha256sum prints them")


class BalancerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The balancer's settings (`[balancer]`)."""

    # Where clients connect. 8000 needs no root; "*:80" is what a front door wants.
    bind: _Addresses = msgspec.field(default_factory=lambda: ["127.0.0.1:8000"])
    # Where trusted peers connect, such as a TLS terminator: their X-Forwarded-* is believed.
    bind_internal: _Addresses = []
    # The management API. Other addresses than loopback and unix sockets want a token.
    management: _Text = "127.0.0.1:8042"
    # More addresses of the same.
    bind_management: _Addresses = []
    # Who may use it. With one token or more, nobody may without.
    tokens: Annotated[list[TokenConfig], msgspec.Meta(max_length=TOKENS_COUNT_MAX)] = []
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
    # Without any progress, either way, in the middle of a request or an answer: nginx's figure.
    stalled_timeout_s: _Seconds = 60.0
    # What a request's body brings per second of waiting, once stalled_timeout_s was waited in all:
    # a modem is faster. Less is a client that holds a place in a backend for nothing.
    body_bytes_per_s_min: Annotated[int, msgspec.Meta(ge=0)] = 100
    # A body is never held here, but a backend may keep what it gets: a DVD, and no more.
    body_bytes_max: Annotated[int, msgspec.Meta(ge=1)] = 4 * 1024**3
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
    # Whom to be once every listener is open: ports below 1024 need root, requests do not.
    user: _Text | None = None
    # Without it the user's own.
    group: _Text | None = None
    # Hosts with metrics of their own: five series each; a thousand make a page of 300 kB.
    metrics_hosts_max: Annotated[int, msgspec.Meta(ge=0, le=METRICS_HOSTS_MAX)] = 1000
    wake: WakeConfig = WakeConfig()
    tls: TlsConfig = TlsConfig()
    feed: FeedConfig = FeedConfig()

    def __post_init__(self) -> None:
        """Refuses addresses that are none, and bounds that contradict each other."""
        for name, addresses in (("bind", self.bind), ("bind_internal", self.bind_internal)):
            for address in addresses:
                _check_address(name, address)
        if not self.bind and not self.bind_internal and not self.tls.bind:
            raise ValueError('bind: nothing to listen on; write bind = ["127.0.0.1:8000"]')
        both = {*self.bind} & {*self.bind_internal}
        if both:
            raise ValueError(
                f"bind_internal: {min(both)!r} is in bind too; a listener is external or internal"
            )
        both = {*self.tls.bind} & {*self.bind, *self.bind_internal}
        if both:
            raise ValueError(f"tls: {min(both)!r} is in bind too; a listener speaks TLS or not")
        self._check_management()
        if self.group is not None and self.user is None:
            raise ValueError("group: it goes with `user`; name that too")
        if self.held_per_host_max > self.held_requests_max:
            raise ValueError(
                f"held_per_host_max: {self.held_per_host_max} for one host is more than "
                f"held_requests_max = {self.held_requests_max} for all"
            )

    def _check_management(self) -> None:
        named = [("management", self.management)]
        named.extend(("bind_management", address) for address in self.bind_management)
        for name, address in named:
            _check_address(name, address)
            local = isinstance(parse_address(address), UnixAddress)
            # An address is exposed if a ZeroMQ port on it would be.
            if not self.tokens and not local and is_exposed(f"tcp://{address}"):
                raise ValueError(
                    f"{name}: other machines can reach {address!r}, and whoever does can change "
                    "every rule; add a [[balancer.tokens]] table, or listen on 127.0.0.1 or a "
                    "unix: socket"
                )
        names = [token.name for token in self.tokens]
        if len({*names}) != len(names):
            raise ValueError("tokens: two tokens have the same name, and the audit names them")


def _check_address(name: str, text: str) -> None:
    try:
        address = parse_address(text)
    except BadAddress as exc:
        raise ValueError(f"{name}: {exc}") from exc
    # An address of one connection has no meaning for the clients' X-Forwarded-For; TCP or unix
    # are both fine for the API and for a terminator on this machine.
    if name == "bind" and not isinstance(address, TcpAddress):
        raise ValueError(f"{name}: {text!r} has no client addresses; put it into bind_internal")
