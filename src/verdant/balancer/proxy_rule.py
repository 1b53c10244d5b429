"""Proxy rule: what the arguments of the action `proxy` may be, as frozen values.

Place     balancer, pure; rules.py has the other actions and calls the readers here.
Promise   a `Proxy` that exists can be run: names of header fields are tokens, values fit into a
          head, prefixes are paths, and no edit touches a message's framing.
Not here  what a running fleet remembers (fleet.py).

Three arguments are Mantrid's (`backends`, `attempts`, `delay`). Of the others each bears its unit
in its name (`_s` seconds, `_max` a count), and 0 means "no such limit", or, for a time that the
configuration has as well, "as there". All have a form in text, for command lines.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from verdant.address import BadAddress, TcpAddress, parse_address
from verdant.balancer.readers import Argument, echo, one_of, seconds, share, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "NO_EDITS",
    "NO_OPTIONS",
    "PROXY_ARGUMENTS",
    "BackendEntry",
    "HeaderEdits",
    "Proxy",
    "ProxyOptions",
    "check_backends",
    "read_backend",
]

# One request picks from this list; beyond it a second tier of balancers is the right tool.
BACKENDS_COUNT_MAX = 1024
# A request that was refused a hundred times will be refused the next time too.
ATTEMPTS_MAX = 100
# Delays and intervals: an hour is far beyond any client's patience.
DELAY_S_MAX = 3600.0
# A day, for whoever serves very long polls.
TIMEOUT_S_MAX = 86_400.0
# One part in a thousand is the finest share that anybody gives a canary.
WEIGHT_MAX = 1000
# Linux's fs.nr_open default: what a process can have open at all.
CONNECTIONS_MAX = 1_048_576
# More edits than a head may have fields.
EDITS_COUNT_MAX = 64
# What servers take for a path or a field without a word.
PATH_CHARACTERS_MAX = 2048
VALUE_CHARACTERS_MAX = 4096
NAME_CHARACTERS_MAX = 128
# RFC 1035 section 2.3.4.
HOST_CHARACTERS_MAX = 253
PORT_MAX = 65_535

_backend_host = re.compile(r"[0-9A-Za-z_.-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*").fullmatch
_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_value = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?").fullmatch
_path = re.compile(r"/[!$-~]*").fullmatch
_statuses = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?").fullmatch

# Whoever writes these writes where a message ends, or for whom it is.
_OURS = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding",
     "upgrade"}
)  # fmt: skip

Pairs = tuple[tuple[str, str], ...]


class BackendEntry(NamedTuple):
    """One backend as a rule names it. `connections_max` 0: as the rule's backend_connections_max.

    `weight`: its share of the requests, against the others' weights; 0 to 1000, and 0 takes no new
    ones.
    """

    host: str
    port: int
    weight: int = 1
    connections_max: int = 0

    @property
    def address(self) -> tuple[str, int]:
        """What to connect to."""
        return self.host, self.port

    def to_json(self) -> object:
        """As a rule says it: a pair, or an object when there is more to say."""
        if self.weight == 1 and not self.connections_max:
            return [self.host, self.port]
        spoken: dict[str, object] = {"address": str(TcpAddress(self.host, self.port))}
        if self.weight != 1:
            spoken["weight"] = self.weight
        if self.connections_max:
            spoken["connections_max"] = self.connections_max
        return spoken


class HeaderEdits(NamedTuple):
    """Fields to take out, then to write in place of what is there, then to add."""

    remove: tuple[str, ...] = ()
    set: Pairs = ()
    add: Pairs = ()

    def to_json(self) -> object:
        """As a rule says it."""
        spoken: dict[str, object] = {}
        if self.remove:
            spoken["remove"] = list(self.remove)
        if self.set:
            spoken["set"] = dict(self.set)
        if self.add:
            spoken["add"] = dict(self.add)
        return spoken


NO_EDITS = HeaderEdits()


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """The arguments that most rules leave as they are; docs/reference/rules.md describes each."""

    policy: str = "random"
    hash_on: str = "address"
    sticky_cookie: str = ""
    retry_budget: float = 0.2
    connect_timeout_s: float = 0.0
    head_timeout_s: float = 0.0
    idle_timeout_s: float = 0.0
    total_timeout_s: float = 0.0
    eject_after: int = 5
    eject_s: float = 10.0
    ramp_s: float = 10.0
    panic_share: float = 0.5
    health_path: str = ""
    health_status: str = "200-399"
    health_interval_s: float = 5.0
    health_timeout_s: float = 2.0
    health_rise: int = 2
    health_fall: int = 3
    connections_max: int = 0
    backend_connections_max: int = 0
    queue_max: int = 1000
    queue_s: float = 5.0
    request_headers: HeaderEdits = NO_EDITS
    response_headers: HeaderEdits = NO_EDITS
    strip_prefix: str = ""
    add_prefix: str = ""
    forwarded: str = "x"
    request_id: str = ""


# Shared by all rules without options: of a million hosts nearly all.
NO_OPTIONS = ProxyOptions()


@dataclass(frozen=True, slots=True)
class Proxy:
    """Pass the request to one of `backends`; try `attempts` times, `delay_s` seconds apart."""

    backends: tuple[BackendEntry, ...]
    attempts: int = 1
    delay_s: float = 1.0
    options: ProxyOptions = NO_OPTIONS


def _read_backends(value: object) -> tuple[BackendEntry, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple) or not value:
        raise ValueError('must be a list of [host, port], such as [["10.0.0.5", 8000]]')
    if len(value) > BACKENDS_COUNT_MAX:
        raise ValueError(f"has {len(value)} backends, more than {BACKENDS_COUNT_MAX}")
    return check_backends([read_backend(backend) for backend in value])


def check_backends(entries: Sequence[BackendEntry]) -> tuple[BackendEntry, ...]:
    """The entries, if a rule may have them. Raises ValueError with the end of a sentence."""
    if len(entries) > BACKENDS_COUNT_MAX:
        raise ValueError(f"has {len(entries)} backends, more than {BACKENDS_COUNT_MAX}")
    if not entries:
        raise ValueError("has no backend left: give the host another rule instead")
    if not any(entry.weight for entry in entries):
        raise ValueError("has no backend with a weight above 0: nobody could serve a request")
    return tuple(entries)


def read_backend(value: object) -> BackendEntry:
    """A backend as rules name them: "host:port", [host, port], or an object with `address`.

    Raises ValueError with the end of a sentence.
    """
    if isinstance(value, dict):
        unknown = [name for name in value if name not in ("address", *_EXTRAS)]
        if unknown or "address" not in value:
            raise ValueError(
                'has a backend that is not {"address": "host:port"} with perhaps weight and '
                "connections_max"
            )
        entry = read_backend(value["address"])
        extras = {"weight": 1, "connections_max": 0}
        for name, read in _EXTRAS.items():
            if name in value:
                try:
                    extras[name] = read(value[name])
                except ValueError as exc:
                    raise ValueError(f"has a backend whose {name} {exc}") from exc
        return BackendEntry(entry.host, entry.port, **extras)
    if isinstance(value, str):
        try:
            address = parse_address(value)
        except BadAddress as exc:
            raise ValueError(f"has a backend that cannot be read: {exc}") from exc
        if not isinstance(address, TcpAddress):
            raise ValueError(f"has the backend {echo(value)}, which is not host:port")
        value = [address.host, address.port]
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"has a backend that is not [host, port]: {echo(value)}")
    host, port = value
    if not isinstance(host, str) or len(host) > HOST_CHARACTERS_MAX or not _backend_host(host):
        raise ValueError(f"has a backend whose host is no name or address: {echo(host)}")
    try:
        return BackendEntry(host, _read_port(port))
    except ValueError as exc:
        raise ValueError(f"has a backend at {host} whose port {exc}") from exc


_read_port = whole(1, PORT_MAX)
_EXTRAS = {"weight": whole(0, WEIGHT_MAX), "connections_max": whole(0, CONNECTIONS_MAX)}


def _field_name(value: object) -> str:
    if not isinstance(value, str) or len(value) > NAME_CHARACTERS_MAX or not _token(value):
        raise ValueError(f"has {echo(value)}, which is no name of a header field or cookie")
    return value


def _read_optional_name(value: object) -> str:
    return value if value == "" and isinstance(value, str) else _field_name(value)


def _editable(value: object) -> str:
    name = _field_name(value)
    if "*" in name:
        raise ValueError(f"has {echo(name)}: each field is named in full")
    if name.lower() in _OURS or name.lower().startswith("proxy-"):
        raise ValueError(f"has {echo(name)}, which says how the message travels: leave it out")
    return name


def _read_id_field(value: object) -> str:
    name = value if value == "" and isinstance(value, str) else _editable(value)
    if name.lower() == "host":
        raise ValueError("must not be Host, which says whom a request is for")
    return name


def _read_pairs(value: object) -> Pairs:
    if not isinstance(value, dict) or len(value) > EDITS_COUNT_MAX:
        raise ValueError(f"needs an object name: value for set and add, {EDITS_COUNT_MAX} at most")
    pairs = []
    for name, text in value.items():
        if not isinstance(text, str) or len(text) > VALUE_CHARACTERS_MAX or not _value(text):
            raise ValueError(f"has a value for {echo(name)} that is no printable ASCII text")
        pairs.append((_editable(name), text))
    return tuple(pairs)


def _read_edits(value: object) -> HeaderEdits:
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except (ValueError, RecursionError) as exc:
            raise ValueError("must be JSON when it is text") from exc
    if not isinstance(value, dict) or not set(value) <= {"remove", "set", "add"}:
        raise ValueError('must be an object of "remove", "set" and "add"')
    removed = value.get("remove", [])
    added = value.get("add", {})
    if not isinstance(removed, list) or len(removed) > EDITS_COUNT_MAX:
        raise ValueError(f"needs a list of names to remove, {EDITS_COUNT_MAX} at most")
    if not isinstance(added, dict):
        raise ValueError("needs an object name: value to add")
    if any(isinstance(name, str) and name.lower() == "host" for name in (*removed, *added)):
        # RFC 9112 section 3.2: exactly one.
        raise ValueError("may set Host, neither remove nor add it: a request has exactly one")
    return HeaderEdits(
        tuple(_editable(name) for name in removed),
        _read_pairs(value.get("set", {})),
        _read_pairs(added),
    )


def _read_path(value: object) -> str:
    if value == "" and isinstance(value, str):
        return value
    if not isinstance(value, str) or len(value) > PATH_CHARACTERS_MAX or not _path(value):
        raise ValueError("must be a path that begins with / and has neither blanks nor #")
    return value


def _read_prefix(value: object) -> str:
    path = _read_path(value)
    if "?" in path or path.endswith("/"):
        raise ValueError("must be a path like /app, without ? and without a / at its end")
    return path


def _read_hash_on(value: object) -> str:
    if value == "address" and isinstance(value, str):
        return value
    kind, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon or kind not in ("header", "cookie"):
        raise ValueError("must be address, header:NAME or cookie:NAME")
    return f"{kind}:{_field_name(name)}"


def _read_statuses(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    match = _statuses(value) if isinstance(value, str) else None
    if match is None or (match[2] is not None and match[2] < match[1]):
        raise ValueError('must be a status or a range of them, such as 200 or "200-399"')
    return match[0]


PROXY_ARGUMENTS = (
    Argument("backends", "backends", _read_backends),
    Argument("attempts", "attempts", whole(1, ATTEMPTS_MAX)),
    Argument("delay", "delay_s", seconds(DELAY_S_MAX)),
    *(
        Argument(name, name, read, "options")
        for name, read in (
            (
                "policy",
                one_of(
                    "random", "round_robin", "least_connections", "power_of_two", "consistent_hash"
                ),
            ),
            ("hash_on", _read_hash_on),
            ("sticky_cookie", _read_optional_name),
            ("retry_budget", share),
            ("connect_timeout_s", seconds(TIMEOUT_S_MAX)),
            ("head_timeout_s", seconds(TIMEOUT_S_MAX)),
            ("idle_timeout_s", seconds(TIMEOUT_S_MAX)),
            ("total_timeout_s", seconds(TIMEOUT_S_MAX)),
            ("eject_after", whole(0, 1000)),
            ("eject_s", seconds(DELAY_S_MAX)),
            ("ramp_s", seconds(DELAY_S_MAX)),
            ("panic_share", share),
            ("health_path", _read_path),
            ("health_status", _read_statuses),
            ("health_interval_s", seconds(DELAY_S_MAX)),
            ("health_timeout_s", seconds(DELAY_S_MAX)),
            ("health_rise", whole(1, 100)),
            ("health_fall", whole(1, 100)),
            ("connections_max", whole(0, CONNECTIONS_MAX)),
            ("backend_connections_max", whole(0, CONNECTIONS_MAX)),
            ("queue_max", whole(0, CONNECTIONS_MAX)),
            ("queue_s", seconds(DELAY_S_MAX)),
            ("request_headers", _read_edits),
            ("response_headers", _read_edits),
            ("strip_prefix", _read_prefix),
            ("add_prefix", _read_prefix),
            ("forwarded", one_of("x", "rfc7239", "both", "none")),
            ("request_id", _read_id_field),
        )
    ),
)
