"""The stdlib's `http.server`, green, under Eventlet's name for it."""

import sys
from typing import Any

from verdant.patcher import green_view

# The green module itself, so that what is set on it is seen by its own functions.
sys.modules[__name__] = green_view("http.server")


def __getattr__(name: str) -> Any: ...
