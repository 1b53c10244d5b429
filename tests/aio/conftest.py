"""Every test ends its background loop and leaves no descriptor behind."""

from __future__ import annotations

import asyncio
import gc
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from verdant import aio
from verdant.core import current_hub

if TYPE_CHECKING:
    from collections.abc import Iterator

# The longest that a test waits for what is due at once.
SOON_S = 20


@pytest.fixture(scope="session")
def other_thread() -> Iterator[ThreadPoolExecutor]:
    """One native thread beside the tests' own, with a hub of its own."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(current_hub).result()
        yield thread


@pytest.fixture(autouse=True)
def leaves_nothing(other_thread: ThreadPoolExecutor) -> Iterator[None]:
    """Fail a test that leaves a running loop or an open descriptor."""
    current_hub()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert aio.stop(SOON_S)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
