"""Gate: one port's policy, its allowed keys as they are on disk now, and what it counted.

Place     zmq; guard.py asks it for every handshake.
Promise   a key file that is added or taken away counts from the next handshake on, at most
          `RELOAD_S_MIN` later; a bad file changes nothing and is logged. Each denial is counted;
          the log gets one line for many.
Not here  the socket that libzmq asks (guard.py). Connections that stand are not cut when their key
          goes: ZeroMQ has no way to; restart the port for that.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from verdant.core import monotonic, run_in_worker
from verdant.zmq.complaints import Complaints
from verdant.zmq.errors import BadKeyFile
from verdant.zmq.keys import PUBLIC_SUFFIX, allowed_keys
from verdant.zmq.zap import Decision, Policy, ZapRequest, decide

if TYPE_CHECKING:
    from pathlib import Path

    from verdant.zmq.zap import Reason

__all__ = ["Gate", "GateStatistics"]

# A stranger who knocks without end must not have the directory read without end; a client that was
# just allowed tries again on its own, some seconds later.
RELOAD_S_MIN = 1.0

_log = logging.getLogger("verdant.zmq")

_Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class GateStatistics:
    """Handshakes of one port. `failed`: those that never got to the question of who it is.

    Plain text at a port with keys and a client that takes it for another server end there.
    """

    allowed: int
    denied_key: int
    denied_address: int
    denied_mechanism: int
    failed: int

    @property
    def refused(self) -> int:
        """All who did not come in."""
        return self.denied_key + self.denied_address + self.denied_mechanism + self.failed


class Gate:
    """A port called `name` in the log. `directory`: its allowed keys; None for a fixed policy."""

    def __init__(self, name: str, policy: Policy, directory: Path | None = None) -> None:
        self.name = name
        self._policy = policy
        self._directory = directory
        self._signature: _Signature | None = None
        self._looked_at = 0.0
        self._counts: dict[Reason, int] = dict.fromkeys(
            ("allowed", "mechanism", "address", "key", "domain"), 0
        )
        self._failed = 0
        self._complaints = Complaints(f"{name} refused a connection")
        if directory is not None:
            # At the start a bad file is an error, not a line in a log.
            self._policy = replace(policy, keys=allowed_keys(directory))
            self._signature = _signature_of(directory)
            self._looked_at = monotonic()

    def decide(self, request: ZapRequest) -> Decision:
        """The policy's word, counted. Parks when the directory may have changed."""
        if self._directory is not None and monotonic() - self._looked_at >= RELOAD_S_MIN:
            self.reload()
        decision = decide(self._policy, request)
        self._counts[decision.reason] += 1
        if not decision.allowed:
            key = "" if request.key is None else f", key {request.key.decode('ascii')}"
            self._complaints.note(f"{_SENTENCES[decision.reason]} ({request.address}{key})")
        return decision

    def reload(self) -> None:
        """Read the directory again if it changed. Parks. A bad file is logged, nothing changes."""
        directory = self._directory
        if directory is None:
            return
        self._looked_at = monotonic()
        try:
            found = run_in_worker(_read_changed, directory, self._signature)
        except BadKeyFile as exc:
            _log.error("%s goes on with the keys it has: %s", self.name, exc)
            return
        if found is not None:
            self._signature, keys = found
            self._policy = replace(self._policy, keys=keys)
            _log.info("%s allows %d keys of %s", self.name, len(keys), directory)

    def note_failed(self) -> None:
        """Count a handshake that failed before anybody was asked. Does not park."""
        self._failed += 1
        self._complaints.note("its handshake failed: plain text, another server's key, or it left")

    def statistics(self) -> GateStatistics:
        """What was counted so far. Does not park."""
        counts = self._counts
        return GateStatistics(
            counts["allowed"],
            counts["key"],
            counts["address"],
            counts["mechanism"] + counts["domain"],
            self._failed,
        )


_SENTENCES: dict[Reason, str] = {
    "allowed": "it is allowed",
    "mechanism": "it does not use the port's mechanism",
    "address": "its address is not allowed",
    "key": "its key is not allowed",
    "domain": "nobody set this port up",
}


def _signature_of(directory: Path) -> _Signature:
    """Changes with every key file that is added, replaced, written to or taken away."""
    try:
        found = [
            (path.name, status.st_mtime_ns, status.st_ino)
            for path in directory.iterdir()
            if path.suffix == PUBLIC_SUFFIX
            for status in [path.stat()]
        ]
    except OSError as exc:
        raise BadKeyFile(f"{directory}: cannot be read ({exc.strerror})") from exc
    return tuple(sorted(found))


def _read_changed(
    directory: Path, known: _Signature | None
) -> tuple[_Signature, dict[bytes, str]] | None:
    # In a native thread. The signature first: what changes while we read is read again next time.
    signature = _signature_of(directory)
    if signature == known:
        return None
    return signature, allowed_keys(directory)
