"""Hosts: reading and changing rules under /v1.

Place     balancer/api; application.py calls it. All changes go through the rulebook as edits.
Promise   a change of many hosts is made whole or not at all; If-Match is looked at under the same
          lock as the change is made; what stood there already is said to be no change.
Not here  spelling (shapes.py, conditions.py), Mantrid's interface (management.py).

    GET    /v1/hosts[?limit&after&inactive_since]     a page, in the order of names
    POST   /v1/hosts    {"put", "delete", "if"}       some of them     PUT /v1/hosts   all of them
    GET    /v1/hosts/H    PUT /v1/hosts/H    DELETE /v1/hosts/H
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from verdant.balancer.answering import json_answer, read_body
from verdant.balancer.api.conditions import read_conditions
from verdant.balancer.api.names import SortedNames
from verdant.balancer.api.shapes import (
    read_bulk,
    read_rule,
    read_rules,
    read_time,
    rule_json,
    time_text,
)
from verdant.balancer.edits import Applied, Edit, rule_tag, table_tag
from verdant.balancer.errors import BadRule
from verdant.balancer.rules import Rule, normalise_host
from verdant.core import sleep

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

    from verdant.balancer.rulebook import Rulebook

__all__ = ["Hosts"]

# As management.py has them: one rule with all its backends, and a million rules.
RULE_BODY_BYTES_MAX = 512 * 1024
RULES_BODY_BYTES_MAX = 256 * 1024 * 1024

# A page of a thousand hosts takes about ten milliseconds to write.
PAGE_HOSTS_DEFAULT, PAGE_HOSTS_MAX = 100, 1000
# How many hosts are looked at before others get their turn.
HOSTS_PER_PIECE = 500

_count = re.compile(r"[0-9]{1,6}").fullmatch


class Hosts:
    """The handlers of /v1/hosts. Calls may run at the same time."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._book = rulebook
        self._names = SortedNames(rulebook.rules(), rulebook.feed)

    def collection(self, request: Request) -> object:
        """Answer to /v1/hosts. Parks."""
        if request.method in ("GET", "HEAD"):
            return self._page(request)
        conditions = read_conditions(
            None, request.headers.get("If-Match"), request.headers.get("If-None-Match")
        )
        if request.method == "PUT":
            rules = read_body(request, RULES_BODY_BYTES_MAX, read_rules)
            return self._apply(Edit(rules, replace=True, conditions=conditions))
        # A form or a script's plain text could come from any web page; JSON is asked for first.
        if request.mimetype != "application/json":
            raise BadRule(
                "content_type_invalid", "send the change as Content-Type: application/json"
            )
        edit = read_body(request, RULES_BODY_BYTES_MAX, read_bulk)
        return self._apply(Edit(edit.put, edit.delete, conditions=(*conditions, *edit.conditions)))

    def host(self, request: Request, host: str) -> object:
        """Answer to /v1/hosts/H. Parks."""
        name = normalise_host(host)
        if request.method in ("GET", "HEAD"):
            rule = self._book.rules().get(name)
            if rule is None:
                return _no_rule(name)
            response = json_answer(self._entry(name, rule, self._book.held_by_host()))
            response.set_etag(rule_tag(rule))
            return response
        conditions = read_conditions(
            name, request.headers.get("If-Match"), request.headers.get("If-None-Match")
        )
        if request.method == "DELETE":
            return self._apply(Edit(delete=(name,), conditions=conditions))
        rule = read_body(request, RULE_BODY_BYTES_MAX, read_rule)
        response = self._apply(Edit({name: rule}, conditions=conditions))
        response.set_etag(rule_tag(rule))
        return response

    def _apply(self, edit: Edit) -> Response:
        applied: Applied = self._book.apply(edit)
        response = json_answer(
            {
                "changed": applied.changed,
                "put": applied.put_count,
                "deleted": applied.deleted_count,
                "version": applied.version,
            }
        )
        response.set_etag(table_tag(applied.version))
        return response

    def _page(self, request: Request) -> Response:
        limit_text = request.args.get("limit", str(PAGE_HOSTS_DEFAULT))
        limit = int(limit_text) if _count(limit_text) else 0
        if not 1 <= limit <= PAGE_HOSTS_MAX:
            raise BadRule("limit_invalid", f"limit is a whole number from 1 to {PAGE_HOSTS_MAX}")
        since_text = request.args.get("inactive_since")
        since_s = None if since_text is None else read_time(since_text)
        version = self._book.version
        found, following = self._search(request.args.get("after", ""), limit, since_s)
        held = self._book.held_by_host()
        response = json_answer(
            {
                "version": version,
                "count": len(self._book.rules()),
                "hosts": [self._entry(name, rule, held) for name, rule in found],
                "next": following,
            }
        )
        response.set_etag(table_tag(version))
        return response

    def _search(
        self, after: str, limit: int, since_s: float | None
    ) -> tuple[list[tuple[str, Rule]], str | None]:
        """The page after the name `after`, and what to ask `after` for the one behind it."""
        rules = self._book.rules()
        found: list[tuple[str, Rule]] = []
        while names := self._names.after(after, HOSTS_PER_PIECE):
            for name in names:
                if len(found) == limit:
                    return found, after
                after = name
                rule = rules.get(name)
                if rule is not None and (since_s is None or self._book.idle_since(name) < since_s):
                    found.append((name, rule))
            sleep()
        return found, None

    def _entry(self, name: str, rule: Rule, held: dict[str, int]) -> dict[str, object]:
        seen_s = self._book.last_activity(name)
        return {
            "host": name,
            "rule": rule_json(rule),
            "etag": rule_tag(rule),
            "stats": self._book.counts(name),
            "held_requests": held.get(name.rpartition("://")[2], 0),
            "last_activity": None if seen_s is None else time_text(seen_s),
            "idle_since": time_text(self._book.idle_since(name)),
        }


def _no_rule(name: str) -> Response:
    return json_answer(
        {"error": "no_rule", "message": f"there is no rule for {name}; PUT one here"}, 404
    )
