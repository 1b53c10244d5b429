"""A context whose sockets live as long as it does, so that a test need not close them."""

from __future__ import annotations

from typing import Any

from verdant.zmq import Context, Socket

__all__ = ["Keeping"]


class Keeping(Context):
    """Keeps its sockets until it is destroyed."""

    kept: list[Socket]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.kept = []
        super().__init__(*args, **kwargs)

    def socket(self, *args: Any, **kwargs: Any) -> Any:
        made = super().socket(*args, **kwargs)
        self.kept.append(made)
        return made

    def destroy(self, linger: int | None = None) -> None:
        super().destroy(linger)
        self.kept.clear()
