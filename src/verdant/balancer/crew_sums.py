"""Crew sums: what several workers answered to one question, as one answer.

Place     balancer, pure; worker_process.py writes answers, crew.py reads them.
Promise   counts are added up. Where workers differ about a backend, the answer is the worst that
          one of them found: an operator looks for what is wrong.
Not here  asking (crew.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["add_backends", "add_held"]

_COUNTS = ("open_requests", "completed_requests", "failures", "idle_connections")
# From bad to good, as ejection.py has them; `removed` is of a rule that just changed.
_STATES = ("unsound", "ejected", "returning", "removed", "in")


def add_backends(answers: Iterable[Iterable[Mapping[str, Any]]]) -> list[dict[str, object]]:
    """The descriptions of a rule's backends (backend.py), in the order of the first answer."""
    found: dict[str, dict[str, Any]] = {}
    for answer in answers:
        for told in answer:
            known = found.setdefault(told["address"], {**told, **dict.fromkeys(_COUNTS, 0)})
            for name in _COUNTS:
                known[name] += told[name]
            known["state"] = min(known["state"], told["state"], key=_STATES.index)
            known["last_failure"] = known["last_failure"] or told["last_failure"]
    return [*found.values()]


def add_held(answers: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """How many requests are held, by host."""
    total: dict[str, int] = {}
    for answer in answers:
        for host, count in answer.items():
            total[host] = total.get(host, 0) + count
    return total
