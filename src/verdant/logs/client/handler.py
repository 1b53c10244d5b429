"""Handler: stdlib logging into the spool.

Place     logs/client.
Promise   never waits and never raises, whatever the program logs; a record that cannot be encoded
          is counted and told once, as logging does.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from verdant.logs.record import Record

if TYPE_CHECKING:
    from verdant.logs.client.diskspool import DiskSpool
    from verdant.logs.client.spool import Spool

__all__ = ["Handler"]

# What every LogRecord has; the rest came in with `extra=`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Handler(logging.Handler):
    """Puts log records into `spool` as lines of `app`. `extra=` fields become the line's own."""

    def __init__(self, spool: Spool | DiskSpool, app: str, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.failed = 0
        self._spool = spool
        self._app = app
        self._host = socket.gethostname()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record. Does not park."""
        try:
            fields: dict[str, object] = {
                name: value for name, value in vars(record).items() if name not in _STANDARD
            }
            fields["logger"] = record.name
            if record.exc_info:
                formatter = self.formatter or logging.Formatter()
                fields["exception"] = formatter.formatException(record.exc_info)
            self._spool.put(
                Record(
                    int(record.created * 1e9),
                    self._app,
                    self._host,
                    record.levelname,
                    record.getMessage(),
                    fields,
                )
            )
        except Exception:  # noqa: BLE001 - logging must never break the program that logs
            self.failed += 1
            if self.failed == 1:
                self.handleError(record)
