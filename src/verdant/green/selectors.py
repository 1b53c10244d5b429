"""Selectors: the stdlib's selectors over green `select`, `poll` and `epoll`.

Place     green, on select.py. Under `monkey_patch()` the stdlib's own classes get the same hooks,
          so selectors that were imported by name before are green too.
Promise   the stdlib's classes with one attribute changed each; `select()` parks.
Not here  registering and keys: the stdlib's, as they are.
"""

from __future__ import annotations

import selectors as _stdlib

from verdant.green.select import epoll, poll, select

__all__ = ["DefaultSelector", "EpollSelector", "PollSelector", "SelectSelector", "select_method"]

# A plain function in a class would be bound to the selector; the stdlib's is a builtin.
select_method = staticmethod(select)


class SelectSelector(_stdlib.SelectSelector):
    """As `selectors.SelectSelector`; `select()` parks."""

    _select = select_method


class PollSelector(_stdlib.PollSelector):
    """As `selectors.PollSelector`; `select()` parks."""

    _selector_cls = poll


class EpollSelector(_stdlib.EpollSelector):
    """As `selectors.EpollSelector`; `select()` parks."""

    _selector_cls = epoll


DefaultSelector = EpollSelector
