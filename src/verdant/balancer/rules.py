"""Rules: what JSON may say about a host, checked once, as frozen values.

Place     balancer, pure; the arguments of `proxy` have a file of their own (proxy_rule.py).
          management.py, state.py and the workers' link make rules here;
          routing.py finds them, actions/ run them.
Promise   a `Rule` that exists can be run; `parse_rule(rule.to_json()) == rule`; whatever else is
          sent raises `BadRule`, and nothing but `BadRule`.
Not here  which rule serves a request (routing.py); what an action does (actions/).

    ["proxy", {"backends": [["10.0.0.5", 8000]], "attempts": "3"}, true]
       │          └─ one frozen type per action; text as a command line sends it is taken too
       └─ the action's name                                          └─ subdomains match as well

`given` keeps which defaults were written out, so that a rule reads back as it was sent. It takes
part in comparison: a rule that now spells out a default is stored anew, at the price of one journal
line, rather than read back in words that nobody sent.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any

from verdant.balancer.errors import BadRule
from verdant.balancer.proxy_rule import (
    NO_OPTIONS,
    PROXY_ARGUMENTS,
    HeaderEdits,
    Proxy,
    ProxyOptions,
)
from verdant.balancer.readers import Argument, echo, seconds, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ACTION_NAMES",
    "Arguments",
    "Empty",
    "NoHosts",
    "Proxy",
    "Redirect",
    "Rule",
    "Spin",
    "Static",
    "Unknown",
    "normalise_host",
    "parse_rule",
    "parse_rules",
    "rules_to_json",
]

# RFC 1035 section 2.3.4: a name has at most 253 characters as text, a label at most 63.
HOST_CHARACTERS_MAX = 253
LABEL_CHARACTERS_MAX = 63
# A table of this size takes some 2 GB in every worker; more is a mistake of the sender.
RULES_COUNT_MAX = 4_000_000
# Mantrid's polling interval, which nothing here polls by.
INTERVAL_S_MAX = 3600.0
# A day: long enough for every queue that a request may wait in.
HOLD_S_MAX = 86_400.0
# Every client follows a Location of this length (RFC 9110 section 4.1 asks for 8000).
REDIRECT_CHARACTERS_MAX = 2048
# It becomes a file name; 64 leaves room for the suffix on every file system.
PAGE_NAME_CHARACTERS_MAX = 64

STATUS_MIN, STATUS_MAX = 200, 599

_label = re.compile(r"[0-9a-z_-]+").fullmatch
_ipv6_literal = re.compile(r"\[[0-9a-f:.]*:[0-9a-f:.]*\]").fullmatch
_with_port = re.compile(r"(.*[^:]|\[.*\]):[0-9]{0,5}", re.DOTALL).fullmatch
_page_name = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]*").fullmatch
_printable = re.compile(r"[!-~]+").fullmatch
_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*").fullmatch


@dataclass(frozen=True, slots=True)
class Empty:
    """Answer with `code` (200 to 599) and no body."""

    code: int


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the client to `redirect_to` and the path; without a scheme the client's is kept."""

    redirect_to: str


@dataclass(frozen=True, slots=True)
class Spin:
    """Hold the request until its host has another action, for at most `timeout_s` seconds.

    `check_interval_s` is Mantrid's; it is kept and read back, but nothing here polls.
    """

    timeout_s: float = 120.0
    check_interval_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Static:
    """Send the stored page `type`."""

    type: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Send the page for a host that nobody set up."""


@dataclass(frozen=True, slots=True)
class NoHosts:
    """Send the page of a balancer that has no rules at all."""


Arguments = Empty | Proxy | Redirect | Spin | Static | Unknown | NoHosts


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to requests for one host. A value: equal when it reads the same."""

    action: str
    arguments: Arguments
    match_subdomains: bool = False
    given: tuple[str, ...] = ()

    def to_json(self) -> list[object]:
        """The rule as JSON has it: `[action, arguments, match_subdomains]`.

        Arguments are in their normal types; an optional one is named if it was given or differs
        from its default.
        """
        spoken: dict[str, object] = {}
        defaults = _DEFAULTS[type(self.arguments)]
        for argument in _ACTIONS[self.action][1]:
            holder: object = self.arguments
            if argument.part:
                holder = getattr(holder, argument.part)
                if holder is NO_OPTIONS and not self.given:
                    # They come last, and nearly no rule has any.
                    break
            value = getattr(holder, argument.field)
            default = defaults[argument.field]
            if default is MISSING or value != default or argument.name in self.given:
                spoken[argument.name] = _spoken(value)
        return [self.action, spoken, self.match_subdomains]


def _spoken(value: object) -> object:
    if isinstance(value, HeaderEdits):
        return value.to_json()
    if isinstance(value, tuple):
        return [entry.to_json() for entry in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _read_redirect(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a URL, or a host name to keep the client's scheme")
    if len(value) > REDIRECT_CHARACTERS_MAX:
        raise ValueError(f"is longer than {REDIRECT_CHARACTERS_MAX} characters")
    if not _printable(value):
        raise ValueError("has blanks, control or non-ASCII characters: percent-encode them")
    scheme, separator, rest = value.rpartition("://")
    if (separator and not _scheme(scheme)) or rest.startswith(("/", "?", "#")) or not rest:
        raise ValueError(f"names no host: {echo(value)}; write https://example.com/path")
    return value


def _read_page_name(value: object) -> str:
    if not isinstance(value, str) or len(value) > PAGE_NAME_CHARACTERS_MAX or not _page_name(value):
        raise ValueError(
            "must be the name of a stored page without its .http: letters, digits, `-`, `_` and "
            f"dots, at most {PAGE_NAME_CHARACTERS_MAX}, no dot first"
        )
    return value


_ACTIONS: dict[str, tuple[type[Arguments], tuple[Argument, ...]]] = {
    "empty": (Empty, (Argument("code", "code", whole(STATUS_MIN, STATUS_MAX)),)),
    "proxy": (Proxy, PROXY_ARGUMENTS),
    "redirect": (Redirect, (Argument("redirect_to", "redirect_to", _read_redirect),)),
    "spin": (
        Spin,
        (
            Argument("timeout", "timeout_s", seconds(HOLD_S_MAX)),
            Argument("check_interval", "check_interval_s", seconds(INTERVAL_S_MAX)),
        ),
    ),
    "static": (Static, (Argument("type", "type", _read_page_name),)),
    "no_hosts": (NoHosts, ()),
    "unknown": (Unknown, ()),
}

ACTION_NAMES = tuple(_ACTIONS)

_DEFAULTS: dict[type, dict[str, object]] = {
    kind: {field.name: field.default for field in fields(kind)} for kind, _ in _ACTIONS.values()
}
_DEFAULTS[Proxy] |= {field.name: field.default for field in fields(ProxyOptions)}
_READERS: dict[str, dict[object, Argument]] = {
    action: {argument.name: argument for argument in known}
    for action, (_, known) in _ACTIONS.items()
}


def _fault_name(prefix: str, value: object) -> str:
    return f"{prefix}:{echo(value)[1:-1]}"


def parse_rule(value: object) -> Rule:
    """The rule that a decoded JSON `value` says: `[action, arguments, match_subdomains]`.

    Arguments may be text, as Mantrid's command line sends them ("403", "a:8000,b:8001").
    Raises `BadRule`, whose `fault` is Mantrid's name for it. Does not park.
    """
    if not isinstance(value, list | tuple):
        raise BadRule(
            "host_details_not_list",
            f"a rule is a list [action, arguments, match_subdomains], not {_kind(value)}",
        )
    if len(value) != 3:
        raise BadRule(
            "host_details_wrong_length",
            f"a rule has three parts, [action, arguments, match_subdomains], not {len(value)}",
        )
    action, arguments, match_subdomains = value
    if not isinstance(action, str) or action not in _ACTIONS:
        raise BadRule(
            _fault_name("host_action_invalid", action),
            f"there is no action {echo(action)}; the actions are {', '.join(ACTION_NAMES)}",
        )
    if not isinstance(arguments, dict):
        raise BadRule(
            "host_kwargs_not_dict",
            f"the arguments of {action} must be an object, not {_kind(arguments)}",
        )
    if not isinstance(match_subdomains, bool):
        raise BadRule(
            "host_match_subdomains_not_bool",
            f"match_subdomains must be true or false, not {_kind(match_subdomains)}",
        )
    parsed, given = _parse_arguments(action, arguments)
    return Rule(action, parsed, match_subdomains, given)


def _parse_arguments(action: str, sent: dict[object, object]) -> tuple[Arguments, tuple[str, ...]]:
    kind, known = _ACTIONS[action]
    readers = _READERS[action]
    defaults = _DEFAULTS[kind]
    values: dict[str, Any] = {}
    options: dict[str, Any] = {}
    given = []
    # What was sent, not what is known: of thirty arguments a rule names one or two, and a million
    # rules are read at a start.
    for name, value in sent.items():
        argument = readers.get(name)
        if argument is None:
            takes = f"it takes {', '.join(map(str, readers))}" if readers else "it takes none"
            raise BadRule(
                _fault_name("host_kwarg_unknown", name),
                f"{action} has no argument {echo(name)}; {takes}",
            )
        try:
            read = argument.read(value)
        except ValueError as exc:
            raise BadRule(
                f"host_kwarg_invalid:{argument.name}",
                f"the argument {argument.name} of {action} {exc}",
            ) from exc
        (options if argument.part else values)[argument.field] = read
        if read == defaults[argument.field]:
            given.append(argument.name)
    for argument in known:
        if defaults[argument.field] is not MISSING:
            # Those without a default come first.
            break
        if argument.field not in values:
            raise BadRule(
                f"host_kwarg_missing:{argument.name}",
                f"{action} needs the argument {argument.name}",
            )
    if options:
        values["options"] = ProxyOptions(**options)
    # In one order, whatever was sent first: equal rules are equal.
    return kind(**values), tuple(sorted(given))


def _kind(value: object) -> str:
    """What JSON calls a value of this Python type."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")


def parse_rules(value: object) -> dict[str, Rule]:
    """The whole table that a decoded JSON object `{host: rule, ...}` says.

    Raises `BadRule`, whose text names the host. Does not park.
    """
    if not isinstance(value, dict):
        raise BadRule("hosts_not_dict", f"rules are an object host: rule, not {_kind(value)}")
    if len(value) > RULES_COUNT_MAX:
        raise BadRule("hosts_too_many", f"{len(value)} rules are more than {RULES_COUNT_MAX}")
    rules: dict[str, Rule] = {}
    for host, details in value.items():
        name = normalise_host(host)
        if name in rules:
            raise BadRule(
                _fault_name("host_repeated", name),
                f"{echo(host)} is a second rule for {echo(name)}: case, port and closing dot "
                "make no difference",
            )
        try:
            rules[name] = parse_rule(details)
        except BadRule as exc:
            raise BadRule(exc.fault, f"host {echo(name)}: {exc}") from exc
    return rules


def normalise_host(text: object) -> str:
    """The one spelling of a rule's host name: lower case, without port and closing dot.

    `http://` or `https://` in front is kept: such a rule serves that protocol only.
    Raises `BadRule`. Does not park.
    """
    if not isinstance(text, str) or not text:
        raise BadRule("host_invalid", "a host name must be a text that is not empty")
    # ASCII first: lower() would turn the Kelvin sign into a k.
    if not text.isascii():
        raise BadRule(
            _fault_name("host_invalid", text),
            f"{echo(text)} is not ASCII: write an international name in its xn-- form",
        )
    name = text.lower()
    prefix = next((p for p in ("http://", "https://") if name.startswith(p)), "")
    name = name.removeprefix(prefix)
    if match := _with_port(name):
        name = match[1]
    name = name.removesuffix(".")
    if "*" in name:
        raise BadRule(
            _fault_name("host_invalid", text),
            f"{echo(text)} has a `*`: leave it out, and set match_subdomains to true",
        )
    if not _is_host(name):
        raise BadRule(_fault_name("host_invalid", text), f"{echo(text)} is not a host name")
    return prefix + name


def _is_host(name: str) -> bool:
    if len(name) > HOST_CHARACTERS_MAX:
        return False
    if _ipv6_literal(name):
        return True
    return all(len(label) <= LABEL_CHARACTERS_MAX and _label(label) for label in name.split("."))


def rules_to_json(rules: Mapping[str, Rule]) -> dict[str, object]:
    """The table as JSON has it; `parse_rules` reads it back."""
    return {host: rule.to_json() for host, rule in rules.items()}
