"""Corolocal: storage per green thread, under Eventlet's name.

Place     eventlet, over green's `threading`.
"""

from __future__ import annotations

from greenlet import getcurrent

from verdant.green.threading import local

__all__ = ["get_ident", "local"]


def get_ident() -> int:
    """A number per green thread, the main one included. Does not park."""
    return id(getcurrent())
