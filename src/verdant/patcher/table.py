"""Table: what replaces what, as data.

Place     patcher; installer.py goes through it row by row. Pure: names only, nothing is imported.
Promise   a name is replaced, never added and never deleted; a row whose name this Python does not
          have is passed over, so one table serves every version.
Not here  why a replacement works (the file of green/ that it comes from).

A target is a module, or a class inside one: a class that keeps its identity and changes one hook
(`SSLContext`, `Popen`, the selectors) stays green for code that imported it by name before.

What the stdlib builds in Python from these names needs no row, since it looks them up when called:
`socket.create_connection`, `threading.Thread`, `queue.Queue`, `concurrent.futures`, and more.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TABLE", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One replacement. `target` and `replacement` are a module, a colon, and a name in it."""

    group: str
    target: str
    attribute: str
    replacement: str


def _rows(group: str, target: str, room: str, names: dict[str, str]) -> tuple[Row, ...]:
    return tuple(
        Row(group, target, attribute, f"verdant.green.{room}:{replacement}")
        for attribute, replacement in names.items()
    )


TABLE: tuple[Row, ...] = (
    *_rows("time", "time", "time", {"sleep": "sleep"}),
    *_rows(
        "thread",
        "_thread",
        "thread",
        {
            "allocate_lock": "allocate_lock",
            "allocate": "allocate_lock",
            "RLock": "RLock",
            "start_new_thread": "start_new_thread",
            "start_new": "start_new_thread",
            "get_ident": "get_ident",
            "_count": "count",
            # To 3.12.
            "_set_sentinel": "set_sentinel",
            # From 3.13.
            "lock": "Lock",
            "start_joinable_thread": "start_joinable_thread",
            "_ThreadHandle": "ThreadHandle",
            "_shutdown": "join_all",
        },
    ),
    *_rows("thread", "_thread", "threading", {"_local": "local"}),
    *_rows(
        "thread",
        "threading",
        "thread",
        {
            "Lock": "Lock",
            "_allocate_lock": "allocate_lock",
            "_CRLock": "RLock",
            "_start_new_thread": "start_new_thread",
            "get_ident": "get_ident",
            # To 3.12.
            "_set_sentinel": "set_sentinel",
            # From 3.13.
            "_start_joinable_thread": "start_joinable_thread",
            "_ThreadHandle": "ThreadHandle",
            "_thread_shutdown": "join_all",
        },
    ),
    *_rows(
        "thread",
        "threading",
        "threading",
        {
            "local": "local",
            "_DummyThread": "DummyThread",
            # From 3.13.
            "_thread_local_info": "dummy_tracker",
        },
    ),
    # What multiprocessing's locks, queues and values are made of.
    *_rows("thread", "_multiprocessing", "semlock", {"SemLock": "SemLock"}),
    *_rows("queue", "queue", "queue", {"SimpleQueue": "SimpleQueue"}),
    *_rows("select", "select", "select", {"select": "select", "poll": "poll", "epoll": "epoll"}),
    *_rows("select", "selectors:SelectSelector", "selectors", {"_select": "select_method"}),
    *_rows("select", "selectors:PollSelector", "select", {"_selector_cls": "poll"}),
    *_rows("select", "selectors:EpollSelector", "select", {"_selector_cls": "epoll"}),
    *_rows("socket", "socket", "socket", {"socket": "socket"}),
    *_rows(
        "socket",
        "socket",
        "dns",
        {
            "getaddrinfo": "getaddrinfo",
            "getnameinfo": "getnameinfo",
            "gethostbyname": "gethostbyname",
            "gethostbyname_ex": "gethostbyname_ex",
            "gethostbyaddr": "gethostbyaddr",
        },
    ),
    *_rows("ssl", "ssl:SSLContext", "ssl", {"sslsocket_class": "SSLSocket"}),
    *_rows(
        "signal",
        "signal",
        "signal",
        {
            "default_int_handler": "default_int_handler",
            "pause": "pause",
            "sigtimedwait": "sigtimedwait",
            "sigwait": "sigwait",
            "sigwaitinfo": "sigwaitinfo",
        },
    ),
    *_rows("ssl", "ssl:SSLSocket", "ssl", {"_create": "create_green"}),
    *_rows("os", "os", "os", {"read": "read", "write": "write", "waitpid": "waitpid"}),
    *_rows("subprocess", "subprocess", "files", {"io": "io"}),
    *_rows("subprocess", "subprocess:Popen", "subprocess", {"_wait": "wait_for_child"}),
)
