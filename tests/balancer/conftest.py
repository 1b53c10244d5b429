"""The stage that the flow tests of the proxy share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from balancer.stage import Stage, staged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as made:
        yield made
