"""Held hosts: for which hosts requests are held in any worker.

Place     balancer, pure; crew.py tells what workers say, wake.py hears what follows.
Promise   `first_held` is called once when the first worker holds a request for a host, and again
          only after none did, which `none_held` is told.
Not here  the held requests themselves: they are in the workers (holding.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HeldHosts"]


class HeldHosts:
    """Which workers hold requests, by host. Workers are told apart by their names."""

    def __init__(
        self, first_held: Callable[[bytes], None], none_held: Callable[[bytes], None]
    ) -> None:
        self.first_held = first_held
        self.none_held = none_held
        self._workers: dict[bytes, set[bytes]] = {}

    def hold(self, worker: bytes, host: bytes) -> None:
        """A worker holds requests for `host` from now on. Does not park."""
        workers = self._workers.get(host)
        if workers is None:
            self._workers[host] = {worker}
            self.first_held(host)
        else:
            workers.add(worker)

    def release(self, worker: bytes, host: bytes) -> None:
        """A worker holds none for `host` any more. Does not park."""
        workers = self._workers.get(host)
        if workers is not None:
            workers.discard(worker)
            if not workers:
                del self._workers[host]
                self.none_held(host)

    def forget(self, worker: bytes) -> None:
        """A worker is gone, and what it held. Does not park."""
        for host in [host for host, workers in self._workers.items() if worker in workers]:
            self.release(worker, host)

    def held(self) -> list[bytes]:
        """For which hosts requests are held now. Does not park."""
        return [*self._workers]
