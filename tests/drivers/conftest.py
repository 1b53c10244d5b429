"""Programs in processes of their own, and the servers that they speak to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from drivers.servers import mariadb_server, postgresql_server, redis_server
from isolated.conftest import run_patched, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["run_patched", "run_program"]


@pytest.fixture(scope="module")
def redis_port() -> Iterator[str]:
    """The port of a Redis that this module's tests share."""
    with redis_server() as port:
        yield str(port)


@pytest.fixture(scope="module")
def postgresql_port() -> Iterator[str]:
    """The port of a PostgreSQL that this module's tests share."""
    with postgresql_server() as port:
        yield str(port)


@pytest.fixture(scope="module")
def mariadb_port() -> Iterator[str]:
    """The port of a MariaDB that this module's tests share."""
    with mariadb_server() as port:
        yield str(port)
