"""Current: the slot that holds this native thread's hub.

Place     core; everything above asks here. Knows no hub class, so that hub.py may import from
          files which import this one.
Promise   one hub per native thread, never shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.core.originals import thread_local

if TYPE_CHECKING:
    from verdant.core.hub import Hub

__all__ = ["slot"]


class _Slot(thread_local):
    hub: Hub


slot = _Slot()
