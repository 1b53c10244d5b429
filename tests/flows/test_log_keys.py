"""Log servers with keys: who holds an allowed key delivers, nobody else does, and it is counted."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
import zmq
from flows.stack import PATIENCE_S, VERDANT, eventually, free_port, run
from hypothesis import given, settings
from hypothesis import strategies as st

from verdant import Timeout, sleep
from verdant.cli.config import StackConfig
from verdant.cli.toml import decode_toml
from verdant.errors import ConfigurationError
from verdant.logs import LogServerConfig, Record, Shipper, Spool
from verdant.logs.server import LogService
from verdant.logs.server.collector import plain_record
from verdant.zmq.security import ClientSecurity, new_keys, read_keys, read_public, write_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def configuration(directory: Path) -> Path:
    """A log server with keys, and the client's own; every key file of the test."""
    write_keys("server", directory)
    write_keys("stranger", directory)
    write_keys("balancer", directory / "clients")
    ports: set[int] = set()
    while len(ports) < 5:
        ports.add(free_port())
    collect, pull, query, public, management = sorted(ports)
    path = directory / "verdant.toml"
    path.write_text(
        f"""
[balancer]
bind = ["127.0.0.1:{public}"]
management = "127.0.0.1:{management}"
state_dir = "{directory}/balancer-state"
[logs]
client_keys = "{directory}/clients/balancer.key_secret"
[[logs.server]]
name = "one"
collect = "tcp://127.0.0.1:{collect}"
pull = "tcp://127.0.0.1:{pull}"
query = "tcp://127.0.0.1:{query}"
data_dir = "{directory}/logs"
keys = "{directory}/server.key_secret"
allow = "{directory}/clients"
"""
    )
    return path


@contextmanager
def served(config: Path, said: Path) -> Iterator[None]:
    with said.open("wb") as screen:
        process = subprocess.Popen([VERDANT, "up", "-c", str(config)], stdout=screen, stderr=screen)
    try:
        eventually(lambda: "Ctrl-C stops everything" in said.read_text())
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0, said.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def test_the_commands_deliver_and_find_with_keys_and_not_without(tmp_path: Path) -> None:
    config, said = configuration(tmp_path), tmp_path / "said.txt"
    stack = decode_toml(config.read_text(), "test", StackConfig)
    server = stack.logs.server[0]
    with served(config, said):
        # The balancer's access log goes the same way, by its own key.
        front = HTTPConnection(stack.balancer.bind[0], timeout=PATIENCE_S)
        front.request("GET", "/through-the-front-door")
        assert front.getresponse().status == 503
        front.close()
        done = run("logs", "ship", "--app", "good", "-c", str(config), stdin=b"one\ntwo\n")
        assert done.returncode == 0, done.stderr
        refused = [
            ["--server", server.query],
            ["--server", server.query, "--server-key", str(tmp_path / "server.key"),
             "--keys", str(tmp_path / "stranger.key_secret")],
        ]  # fmt: skip
        strangers = [
            subprocess.Popen(
                [VERDANT, "logs", "query", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for options in refused
        ]
        for stranger in strangers:
            out, err = stranger.communicate(timeout=PATIENCE_S)
            assert (stranger.returncode, out) == (1, b"")
            assert b"does not answer" in err
        done = run("logs", "query", "-c", str(config), "--json", "app=good")
        assert [json.loads(line)["message"] for line in done.stdout.splitlines()] == ["two", "one"][
            ::-1
        ]
        named = ["--server", server.query, "--server-key", str(tmp_path / "server.key"),
                 "--keys", str(tmp_path / "clients/balancer.key_secret")]  # fmt: skip
        assert run("logs", "query", *named, "--json", "app=good").stdout == done.stdout
        eventually(lambda: "refused a connection" in said.read_text())
        assert (
            b"/through-the-front-door"
            in run("logs", "query", "-c", str(config), "app=balancer").stdout
        )


def test_the_service_counts_strangers_and_stores_nothing_of_theirs(tmp_path: Path) -> None:
    write_keys("server", tmp_path)
    _, own = write_keys("client", tmp_path / "clients")
    service = LogService(
        LogServerConfig(
            name="one",
            collect="tcp://127.0.0.1:*",
            pull="tcp://127.0.0.1:*",
            query="tcp://127.0.0.1:*",
            data_dir=str(tmp_path / "logs"),
            keys=str(tmp_path / "server.key_secret"),
            allow=str(tmp_path / "clients"),
        )
    )
    service.start()
    endpoint = service.collect_endpoint
    public = read_public(tmp_path / "server.key")
    shippers = []
    try:
        for security in (None, ClientSecurity(public, new_keys())):
            spool = Spool("stranger")
            spool.put(Record(1, "app", "host", "INFO", "no"))
            shippers.append(
                Shipper(spool, [endpoint], {} if security is None else {endpoint: security})
            )
        spool = Spool("friend")
        spool.put(Record(1, "app", "host", "INFO", "yes"))
        shippers.append(
            Shipper(spool, [endpoint], {endpoint: ClientSecurity(public, read_keys(own))})
        )
        for shipper in shippers:
            shipper.start()
        with Timeout(PATIENCE_S):
            while not (spool.empty and service.refused().connections >= 2):
                sleep(0.01)
        assert not shippers[0].spool.empty
        assert not shippers[1].spool.empty
    finally:
        for shipper in shippers:
            shipper.stop()
        service.stop()


def test_strangers_frames_are_counted_and_service_goes_on(tmp_path: Path) -> None:
    service = LogService(
        LogServerConfig(
            name="one",
            collect="tcp://127.0.0.1:*",
            pull="tcp://127.0.0.1:*",
            query="tcp://127.0.0.1:*",
            data_dir=str(tmp_path / "logs"),
        )
    )
    service.start()
    context = zmq.Context()
    # A socket that is let go of is closed, and what it has not sent yet goes with it.
    kept: list[zmq.Socket[bytes]] = []
    nested = b"[" * 100_000
    array = b"\x91" * 100_000
    try:
        for endpoint, kind, messages in (
            (
                service.collect_endpoint,
                zmq.DEALER,
                [
                    [b""],
                    [b"VB1", b"not msgpack", b"body"],
                    [b"VB1", b"\x95\xa1c\x01\x01\x01" + array, b""],
                    [b"VB1", array, b""],
                    [b"VB1", *[b"x"] * 500],
                    [b"VB1", b"x" * (9 * 1024 * 1024), b""],
                ],
            ),
            (
                service.query_endpoint,
                zmq.DEALER,
                [
                    [b""],
                    [b"", b"{"],
                    [b"", b'{"text":' + nested[:50_000]],
                    [b"x", b"{}"],
                    [b"", b"x" * 70_000],
                ],
            ),
            (service.pull_endpoint, zmq.PUSH, [[b""], [nested], [b'{"a":' + b"9" * 9000 + b"}"]]),
        ):  # fmt: skip
            for message in messages:
                socket = context.socket(kind)
                kept.append(socket)
                socket.connect(endpoint)
                socket.send_multipart(message)
        spool = Spool("friend")
        spool.put(Record(1, "app", "host", "INFO", "yes"))
        shipper = Shipper(spool, [service.collect_endpoint])
        shipper.start()
        with Timeout(PATIENCE_S):
            while not spool.empty or service.refused().batches < 5:
                sleep(0.01)
            while service.refused().questions < 4:
                sleep(0.01)
        shipper.stop()
    finally:
        context.destroy(linger=0)
        service.stop()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["time", "msg"]), inner)
    ),
).map(lambda value: json.dumps(value).encode())


@settings(deadline=None)
@given(st.binary() | st.text().map(str.encode) | _json)
def test_any_plain_line_goes_into_a_spool(line: bytes) -> None:
    assert Spool("plain").put(plain_record(line))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('pull = "tcp://0.0.0.0:8052"', "logs.server[0].pull"),
        ('pull = "tcp://127.0.0.1:8052"\nkeys = "server.key_secret"', "logs.server[0].allow"),
        ('pull = "tcp://127.0.0.1:8052"\nallow = "clients"', "logs.server[0].keys"),
    ],
)
def test_ports_for_strangers_are_refused(keys: str, said: str) -> None:
    text = f"""
[[logs.server]]
name = "one"
collect = "tcp://127.0.0.1:8051"
query = "tcp://127.0.0.1:8053"
data_dir = "logs"
{keys}
"""
    with pytest.raises(ConfigurationError) as caught:
        decode_toml(text, "test", StackConfig)
    assert said in str(caught.value)
    if said.endswith("pull"):
        decode_toml(text + "insecure = true", "test", StackConfig)
