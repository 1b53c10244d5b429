"""A context for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from verdant.zmq import Context

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def context() -> Iterator[Context]:
    made = Context()
    yield made
    made.destroy(linger=0)
