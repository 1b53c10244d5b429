"""A plugin of pytest: pyzmq as it is. Without gevent, whose half of the tests is not ours."""

from __future__ import annotations

import sys

sys.modules["gevent"] = None  # type: ignore[assignment] # what makes an import fail
