"""Whole programs: results, interrupts, Ctrl-C, and the end of the process."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from verdant import Cancelled, Event, Timeout, WasCancelled, aio, sleep, spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable

number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


# The development mode puts asyncio into its own, which warns of every step that takes longer than
# 0.1 s: on a busy machine, of any.
NO_TIMINGS = """
import logging
logging.getLogger("asyncio").setLevel(logging.ERROR)
"""


def program(text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run Python text in a process of its own, with warnings as errors."""
    text = NO_TIMINGS + text
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-X", "dev", "-W", "error", *options, "-c", text],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_run_returns_raises_and_inherits_context_as_asyncio_run() -> None:
    async def main() -> int:
        seen = number.get()
        number.set(100)
        await asyncio.sleep(0)
        return seen

    async def fail() -> None:
        raise KeyError("x")

    number.set(5)
    for run in (asyncio.run, aio.run):
        assert run(main()) == 5
        with pytest.raises(KeyError):
            run(fail())
    assert number.get() == 5
    number.set(0)
    with pytest.raises(TypeError, match="coroutine"):
        aio.run(7)  # type: ignore[arg-type]


def test_run_takes_other_awaitables() -> None:
    class Later:
        def __await__(self) -> object:
            return asyncio.sleep(0, 9).__await__()

    later: Awaitable[int] = Later()  # type: ignore[assignment] # asyncio.sleep's own generator
    assert aio.run(later) == 9


def test_run_cancels_what_main_leaves_behind_and_closes_generators() -> None:
    ended: list[str] = []

    async def left() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    def green() -> None:
        try:
            Event().wait()
        finally:
            ended.append("green thread")

    async def main() -> None:
        tasks.append(asyncio.create_task(left()))
        tasks.append(asyncio.create_task(aio.spawn(green)))
        await asyncio.sleep(0.001)

    tasks: list[asyncio.Task[None]] = []
    aio.run(main())
    assert sorted(ended) == ["green thread", "task"]
    assert all(task.cancelled() for task in tasks)


def test_other_green_threads_go_on_beside_a_program() -> None:
    turns: list[int] = []

    async def main() -> None:
        while len(turns) < 10:
            await asyncio.sleep(0)

    def beside() -> None:
        for turn in range(10):
            turns.append(turn)
            sleep(0)

    thread = spawn(beside)
    aio.run(main())
    thread.wait()


def test_a_timeout_around_run_cancels_main_and_waits_for_its_end() -> None:
    ended: list[str] = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)
            ended.append("cleaned up")

    with pytest.raises(Timeout), Timeout(0.01):
        aio.run(main())
    assert ended == ["cleaned up"]


def test_a_second_interrupt_does_not_wait_for_a_program_that_ignores_the_first() -> None:
    refused: list[int] = []
    begun, asked, again = Event(), Event(), Event()
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        begun.set()
        for event in (asked, again):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                refused.append(1)
                event.set()
        await asyncio.Event().wait()

    thread = spawn(aio.run, main())
    # A task that is cancelled before its first step has none.
    assert begun.wait(20)
    thread.cancel()
    assert asked.wait(20)
    thread.cancel()
    assert thread.join(20)
    with pytest.raises(WasCancelled):
        thread.wait()
    # The loop's own end goes on meanwhile: it asks every task once more, and waits for it.
    assert again.wait(20)
    (task,) = tasks
    task.get_loop().call_soon_threadsafe(task.cancel)
    while not task.get_loop().is_closed():
        sleep(0.001)
    assert task.cancelled()
    assert len(refused) == 2


def test_cancelled_before_it_began_main_never_begins() -> None:
    begun: list[int] = []

    async def main() -> None:
        begun.append(1)

    def cancelled_at_its_first_wait() -> None:
        thread.cancel()
        aio.run(main())

    thread = spawn(cancelled_at_its_first_wait)
    assert thread.join(20)
    sleep(0)
    assert begun == []


def test_cancelled_error_and_the_threads_cancel_are_told_apart() -> None:
    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    async def cancels_the_thread() -> None:
        raise Cancelled

    with pytest.raises(asyncio.CancelledError):
        aio.run(cancels_itself())
    with pytest.raises(WasCancelled):
        aio.run(cancels_the_thread())


def test_exit_codes_reach_the_process() -> None:
    for start in ("aio.run(main())", "aio.wait(main())"):
        done = program(f"""
import asyncio, sys
from verdant import aio
async def main():
    await asyncio.sleep(0)
    sys.exit(7)
{start}
""")
        assert (done.returncode, done.stderr) == (7, "")


def test_exit_in_a_task_that_nobody_waits_for_ends_the_program() -> None:
    done = program("""
import asyncio, sys
from verdant import aio, sleep
async def leave():
    await asyncio.sleep(0.001)
    sys.exit(7)
async def main():
    global task
    task = asyncio.create_task(leave())
aio.wait(main())
sleep(1000)
""")
    # Asyncio tells of the exception too, since nobody took it from the task.
    assert done.returncode == 7


def test_the_background_loop_ends_with_the_process_and_runs_finally() -> None:
    done = program("""
import asyncio, time
from verdant import Event, aio, spawn
begun = Event()
async def main():
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        print("cleaned up")
aio.wait(asyncio.to_thread(time.sleep, 0))
spawn(aio.wait, main())
begun.wait()
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "cleaned up\n", "")


CTRL_C = """
import asyncio, os, signal, sys, time
from verdant import aio, sleep, spawn
from verdant.green import signal as green_signal
patched = {patched}
if patched:
    from verdant import monkey_patch
    monkey_patch()
async def main():
    try:
        {wait}
    except asyncio.CancelledError:
        await asyncio.sleep(0.01)
        print("cleaned up", flush=True)
        {then}
{busy}
async def program():
    asyncio.get_running_loop().call_later(0.01, lambda: os.kill(os.getpid(), signal.SIGINT))
    return await main()
try:
    print(aio.run(program()))
except KeyboardInterrupt:
    print("interrupted")
assert signal.getsignal(signal.SIGINT) is green_signal.default_int_handler
"""


BUSY = """
async def aiter_busy():
    while True:
        await asyncio.sleep(0)
        yield None
"""


@pytest.mark.parametrize("patched", [False, True])
@pytest.mark.parametrize(
    ("wait", "then", "printed"),
    [
        ("await asyncio.Event().wait()", "raise", "cleaned up\ninterrupted\n"),
        ("await asyncio.Event().wait()", "return 5", "cleaned up\n5\n"),
        ("await aio.spawn(sleep, 1000)", "raise", "cleaned up\ninterrupted\n"),
        (
            # Busy when it comes: the signal's handler runs in the middle of this task.
            "[None async for _ in aiter_busy()]",
            "raise",
            "cleaned up\ninterrupted\n",
        ),
    ],
)
def test_ctrl_c_cancels_main_as_in_asyncio(
    patched: bool, wait: str, then: str, printed: str
) -> None:
    text = CTRL_C.format(patched=patched, wait=wait, then=then, busy=BUSY)
    done = program(text)
    assert (done.stdout, done.stderr) == (printed, "")


def test_ctrl_c_during_wait_cancels_the_task() -> None:
    done = program("""
import asyncio, os, signal
from verdant import aio
async def main():
    asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
    try:
        await aio.spawn(aio.wait, asyncio.Event().wait())
    except asyncio.CancelledError:
        print("cancelled")
        raise
try:
    aio.wait(main())
except KeyboardInterrupt:
    print("interrupted")
""")
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "interrupted"


def test_a_program_prints_the_same_whoever_runs_it() -> None:
    text = """
import asyncio, sys
from verdant import aio
async def main():
    queue = asyncio.Queue()
    async def produce():
        for n in range(100):
            await queue.put(n)
            await asyncio.sleep(0)
    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        total = sum([await queue.get() for _ in range(100)])
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(6 * 7)", stdout=asyncio.subprocess.PIPE)
    return total, (await child.communicate())[0]
print(RUN(main()))
"""
    outputs = {
        program(text.replace("RUN", run)).stdout for run in ("asyncio.run", "aio.run", "aio.wait")
    }
    assert outputs == {"(4950, b'42\\n')\n"}


def test_stop_when_there_is_nothing_to_stop() -> None:
    assert aio.stop()
    assert aio.wait(asyncio.sleep(0, 1)) == 1
    assert aio.stop(20)
    assert aio.stop(20)


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    done = program("""
import asyncio, os
from verdant import aio
async def who():
    await asyncio.sleep(0.001)
    return os.getpid(), id(asyncio.get_running_loop())
before = aio.wait(who())
child = os.fork()
if not child:
    mine = aio.wait(who())
    assert mine[0] == os.getpid() and mine[1] != before[1]
    os._exit(5)
assert aio.wait(who()) == before
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
assert aio.wait(who()) == before
""")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_child_forked_by_a_coroutine_is_in_no_loop() -> None:
    done = program("""
# In this order: the hook that comes last has the last word.
import verdant
import asyncio, os, signal
from verdant import aio, sleep
def as_a_child():
    # Parked and back, so that the hub has switched to this thread once more.
    sleep(0)
    asyncio.run(asyncio.sleep(0.001))
    assert aio.run(asyncio.sleep(0.001, 3)) == 3
    # And signals go to the child's hub: asyncio's own hook may have taken them from it.
    assert signal.set_wakeup_fd(-1) != -1
    return 5
async def main():
    loop = asyncio.get_running_loop()
    child = os.fork()
    if not child:
        code = 1
        try:
            code = as_a_child()
        finally:
            os._exit(code)
    await asyncio.sleep(0.001)
    assert asyncio.get_running_loop() is loop
    return os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, child, 0))[1])
print(aio.run(main()))
""")
    assert (done.stdout, done.stderr) == ("5\n", "")
