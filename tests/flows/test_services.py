"""A server is killed in the middle of a hundred calls: right answers, or errors that say why."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from functools import partial

import pytest

from verdant import Timeout, run_in_worker, sleep, spawn
from verdant.zmq import Client, Context, NoAnswer

PATIENCE_S = 60
CALLS = 100

# Two of three calls are under way for long, the third is answered at once, so that the kill meets
# calls in every state.
SERVER = """
import sys
from verdant import sleep
from verdant.zmq import ROUTER, zmq_loop

@zmq_loop(ROUTER, 0)
def square(question):
    number = int(question)
    if number % 3:
        sleep(float(sys.argv[1]))
    return b"%d squared is %d" % (number, number * number)

square.start()
print(square.endpoint, flush=True)
square.run()
"""


def start(stack: ExitStack, slow_s: str) -> tuple[subprocess.Popen[str], str]:
    server = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SERVER, slow_s], stdout=subprocess.PIPE, text=True
        )
    )
    stack.callback(server.kill)
    assert server.stdout is not None
    return server, run_in_worker(server.stdout.readline).strip()


def right_answer(number: int) -> bytes:
    return b"%d squared is %d" % (number, number * number)


@pytest.mark.parametrize("idempotent", [True, False])
def test_kill_9_under_calls(idempotent: bool) -> None:
    with ExitStack() as stack:
        stack.enter_context(Timeout(PATIENCE_S))
        # The one that is to be killed would keep most of its calls for ever.
        victim, lost_endpoint = start(stack, "3600")
        _, other_endpoint = start(stack, "0.01")
        context = Context()
        stack.callback(context.destroy, 0)
        client = stack.enter_context(
            Client([lost_endpoint, other_endpoint], idempotent=idempotent, context=context)
        )
        while not all(connection.up for connection in client._connections):
            sleep(0.001)
        calls = [spawn(partial(client.call, b"%d" % number)) for number in range(CALLS)]
        doomed = client._connections[0]
        while any(not call.done for call in calls[::3]):
            sleep(0.001)
        stuck = len(doomed.under_way)
        assert stuck
        victim.kill()
        failed: list[NoAnswer] = []
        for number, call in enumerate(calls):
            try:
                assert call.wait() == right_answer(number)
            except NoAnswer as exc:
                failed.append(exc)
        assert len(failed) == (0 if idempotent else stuck)
        assert all(f"{lost_endpoint} was lost" in str(exc) and exc.maybe_run for exc in failed)
        # And a hundred more, of the one that is left.
        again = [spawn(client.call, b"%d" % number) for number in range(CALLS)]
        assert [call.wait() for call in again] == [right_answer(n) for n in range(CALLS)]


def test_kill_9_at_any_moment() -> None:
    """No waiting for a chosen moment: the kill falls where it falls."""
    with ExitStack() as stack:
        stack.enter_context(Timeout(PATIENCE_S))
        context = Context()
        stack.callback(context.destroy, 0)
        for killed_after in (1, 10, 50, 90):
            victim, lost_endpoint = start(stack, "0.002")
            _, other_endpoint = start(stack, "0.002")
            client = stack.enter_context(
                Client([lost_endpoint, other_endpoint], idempotent=True, context=context)
            )
            calls = [spawn(client.call, b"%d" % number) for number in range(CALLS)]
            while sum(call.done for call in calls) < killed_after:
                sleep(0)
            victim.kill()
            assert [call.wait() for call in calls] == [right_answer(n) for n in range(CALLS)]
