"""The stdlib's `asynchat`, green, while Python has it: it went with 3.12."""

from typing import Any

from verdant.patcher import green_view


def __getattr__(name: str) -> Any:
    # On first use, since importing it warns, or fails.
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(green_view("asynchat"), name)
