"""Rule texts: rules by host, kept as the JSON that they were checked in.

Place     balancer, pure. The stores keep all rules this way, and the workers' tables those that no
          request has asked for yet.
Promise   a mapping of hosts to `Rule`s, as a dict of them would be; each text was made from a rule
          that `parse_rule` let pass, or is parsed before it is believed.
Not here  the disk (state.py), which rule serves a request (routing.py).

A `Rule` with its arguments takes 1.1 kB and 10 µs to make, its text 0.2 kB and nothing: at a
million hosts, of which a few thousand are asked for within a minute, that is a gigabyte and ten
seconds of every start. Rejected: parsing each once and keeping what came of it, since a listing of
all rules would leave all of them in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from verdant.balancer.rules import Rule, parse_rule

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RuleTexts", "rule_of", "text_of"]


def text_of(rule: Rule) -> bytes:
    """The rule as JSON text; `rule_of` reads it back. Does not park."""
    return msgspec.json.encode(rule.to_json())


def rule_of(text: bytes) -> Rule:
    """The rule that a text of `text_of` says. Raises `BadRule`. Does not park."""
    return parse_rule(msgspec.json.decode(text))


class RuleTexts(Mapping[str, Rule]):
    """Rules by host; only stores change it. Reading one makes a `Rule` each time."""

    __slots__ = ("texts",)

    def __init__(self, rules: Mapping[str, Rule] | None = None) -> None:
        self.texts: dict[str, bytes] = {}
        if rules:
            self.texts.update((host, text_of(rule)) for host, rule in rules.items())

    def __getitem__(self, host: str) -> Rule:
        return rule_of(self.texts[host])

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def __contains__(self, host: object) -> bool:
        return host in self.texts

    def differs(self, host: str, rule: Rule) -> bool:
        """True when `host` has no rule or another one than `rule`."""
        text = self.texts.get(host)
        return text is None or (text != text_of(rule) and rule_of(text) != rule)

    def apply(self, put: Mapping[str, Rule], deleted: Iterable[str]) -> None:
        """Take a change in."""
        for host in deleted:
            self.texts.pop(host, None)
        for host, rule in put.items():
            self.texts[host] = text_of(rule)
