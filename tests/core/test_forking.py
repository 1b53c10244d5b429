"""Forked children: a runtime of their own, and none of the parent's green threads."""

from __future__ import annotations

import pytest
from core.programs import run

from verdant.core.poller import make_poller
from verdant.core.poller_poll import PollPoller

PROLOGUE = """
import os, signal, sys, threading, time
from verdant import *
from verdant.core import current_hub, watch_fd
from verdant.green.socket import socket, socketpair

def end(pid):
    '''Wait for a child and return its exit code.'''
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def run_forking(text: str, code: int = 0) -> str:
    return run(PROLOGUE + text, code=code)


def test_the_child_of_main_has_a_hub_of_its_own_and_none_of_the_threads() -> None:
    printed = run_forking(
        """
ran = []
def other():
    try:
        while True:
            sleep(0)
            ran.append(os.getpid())
    finally:
        ran.append("finally")

event = Event()
threads = [spawn(other), spawn_after(0.001, ran.append, "timer"), spawn(event.wait)]
sleep(0)
parent_hub = current_hub()
pid = os.fork()
if not pid:
    ran.clear()
    event.set()                      # wakes nobody: whoever waits is the parent's
    sleep(0.01)
    assert current_hub() is not parent_hub
    assert spawn(lambda: 7).wait() == 7
    with Timeout(0.001, False) as bound:
        Event().wait()
    assert bound.expired
    assert run_in_worker(lambda: 8) == 8
    assert ran == [], ran
    print("child", flush=True)
    os._exit(0)
assert end(pid) == 0
sleep(0.01)
assert "timer" in ran and not threads[2].done
event.set()
assert threads[2].wait()
threads[0].cancel()
threads[0].join()
print("parent")
"""
    )
    assert printed == "child\nparent\n"


def test_the_child_of_a_green_thread_is_that_thread_and_ends_with_it() -> None:
    printed = run_forking(
        """
def forker():
    pid = os.fork()
    if pid:
        return pid
    sleep(0.001)
    assert spawn(lambda: 7).wait() == 7
    print("child")                  # not flushed: the end of the process does
    return None

def main_goes_on():
    try:
        return spawn(forker).wait()
    finally:
        if os.getpid() != parent:
            os.write(1, b"main ran in the child\\n")

parent = os.getpid()
pid = main_goes_on()
assert end(pid) == 0
print("parent")
"""
    )
    assert printed == "child\nparent\n"


@pytest.mark.parametrize(
    ("way", "code"),
    [("sys.exit(3)", 3), ("sys.exit()", 0), ("os._exit(4)", 4), ("sys.exit('')", 1)],
)
def test_the_exit_code_of_a_green_thread_is_its_process_s(way: str, code: int) -> None:
    printed = run_forking(
        f"""
def forker():
    pid = os.fork()
    if pid:
        return pid
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sleep(0)
    {way}

print(end(spawn(forker).wait()))
"""
    )
    assert printed == f"{code}\n"


def test_ctrl_c_and_deadlock_reach_the_green_thread_that_is_the_child() -> None:
    printed = run_forking(
        """
def forker():
    pid = os.fork()
    if pid:
        return pid
    try:
        Event().wait()
    except Deadlock:
        print("deadlock", flush=True)
    spawn(os.kill, os.getpid(), signal.SIGINT)
    try:
        sleep(30)
    except KeyboardInterrupt:
        print("interrupted", flush=True)

assert end(spawn(forker).wait()) == 0
"""
    )
    assert printed == "deadlock\ninterrupted\n"


def test_a_bound_around_the_fork_holds_in_both_processes() -> None:
    printed = run_forking(
        """
try:
    with Timeout(0.2):
        pid = os.fork()
        Event().wait()
except Timeout:
    os.write(1, b"parent\\n" if pid else b"child\\n")
if pid:
    assert end(pid) == 0
"""
    )
    assert sorted(printed.splitlines()) == ["child", "parent"]


def test_a_socket_goes_on_working_in_the_child_and_in_the_parent() -> None:
    printed = run_forking(
        """
ours, theirs = socketpair()

def echo():
    while data := theirs.recv(100):
        theirs.sendall(data.upper())

echoing = spawn(echo)
ours.sendall(b"before")
assert ours.recv(100) == b"BEFORE"
pid = os.fork()
if not pid:
    # Nobody echoes here but the parent, to whom the other end belongs.
    ours.sendall(b"from the child")
    print(ours.recv(100).decode(), flush=True)
    os._exit(0)
sleep(0.05)
while not (done := os.waitpid(pid, os.WNOHANG))[0]:
    sleep(0.01)
ours.sendall(b"from the parent")
print(ours.recv(100).decode())
ours.close()
echoing.wait()
theirs.close()
"""
    )
    assert printed == "FROM THE CHILD\nFROM THE PARENT\n"


def test_a_native_thread_may_fork() -> None:
    printed = run_forking(
        """
codes = []
def native():
    spawn(Event().wait)
    sleep(0)
    pid = os.fork()
    if not pid:
        assert spawn(lambda: 7).wait() == 7
        assert run_in_worker(lambda: 8) == 8
        os._exit(5)
    codes.append(end(pid))

spawn(Event().wait)
sleep(0)
thread = threading.Thread(target=native)
thread.start()
thread.join()
sleep(0)
print(codes)
"""
    )
    assert printed == "[5]\n"


def test_descriptors_are_not_shared_with_the_child() -> None:
    printed = run_forking(
        """
def kinds():
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            pass
    return found

def native(stop):
    spawn(lambda: None).wait()
    stop.wait()

stop = threading.Event()
other = threading.Thread(target=native, args=(stop,))
other.start()
sleep(0.01)
spawn(lambda: None).wait()
before = {name for name in kinds().values() if name.startswith("pipe")}
count = len(kinds())
pid = os.fork()
if not pid:
    here = kinds()
    shared = before & {name for fd, name in here.items() if int(fd) > 2}
    polls = [name for name in here.values() if "eventpoll" in name]
    os.write(1, f"{len(shared)} {len(polls)}\\n".encode())
    os._exit(0)
assert end(pid) == 0
assert len(kinds()) == count
stop.set()
other.join()
"""
    )
    shared, polls = printed.split()
    # The child has the poller of its one hub; poll needs no descriptor.
    of_its_own = "0" if isinstance(make_poller(), PollPoller) else "1"
    assert (shared, polls) == ("0", of_its_own)


def test_forks_under_load() -> None:
    printed = run_forking(
        """
# Sockets, timers, workers and native threads at work while children come and go.
stop = Event()
served = 0

def serve(end):
    global served
    while data := end.recv(100):
        served += 1
        end.sendall(data)

def ask(end):
    while not stop.is_set():
        end.sendall(b"x")
        assert end.recv(100) == b"x"

def tick():
    while not stop.is_set():
        sleep(0.0005)

def work():
    while not stop.is_set():
        run_in_worker(time.sleep, 0.0005)

def native(hub):
    while not stop.is_set():
        hub.run_soon_threadsafe(int)
        time.sleep(0.0005)

def child(number):
    total = sum(t.wait() for t in [spawn(lambda n=n: (sleep(0.001), n)[1]) for n in range(10)])
    a, b = socketpair()
    reader = spawn(b.recv, 10)
    sleep(0)
    a.sendall(b"hello")
    assert reader.wait() == b"hello"
    a.close()
    b.close()
    assert run_in_worker(lambda: total) == 45
    return number % 7

def fork_one(number):
    pid = os.fork()
    if not pid:
        code = 99
        try:
            code = child(number)
        finally:
            os._exit(code)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == number % 7, status
            return
        sleep(0.001)

threads = []
sockets = []
for _ in range(5):
    a, b = socketpair()
    sockets += [a, b]
    threads += [spawn(serve, a), spawn(ask, b), spawn(tick), spawn(work)]
natives = [threading.Thread(target=native, args=(current_hub(),)) for _ in range(2)]
for thread in natives:
    thread.start()
with TaskGroup() as group:
    for worker in range(4):
        def several(worker=worker):
            for number in range(8):
                fork_one(worker * 8 + number)
        group.spawn(several)
for number in range(8):
    fork_one(number)                # by main itself
before = served
sleep(0.02)
assert served > before              # the parent's sockets still work
stop.set()
for thread in natives:
    thread.join()
for thread in threads[2::4] + threads[3::4]:
    thread.wait()
for end in sockets:
    end.close()
print("done")
"""
    )
    assert printed == "done\n"
