"""Every public name and parameter of Eventlet is here, but for the listed ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eventlet_side import EVENTLET_IS_INSTALLED, Program, as_eventlet

# Eventlet's own insides, which happen to have no underscore; the hub's too.
INSIDES = {
    "backdoor": {"FileProxy", "SocketConsole", "get_errno"},
    "convenience": {"wrap_ssl_impl"},
    "dagpool": {"Event"},
    "db_pool": {"GreenThread", "Timer"},
    "event": {"NOT_USED"},
    "greenio": {"SSL"},
    "greenpool": {"GreenMap"},
    "hub": {
        *("add_timer", "block_detect_post", "block_detect_pre", "close_one", "default_sleep"),
        *("do_poll", "fire_timers", "prepare_timers", "register", "remove_descriptor", "run"),
        *("sleep_until", "squelch_exception", "squelch_generic_exception"),
        *("squelch_timer_exception", "timer_canceled", "wait"),
    },
    "patcher": {"SysModulesSaver"},
    "queue": {"Event", "ItemWaiter", "Timeout", "Waiter", "get_hub"},
    "timeout": {"get_hub"},
    "tpool": {"proxy_call", "setup", "tpool_trampoline", "tworker"},
    "websocket": {"get_errno"},
    "wsgi": {
        *("ChunkReadError", "FileObjectForHeaders", "HeaderLineTooLong", "HeadersTooLarge"),
        *("LoggerFileWrapper", "LoggerNull", "WSGI_LOCAL", "addr_to_host_port"),
        *("format_date_time", "get_logger", "local", "socket_repr"),
    },
}

# What a program could use and does not find: docs/how-to/move-from-eventlet.md says what instead.
NOT_HERE = {
    "debug": {"Spew"},
    "eventlet": {"EventletDeprecationWarning", "TimeoutError", "call_after_global"},
    "greenthread": {"TimeoutError", "call_after", "call_after_global", "call_after_local"},
    "hub": {"abort"},
    "websocket": {
        *("BadRequest", "ConnectionClosedError", "FailedConnectionError", "ProtocolError"),
        "RFC6455WebSocket",
    },
    "wsgi": {"HttpProtocol", "Input", "Server"},
}

# What Eventlet calls itself, calls that are the stdlib's here, and a former name of `makefile`.
OWN_PARAMETERS = {
    ("db_pool", "PooledConnectionWrapper", "__init__"),
    ("greenio", "GreenSocket", "dup"),
    ("greenio", "GreenSocket", "makeGreenFile"),
    ("greenio", "GreenSocket", "makefile"),
    ("greenio", "GreenSocket", "sendto"),
    ("greenio", "GreenSocket", "settimeout"),
    ("greenthread", "GreenThread", "__init__"),
    ("greenthread", "GreenThread", "main"),
    ("hub", "add", ""),
    ("websocket", "WebSocket", "__init__"),
    ("websocket", "WebSocket", "close"),
}


def described(program: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Program(program, ()).output()[-1])
    return found


@pytest.mark.skipif(not EVENTLET_IS_INSTALLED, reason="eventlet is not installed")
def test_names_and_parameters(tmp_path: Path) -> None:
    program = Path(__file__).parent / "programs" / "names.py"
    moved = tmp_path / "names.py"
    moved.write_text(as_eventlet(program.read_text()))
    ours, theirs = described(program), described(moved)
    missing: dict[str, set[str]] = {}
    different: set[tuple[str, str, str]] = set()
    for module, names in theirs.items():
        lacking = names.keys() - ours[module].keys()
        if lacking:
            missing[module] = lacking
        for name in names.keys() - lacking:
            mine, other = ours[module][name], names[name]
            if not isinstance(other, dict):
                if mine != other:
                    different.add((module, name, ""))
                continue
            for member, parameters in other.items():
                # What is looked up on a connection is no attribute of its wrapper's class.
                looked_up = module == "db_pool" and member not in mine
                if not looked_up and mine.get(member, "missing") != parameters:
                    different.add((module, name, member))
    listed = {
        module: INSIDES.get(module, set()) | NOT_HERE.get(module, set())
        for module in INSIDES.keys() | NOT_HERE.keys()
    }
    assert missing == listed
    assert different == OWN_PARAMETERS
