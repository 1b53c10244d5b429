from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from verdant.balancer.config import BalancerConfig, WakeConfig


def test_the_defaults_work_as_they_are() -> None:
    config = BalancerConfig()
    assert config.bind == ["127.0.0.1:8000"]
    assert config.bind_internal == []
    assert config.management == "127.0.0.1:8042"
    assert config.static_dir is None
    assert (config.connections_max, config.held_requests_max) == (10_000, 10_000)
    assert config.held_per_host_max == 2_000
    assert config.wake == WakeConfig(publish=None, command=None, repeat_s=5.0)
    assert msgspec.convert({}, BalancerConfig) == config


def test_a_config_is_a_value() -> None:
    with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
        BalancerConfig().management = "x"  # type: ignore[misc]  # that it cannot be set is the point


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"bind": ["80"]}, "bind: '80' is not an address"),
        ({"bind": "*:80"}, "Expected `array`"),
        ({"bind": ["unix:/x"]}, "bind: 'unix:/x' has no client addresses"),
        ({"bind": []}, "bind: nothing to listen on"),
        ({"bind": ["*:80"], "bind_internal": ["*:80"]}, "bind_internal: .* is in bind too"),
        ({"management": "localhost"}, "management: 'localhost' is not an address"),
        ({"connections_max": 0}, "Expected `int` >= 1"),
        ({"connections_max": "many"}, "Expected `int`"),
        ({"head_timeout_s": 0}, "Expected `float` > 0"),
        ({"held_per_host_max": 10_001}, "held_per_host_max: 10001 for one host is more"),
        ({"state_dir": ""}, "length >= 1"),
        ({"statedir": "x"}, "unknown field `statedir`"),
        ({"wake": {"publish": "127.0.0.1:1"}}, "publish: .* is no ZeroMQ endpoint"),
        ({"wake": {"publish": "tcp://*:8043"}}, "publish: .* plain text"),
        ({"wake": {"keys": "x.key_secret"}}, "allow: `keys` and `allow` go together"),
        ({"wake": {"allow": "clients"}}, "keys: `keys` and `allow` go together"),
        ({"wake": {"command": []}}, "length >= 1"),
        ({"wake": {"command": [""]}}, "command: its first word"),
        ({"wake": {"repeat_s": -1}}, "> 0"),
        ({"wake": {"webhook": "x"}}, "unknown field `webhook`"),
    ],
)
def test_what_no_start_could_use_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert(given, BalancerConfig)


def test_only_internal_listeners_will_do() -> None:
    config = msgspec.convert({"bind": [], "bind_internal": ["unix:/x"]}, BalancerConfig)
    assert config.bind_internal == ["unix:/x"]


def test_notices_may_leave_the_machine_when_it_is_said_so() -> None:
    for words in ({"insecure": True}, {"keys": "x.key_secret", "allow": "*"}):
        msgspec.convert({"publish": "tcp://*:8043", **words}, WakeConfig)
