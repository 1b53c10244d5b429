"""Errors of the log pipeline.

Place     logs.
"""

from __future__ import annotations

from verdant.errors import VerdantError

__all__ = [
    "BadBatch",
    "BadInput",
    "BadQuery",
    "InputUnusable",
    "LogsError",
    "NotStored",
    "SpoolUnusable",
    "StoreInUse",
    "StoreUnwritable",
]


class LogsError(VerdantError):
    """Raised as one of its subclasses."""

    code = "logs-error"


class BadBatch(LogsError):
    """Raised for frames that are not a batch of lines. The sender's fault; nothing was stored."""

    code = "logs-bad-batch"


class BadInput(LogsError):
    """Raised for bytes that an input cannot read. The sender's fault; the text says where."""

    code = "logs-bad-input"


class NotStored(LogsError):
    """Raised when lines are not on disk and must be sent again. The machine's fault, for now."""

    code = "logs-not-stored"


class InputUnusable(LogsError):
    """Raised when an input cannot be opened as configured. The operator's fault."""

    code = "logs-input-unusable"


class BadQuery(LogsError):
    """Raised for a query that cannot be read. The asker's fault.

    `position`: the character at which it goes wrong.
    """

    code = "logs-bad-query"

    def __init__(self, sentence: str, position: int) -> None:
        super().__init__(sentence)
        self.position = position


class SpoolUnusable(LogsError):
    """Raised when a spool's directory cannot be used. The machine's fault; the text says why."""

    code = "logs-spool-unusable"


class StoreInUse(LogsError):
    """Raised when another log server uses the directory. The operator's fault; stop one."""

    code = "logs-store-in-use"


class StoreUnwritable(LogsError):
    """Raised when the directory cannot be used. The machine's fault; the text says why."""

    code = "logs-store-unwritable"
