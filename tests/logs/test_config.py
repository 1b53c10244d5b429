"""Inputs: what lets strangers in is refused, with the key and the remedy."""

from __future__ import annotations

import pytest

from verdant.cli.config import StackConfig
from verdant.cli.toml import decode_toml
from verdant.errors import ConfigurationError

SERVER = """
[[logs.server]]
name = "one"
collect = "tcp://127.0.0.1:1"
pull = "tcp://127.0.0.1:2"
query = "tcp://127.0.0.1:3"
data_dir = "x"
[[logs.server.input]]
"""


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ('kind = "syslog"\nbind = "0.0.0.0:514"', "bind: '0.0.0.0:514' is reached from outside"),
        ('kind = "syslog"\nbind = "*:514"\ncertificate = "c"', "client_ca"),
        ('kind = "http"\nbind = "h.example:1"\ntokens_file = "t"', "certificate with tokens_file"),
        ('kind = "syslog-udp"\nbind = "10.0.0.1:514"', "insecure = true"),
        ('kind = "gelf-udp"\nbind = "unix:/x"', "needs a host and a port"),
        ('kind = "gelf-udp"\nbind = "127.0.0.1:1"\ncertificate = "c"', "has no TLS"),
        ('kind = "relp"\nbind = "127.0.0.1:1"\ntokens_file = "t"', "no place for a token"),
        ('kind = "relp"\nbind = "127.0.0.1:1"\nkey = "k"', "certificate"),
        ('kind = "relp"\nbind = "nowhere"', "not an address"),
        ('kind = "kafka"\nbind = "127.0.0.1:1"', "kind"),
        ('kind = "relp"\nbind = "127.0.0.1:1"\nline_bytes_max = 10', "line_bytes_max"),
    ],
)
def test_unsafe_or_contradictory_inputs_are_refused(lines: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=r"logs\.server") as caught:
        decode_toml(SERVER + lines, "verdant.toml", StackConfig)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "lines",
    [
        'kind = "syslog"\nbind = "127.0.0.1:514"',
        'kind = "syslog"\nbind = "[::1]:514"',
        'kind = "syslog"\nbind = "unix:/run/log"',
        'kind = "syslog-udp"\nbind = "localhost:514"',
        'kind = "syslog-udp"\nbind = "*:514"\ninsecure = true',
        'kind = "relp"\nbind = "*:2514"\ncertificate = "c"\nclient_ca = "a"',
        'kind = "http"\nbind = "*:443"\ncertificate = "c"\ntokens_file = "t"',
    ],
)
def test_safe_inputs_are_taken(lines: str) -> None:
    (server,) = decode_toml(SERVER + lines, "verdant.toml", StackConfig).logs.server
    assert len(server.input) == 1
