"""Routing: which rule serves a request for a host.

Place     balancer, pure. Every worker has one table; each request asks it once.
Promise   an exact name costs one lookup; a subdomain costs one, at most two, for each of its
          labels, whatever the table's size. A change costs the same; an equal rule is no change.
Not here  what a rule may say (rules.py); who waits for a change (actions/spin.py).

    a.b.example.com ──▶ itself ──▶ b.example.com ──▶ example.com ──▶ com ──▶ UNKNOWN
                        any rule   └─ from here on only rules that take subdomains
    at each step PROTO://name is asked before name, if any rule is written for one protocol

Rules that came as text (`load`, `put_texts`) stay text until a request or a change asks for them:
see rule_texts.py. Then the rule takes the text's place, so each is parsed once.

The answer is the pair (key, rule) that the table holds already, so that a request makes no new
object. Keys are bytes, as the parser leaves Host: a text would have to be decoded each time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from verdant.balancer.errors import BadRule
from verdant.balancer.rule_texts import rule_of
from verdant.balancer.rules import NoHosts, Rule, Unknown, normalise_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["NO_HOSTS", "NO_RULE_KEY", "UNKNOWN", "Changes", "Match", "RuleTable"]

# The longest name that DNS can carry, in text (RFC 1035 section 2.3.4); 127 labels fit into it.
HOST_BYTES_MAX = 253
LABELS_MAX = 127

Match = tuple[bytes, Rule]

# The key of an answer that no rule gave; never a host's name.
NO_RULE_KEY = b""
NO_HOSTS: Match = (NO_RULE_KEY, Rule("no_hosts", NoHosts()))
UNKNOWN: Match = (NO_RULE_KEY, Rule("unknown", Unknown()))

# What the HTTP parser has taken care of for requests: case, port, closing dot.
_unnormal = re.compile(rb"[A-Z]|\.\Z|:[0-9]*\Z").search
_port = re.compile(rb"(?<=[^:]):[0-9]*\Z").sub


@dataclass(frozen=True, slots=True)
class Changes:
    """What a change of the table really changed; false when it changed nothing."""

    put: dict[str, Rule] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()
    # What its hosts had before, as text, for the audit; empty where nobody wants to know.
    before: Mapping[str, bytes] = field(default_factory=dict, compare=False)

    def __bool__(self) -> bool:
        return bool(self.put or self.deleted)


class RuleTable:
    """The rules by host. `version` counts the changes; use it from one native thread."""

    __slots__ = ("_entries", "_prefixed_count", "_texts", "version")

    def __init__(self, rules: Mapping[str, Rule] | None = None) -> None:
        self.version = 0
        self._entries: dict[bytes, Match] = {}
        # Those that nobody has asked for yet; a key is here or there, never in both.
        self._texts: dict[bytes, bytes] = {}
        # How many keys begin with a protocol. While none does, no request looks for one.
        self._prefixed_count = 0
        if rules:
            self.replace_all(rules)

    def __len__(self) -> int:
        return len(self._entries) + len(self._texts)

    def __iter__(self) -> Iterator[tuple[str, Rule]]:
        for key, rule in list(self._entries.values()):
            yield key.decode("ascii"), rule
        for key, text in list(self._texts.items()):
            yield key.decode("ascii"), rule_of(text)

    def having(self, word: bytes) -> Iterator[tuple[str, Rule]]:
        """All rules but those whose text does not have `word`."""
        for key, rule in list(self._entries.values()):
            yield key.decode("ascii"), rule
        for key, text in list(self._texts.items()):
            if word in text:
                yield key.decode("ascii"), _parsed(text)

    def get(self, host: str) -> Rule | None:
        """The rule kept under this very name, or None. Raises `BadRule` for no host name."""
        match = self._find(normalise_host(host).encode("ascii"))
        return match[1] if match is not None else None

    def _find(self, key: bytes) -> Match | None:
        """What is kept under `key`, parsed."""
        match = self._entries.get(key)
        if match is None and self._texts:
            text = self._texts.pop(key, None)
            if text is not None:
                match = self._entries[key] = (key, _parsed(text))
        return match

    def resolve(self, host: bytes, proto: bytes = b"http") -> Match:
        """The rule that serves `host`, and the key under which it is kept.

        `host`: as `Request.host` has it. `proto`: b"http" or b"https", what the client used.
        Returns `NO_HOSTS` from an empty table, `UNKNOWN` when no rule serves the host; their key
        is `NO_RULE_KEY`. Never raises, never parks.
        """
        if not self._prefixed_count:
            match = self._entries.get(host)
            if match is not None:
                return match
        return self._search(host, proto)

    def resolve_name(self, host: str, proto: str = "http") -> Match:
        """`resolve` for text, off the request path."""
        return self.resolve(host.encode("utf-8", "surrogatepass"), proto.encode("ascii"))

    def _search(self, host: bytes, proto: bytes) -> Match:
        if not self._entries and not self._texts:
            return NO_HOSTS
        find = self._find
        if _unnormal(host) is not None:
            host = _port(b"", host).lower().removesuffix(b".")
        if len(host) > HOST_BYTES_MAX:
            return UNKNOWN
        prefix = proto + b"://" if self._prefixed_count else None
        name, exact = host, True
        for _ in range(LABELS_MAX):
            if prefix is not None:
                match = find(prefix + name)
                if match is not None and (exact or match[1].match_subdomains):
                    return match
            match = find(name)
            if match is not None and (exact or match[1].match_subdomains):
                return match
            dot = name.find(b".")
            if dot < 0:
                break
            name, exact = name[dot + 1 :], False
        return UNKNOWN

    def set(self, host: str, rule: Rule) -> Changes:
        """Keep `rule` for `host` from now on. Raises `BadRule` for no host name."""
        name = normalise_host(host)
        key = name.encode("ascii")
        old = self._find(key)
        if old is not None and old[1] == rule:
            return Changes()
        if old is None:
            self._prefixed_count += b"://" in key
        self._entries[key] = (key, rule)
        self.version += 1
        return Changes({name: rule})

    def delete(self, host: str) -> Changes:
        """Keep no rule for `host` any more. Raises `BadRule` for no host name."""
        name = normalise_host(host)
        key = name.encode("ascii")
        if self._entries.pop(key, None) is None and self._texts.pop(key, None) is None:
            return Changes()
        self._prefixed_count -= b"://" in key
        self.version += 1
        return Changes({}, (name,))

    def replace_all(self, rules: Mapping[str, Rule]) -> Changes:
        """Keep exactly `rules`. Raises `BadRule` for no host name, and then changes nothing."""
        entries: dict[bytes, Match] = {}
        put: dict[str, Rule] = {}
        for host, rule in rules.items():
            name = normalise_host(host)
            key = name.encode("ascii")
            old = self._find(key)
            if old is not None and old[1] == rule:
                entries[key] = old
            else:
                entries[key] = (key, rule)
                put[name] = rule
        kept = (*self._entries, *self._texts)
        deleted = tuple(key.decode("ascii") for key in kept if key not in entries)
        if not put and not deleted:
            return Changes()
        self._entries = entries
        self._texts = {}
        self._prefixed_count = sum(b"://" in key for key in entries)
        self.version += 1
        return Changes(put, deleted)

    def load(self, texts: dict[bytes, bytes]) -> None:
        """Have exactly these rules, as texts by normal host name; the dict is the table's now."""
        self._entries = {}
        self._texts = texts
        self._prefixed_count = sum(b"://" in key for key in texts)
        self.version += 1

    def put_texts(self, texts: Mapping[str, bytes], deleted: Iterable[str] = ()) -> None:
        """Take a change of a store in: texts of rules by normal host name, and hosts that go."""
        entries, kept = self._entries, self._texts
        for host in deleted:
            key = host.encode("ascii")
            if entries.pop(key, None) is not None or kept.pop(key, None) is not None:
                self._prefixed_count -= b"://" in key
        for host, text in texts.items():
            key = host.encode("ascii")
            if entries.pop(key, None) is None and key not in kept:
                self._prefixed_count += b"://" in key
            kept[key] = text
        self.version += 1


def _parsed(text: bytes) -> Rule:
    try:
        return rule_of(text)
    except BadRule:
        # Checked before it was kept, by the same program or an older one whose rules it knows.
        return UNKNOWN[1]
