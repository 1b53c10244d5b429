"""Current: the slot that holds this native thread's hub, and the list of them all.

Place     core; everything above asks here. Knows no hub class, so that hub.py may import from
          files which import this one.
Promise   one hub per native thread, never shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.core.originals import thread_local

if TYPE_CHECKING:
    from verdant.core.hub import Hub

__all__ = ["hubs", "slot"]


class _Slot(thread_local):
    hub: Hub
    # Closes the hub when the native thread ends.
    guard: object


slot = _Slot()

# Every hub that is open, for those who look inside and for a forked child. Changed by the native
# thread whose hub it is; a list, since one call on it is never half done.
hubs: list[Hub] = []
