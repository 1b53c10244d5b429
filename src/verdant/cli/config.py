"""Configuration: what `verdant up` runs, from a file or from the built-in defaults.

Place     cli. Each room says what its own table may hold; this file puts the tables together.
Promise   a file is taken whole or refused with its line and key; the defaults need no file, no
          root, and listen on loopback.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from verdant.balancer import BalancerConfig, WakeConfig, import_state, read_conf
from verdant.cli.toml import decode_toml
from verdant.errors import ConfigurationError
from verdant.logs import LogServerConfig

__all__ = ["LogsConfig", "StackConfig", "default_config", "load_config", "load_mantrid"]

PORT_BASE_DEFAULT = 8000
DATA_DIR_DEFAULT = "verdant-state"

LOG_SERVERS_DEFAULT = ("one", "two")


class LogsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `[logs]` may say."""

    # The log servers to run, each with its `[[logs.server]]` table.
    server: list[LogServerConfig] = msgspec.field(default_factory=list)
    # Under which app the balancer's access log is kept.
    access_app: str = "balancer"
    # The secret key file of the balancer's shipper and of `verdant logs`, for servers with keys.
    client_keys: str | None = None


class StackConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a configuration file may say."""

    balancer: BalancerConfig = msgspec.field(default_factory=BalancerConfig)
    logs: LogsConfig = msgspec.field(default_factory=LogsConfig)


def load_config(path: str | Path) -> StackConfig:
    """The configuration in the file at `path`. Raises `ConfigurationError`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"{path}: cannot be read ({exc.strerror})") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{path}: is not UTF-8 text (byte {exc.start})") from exc
    config = decode_toml(text, str(path), StackConfig)
    names = [server.name for server in config.logs.server]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"{path}: logs.server: two servers are called {name!r}; give each its own name"
            )
    return config


def load_mantrid(path: str | Path) -> StackConfig:
    """The balancer that the mantrid.conf at `path` describes, its rules taken over. Blocks.

    Without log servers, which Mantrid had none of. Raises `ConfigurationError`, `StateError`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{path}: cannot be read ({exc})") from exc
    conf = read_conf(text, str(path))
    config = conf.to_config(str(path), as_root=os.geteuid() == 0)
    import_state(conf.state_file, conf.state_dir)
    return StackConfig(balancer=config)


def default_config(data_dir: str | Path, port_base: int) -> StackConfig:
    """The built-in stack: a balancer and two log servers, ports counted from `port_base`."""
    data = Path(data_dir)
    servers = []
    for number, name in enumerate(LOG_SERVERS_DEFAULT):
        first = port_base + 51 + 10 * number
        servers.append(
            LogServerConfig(
                name=name,
                collect=f"tcp://127.0.0.1:{first}",
                pull=f"tcp://127.0.0.1:{first + 1}",
                query=f"tcp://127.0.0.1:{first + 2}",
                data_dir=str(data / "logs" / name),
            )
        )
    balancer = BalancerConfig(
        bind=[f"127.0.0.1:{port_base}"],
        management=f"127.0.0.1:{port_base + 42}",
        state_dir=str(data / "balancer"),
        wake=WakeConfig(publish=f"tcp://127.0.0.1:{port_base + 43}"),
    )
    return StackConfig(balancer=balancer, logs=LogsConfig(server=servers))
