"""Guarded ports: the right key gets in, a stranger does not and is counted."""

from __future__ import annotations

import contextlib
import ipaddress
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st
from zmq_contexts import Keeping

from verdant import Timeout, sleep
from verdant.errors import ConfigurationError
from verdant.zmq import LAST_ENDPOINT, PULL, PUSH, SNDTIMEO, Again, Context, Socket
from verdant.zmq.gate import Gate
from verdant.zmq.security import (
    ANY_KEY,
    BadFrames,
    Complaints,
    FrameLimits,
    KeyPair,
    check_frames,
    guard_of,
    is_exposed,
    new_keys,
    plain_server,
    read_keys,
    secure_client,
    secure_server,
    write_keys,
)
from verdant.zmq.zap import Decision, Policy, ZapRequest, decide, parse_networks, parse_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def eventually(claim: Callable[[], object]) -> None:
    with Timeout(60):
        while not claim():
            sleep(0.005)


def listening(socket: Socket) -> str:
    socket.bind("tcp://127.0.0.1:*")
    return bytes(socket.getsockopt(LAST_ENDPOINT)).rstrip(b"\0").decode()


def try_send(socket: Socket, message: bytes) -> None:
    """Send as a stranger: after a handshake that failed there may be nobody to queue for."""
    with contextlib.suppress(Again):
        socket.send(message, zmq.NOBLOCK)


def test_the_right_key_gets_in_and_strangers_are_counted(context: Context, tmp_path: Path) -> None:
    server = new_keys()
    friend = read_keys(write_keys("friend", tmp_path)[1])
    pull = context.socket(PULL)
    gate = secure_server(pull, server, allow=tmp_path, name="the test's port")
    endpoint = listening(pull)
    # Contexts of their own, as other processes have.
    strangers = Keeping()
    try:
        push = strangers.socket(PUSH)
        secure_client(push, server.public, new_keys())
        push.connect(endpoint)
        try_send(push, b"stranger's key")
        plain = strangers.socket(PUSH)
        plain.connect(endpoint)
        try_send(plain, b"plain text")
        elsewhere = strangers.socket(PUSH)
        secure_client(elsewhere, new_keys().public, friend)
        elsewhere.connect(endpoint)
        try_send(elsewhere, b"for another server")
        eventually(lambda: gate.statistics().denied_key and gate.statistics().failed >= 2)
        good = strangers.socket(PUSH)
        secure_client(good, server.public, friend)
        good.connect(endpoint)
        good.send(b"hello")
        with Timeout(60):
            assert pull.recv() == b"hello"
        assert gate.statistics().allowed == 1
        assert gate.statistics().refused >= 3
        pull.setsockopt(zmq.RCVTIMEO, 0)
        with pytest.raises(Again):
            pull.recv()
    finally:
        strangers.destroy(linger=0)


def test_a_key_that_is_allowed_later_gets_in_and_one_taken_away_does_not(
    context: Context, tmp_path: Path
) -> None:
    server, client = new_keys(), new_keys()
    pull = context.socket(PULL)
    gate = secure_server(pull, server, allow=tmp_path)
    endpoint = listening(pull)
    push = context.socket(PUSH)
    secure_client(push, server.public, client)
    push.connect(endpoint)
    push.send(b"patience")
    eventually(lambda: gate.statistics().denied_key)
    public_path, _ = write_keys("late", tmp_path, keys=client)
    # The client was not told to go away for good: it comes again by itself.
    with Timeout(60):
        assert pull.recv() == b"patience"
    public_path.unlink()
    gate.reload()
    denied = gate.statistics().denied_key
    again = context.socket(PUSH)
    secure_client(again, server.public, client)
    again.connect(endpoint)
    eventually(lambda: gate.statistics().denied_key > denied)


def test_a_bad_file_changes_nothing(
    context: Context, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, secret = write_keys("friend", tmp_path)
    key = read_keys(secret).public
    gate = Gate("a port", Policy("CURVE", {}), tmp_path)
    request = ZapRequest(b"1", b"d", "127.0.0.1", "CURVE", key)
    assert gate.decide(request) == Decision("allowed", "friend")
    (tmp_path / "odd.key").write_text("public-key = nonsense")
    gate.reload()
    assert "odd.key" in caplog.text
    assert gate.decide(request).allowed
    assert not gate.decide(ZapRequest(b"1", b"d", "127.0.0.1", "CURVE", b"x" * 40)).allowed


def test_addresses(context: Context) -> None:
    pull = context.socket(PULL)
    gate = plain_server(pull, networks=["10.0.0.0/8"])
    push = context.socket(PUSH)
    push.connect(listening(pull))
    eventually(lambda: gate.statistics().denied_address)
    other = context.socket(PULL)
    near = plain_server(other, networks=["127.0.0.0/8", "::1/128"])
    welcome = context.socket(PUSH)
    welcome.connect(listening(other))
    welcome.send(b"hello")
    with Timeout(60):
        assert other.recv() == b"hello"
    assert near.statistics().allowed == 1


def test_any_key_means_encrypted_and_unknown(context: Context) -> None:
    server = new_keys()
    pull = context.socket(PULL)
    secure_server(pull, server, allow=ANY_KEY)
    push = context.socket(PUSH)
    secure_client(push, server.public, new_keys())
    push.connect(listening(pull))
    push.send(b"hello")
    with Timeout(60):
        assert pull.recv() == b"hello"


def test_there_is_one_guard_per_context_and_no_second_of_another_make(context: Context) -> None:
    assert guard_of(context) is guard_of(context)
    other = Keeping()
    try:
        foreign = other.socket(zmq.REP)
        foreign.bind("inproc://zeromq.zap.01")
        with pytest.raises(ConfigurationError, match="another make"):
            guard_of(other)
        assert guard_of(context) is not None
    finally:
        other.destroy(linger=0)


def test_securing_too_late_is_an_error(context: Context) -> None:
    pull = context.socket(PULL)
    endpoint = listening(pull)
    with pytest.raises(ValueError, match="before"):
        secure_server(pull, new_keys(), allow=ANY_KEY)
    push = context.socket(PUSH)
    push.connect(endpoint)
    with pytest.raises(ValueError, match="before"):
        secure_client(push, new_keys().public, new_keys())


def test_nonsense_at_the_zap_endpoint_stops_nobody(context: Context) -> None:
    guard = guard_of(context)
    stranger = context.socket(zmq.DEALER)
    stranger.connect("inproc://zeromq.zap.01")
    for message in ([b"x"], [b"", b"1.0"], [b"", b"1.0", b"7"], [b"", b"2.0", *[b""] * 8]):
        stranger.send_multipart(message)
    eventually(lambda: guard.malformed == 4)
    server = new_keys()
    pull = context.socket(PULL)
    secure_server(pull, server, allow=ANY_KEY)
    push = context.socket(PUSH)
    push.setsockopt(SNDTIMEO, 60_000)
    secure_client(push, server.public, new_keys())
    push.connect(listening(pull))
    push.send(b"hello")
    with Timeout(60):
        assert pull.recv() == b"hello"


PLAIN_CLIENT = """
import sys, zmq, zmq.auth
endpoint, server, own = sys.argv[1:]
push = zmq.Context().socket(zmq.PUSH)
push.curve_publickey, push.curve_secretkey = zmq.auth.load_certificate(own)
push.curve_serverkey = zmq.auth.load_certificate(server)[0]
push.connect(endpoint)
push.send(b"from plain pyzmq")
"""


def test_plain_pyzmq_with_our_files_in_another_process(context: Context, tmp_path: Path) -> None:
    server_public, server_secret = write_keys("server", tmp_path)
    _, own = write_keys("client", tmp_path / "clients")
    pull = context.socket(PULL)
    secure_server(pull, read_keys(server_secret), allow=tmp_path / "clients")
    endpoint = listening(pull)
    arguments = [sys.executable, "-c", PLAIN_CLIENT, endpoint, str(server_public), str(own)]
    process = subprocess.Popen(arguments)
    try:
        with Timeout(60):
            assert pull.recv() == b"from plain pyzmq"
    finally:
        process.kill()
        process.wait()


def test_a_program_that_forgets_to_close_a_guarded_port_still_ends() -> None:
    program = (
        "from verdant import zmq\n"
        "from verdant.zmq.security import *\n"
        "pull = zmq.Context().socket(zmq.PULL)\n"
        "secure_server(pull, new_keys(), allow=ANY_KEY)\n"
        "pull.bind('tcp://127.0.0.1:*')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 0


def test_complaints_are_counted_and_told_in_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints("a port refused")
    for number in range(1000):
        complaints.note(f"reason {number}")
    assert complaints.count == 1000
    # The first at once; the others would take ten seconds.
    assert [record.getMessage() for record in caplog.records] == [
        "a port refused (1 times, 1 in all): reason 0"
    ]


# Pure parts.


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=9))
def test_any_frames_are_a_request_or_bad(frames: list[bytes]) -> None:
    try:
        request = parse_request(frames)
    except BadFrames:
        return
    assert frames[0] == b"1.0"
    assert request.request_id == frames[1]


KEYS = [KeyPair(b"a" * 40, b""), KeyPair(b"b" * 40, b"")]


@settings(deadline=None)
@given(
    mechanism=st.sampled_from(["NULL", "PLAIN", "CURVE"]),
    key=st.sampled_from([None, b"a" * 40, b"b" * 40]),
    address=st.ip_addresses().map(str) | st.just("") | st.text(max_size=5),
)
def test_only_an_allowed_key_from_an_allowed_network_gets_in(
    mechanism: str, key: bytes | None, address: str
) -> None:
    policy = Policy("CURVE", {b"a" * 40: "a"}, parse_networks(["0.0.0.0/1", "::/1"]))
    decision = decide(policy, ZapRequest(b"1", b"d", address, mechanism, key))
    good = mechanism == "CURVE" and key == b"a" * 40 and _starts_low(address)
    assert decision.allowed == good
    assert not decide(None, ZapRequest(b"1", b"d", address, mechanism, key)).allowed


def _starts_low(address: str) -> bool:
    """Another way to say: in 0.0.0.0/1 or ::/1."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    packed = (mapped or found).packed
    return packed[0] < 128


@settings(deadline=None)
@given(
    frames=st.lists(st.binary(max_size=20), max_size=6),
    low=st.integers(1, 4),
    more=st.integers(0, 3),
    size=st.integers(0, 60),
)
def test_frames_within_limits_pass_and_others_do_not(
    frames: list[bytes], low: int, more: int, size: int
) -> None:
    limits = FrameLimits(low, low + more, size)
    fits = low <= len(frames) <= low + more and sum(map(len, frames)) <= size
    try:
        assert check_frames(frames, limits) is frames
        assert fits
    except BadFrames:
        assert not fits


@pytest.mark.parametrize(
    ("endpoint", "exposed"),
    [
        ("tcp://127.0.0.1:8051", False),
        ("tcp://127.8.9.1:*", False),
        ("tcp://[::1]:8051", False),
        ("tcp://localhost:8051", False),
        ("ipc:///run/verdant/logs", False),
        ("inproc://here", False),
        ("tcp://*:8051", True),
        ("tcp://0.0.0.0:8051", True),
        ("tcp://[::]:8051", True),
        ("tcp://10.0.0.1:8051", True),
        ("tcp://eth0:8051", True),
        ("tcp://lo:8051", True),
        ("pgm://239.1.1.1:5555", True),
        ("nonsense", True),
    ],
)
def test_what_leaves_the_machine(endpoint: str, exposed: bool) -> None:
    assert is_exposed(endpoint) == exposed
