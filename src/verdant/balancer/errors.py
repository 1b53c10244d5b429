"""Errors of the balancer: bad rules, and state that cannot be kept.

Place     balancer; every file of the room may raise them.
Promise   each text names the thing, the place and the remedy.
Not here  what a client of a site gets to see (pages.py, actions/); HTTP faults (http/errors.py).
"""

from __future__ import annotations

from verdant.errors import VerdantError

__all__ = [
    "BadCertificate",
    "BadRule",
    "Conflict",
    "Overloaded",
    "StateDamaged",
    "StateError",
    "StateInUse",
    "StateUnwritable",
]


class BadRule(VerdantError):
    """Raised for a rule, or a host name, that cannot be used. The caller's fault.

    Nothing has changed; correct the rule and send it again. `fault` is the short name that
    Mantrid gave the fault (`host_details_not_list`, ...); the text is the sentence for people.
    """

    code = "balancer-bad-rule"

    def __init__(self, fault: str, sentence: str) -> None:
        super().__init__(sentence)
        self.fault = fault


class BadCertificate(VerdantError):
    """Raised for certificate files that do not fit. The operator's fault, or the caller's.

    What was served before is served still; the text names the file and the remedy.
    """

    code = "balancer-bad-certificate"


class Overloaded(VerdantError):
    """Raised when a rule's limit leaves no room for one more request. The clients' fault.

    The client gets 503 with Retry-After; allow more by `connections_max`, `queue_max`, `queue_s`.
    """

    code = "balancer-overloaded"


class Conflict(VerdantError):
    """Raised when a change was asked for under a condition that does not hold. Nobody's fault.

    Nothing has changed; somebody else was first: read again, decide again. `tag` is the tag of
    what stands there now, None for nothing.
    """

    code = "balancer-conflict"

    def __init__(self, sentence: str, tag: str | None) -> None:
        super().__init__(sentence)
        self.tag = tag


class StateError(VerdantError):
    """Raised as one of its subclasses: the rules' directory cannot be used as it is."""

    code = "balancer-state"


class StateUnwritable(StateError):
    """Raised when rules cannot be written to disk. The machine's fault, or the operator's.

    Nothing has changed; the text names the path and the remedy.
    """

    code = "balancer-state-unwritable"


class StateInUse(StateError):
    """Raised when another process has the state directory open. The operator's fault.

    Stop that process, or give this one a directory of its own.
    """

    code = "balancer-state-in-use"


class StateDamaged(StateError):
    """Raised when a state file says something that we never wrote. The machine's fault.

    The text names the file and the line; nothing is overwritten, so that it can be repaired.
    """

    code = "balancer-state-damaged"
