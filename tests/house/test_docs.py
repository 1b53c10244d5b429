"""The documents are true: blocks of Python run, every configuration key is described."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verdant.balancer import BalancerConfig, FeedConfig, TlsConfig, TokenConfig, WakeConfig
from verdant.cli.config import LogsConfig, StackConfig
from verdant.cli.toml import decode_toml
from verdant.logs import InputConfig, LogServerConfig

if TYPE_CHECKING:
    import msgspec

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONFIGURATION = (ROOT / "docs/reference/configuration.md").read_text()


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (f"{path.name}-{number}", block)
        for path in DOCUMENTS
        for number, block in enumerate(
            re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.S)
        )
    ]


@pytest.mark.parametrize("block", [pytest.param(b, id=i) for i, b in blocks("python")])
def test_python_blocks_run(block: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("block", [pytest.param(b, id=i) for i, b in blocks("toml")])
def test_toml_blocks_are_configurations(block: str) -> None:
    decode_toml(block, "document", StackConfig)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("## `[balancer]`", BalancerConfig),
        ("## `[balancer.wake]`", WakeConfig),
        ("## `[balancer.tls]`", TlsConfig),
        ("## `[balancer.feed]`", FeedConfig),
        ("## `[[balancer.tokens]]`", TokenConfig),
        ("## `[logs]`", LogsConfig),
        ("## `[[logs.server]]`", LogServerConfig),
        ("## `[[logs.server.input]]`", InputConfig),
    ],
)
def test_every_key_is_described_and_no_other(heading: str, kind: type[msgspec.Struct]) -> None:
    section = CONFIGURATION.split(heading + "\n", 1)[1].split("\n## ")[0]
    described = re.findall(r"^\| `(\w+)` \|", section, re.M)
    assert described == list(kind.__struct_fields__)
