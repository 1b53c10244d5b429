"""The log commands from outside: ask, count, look around, move lines, look after the store."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from flows.stack import VERDANT, Stack, eventually, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("stack")
    lines = directory / "lines.jsonl"
    with lines.open("w") as file:
        for n in range(50):
            level = "ERROR" if n % 10 == 0 else "INFO"
            document = {"time_ns": 1_700_000_000_000_000_000 + n * 10**9, "app": "web", "host": "h",
                        "level": level, "message": f"line {n}", "fields": {"n": n}}  # fmt: skip
            file.write(json.dumps(document) + "\n")
    with Stack(directory) as made:
        done = run("logs", "import", str(lines), *made.where)
        assert done.returncode == 0, done.stderr
        assert b"50 lines stored, 0 were there" in done.stderr
        yield made


def ask(stack: Stack, *arguments: str) -> str:
    done = run("logs", *arguments, *stack.where)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_an_import_again_stores_nothing_twice(stack: Stack) -> None:
    done = run("logs", "import", str(stack.directory / "lines.jsonl"), *stack.where)
    assert b"0 lines stored, 50 were there" in done.stderr
    assert ask(stack, "query", "app=web | count").split() == ["count", "50"]


def test_counts_are_a_table_and_json(stack: Stack) -> None:
    shown = ask(stack, "query", "app=web | count by level").splitlines()
    assert [line.split() for line in shown] == [["level", "count"], ["INFO", "45"], ["ERROR", "5"]]
    found = ask(stack, "query", "--json", "app=web | p50,p99 n by level | sort level")
    assert [json.loads(line) for line in found.splitlines()] == [
        {"level": "INFO", "p50": 25.0, "p99": 49.0},
        {"level": "ERROR", "p50": 20.0, "p99": 40.0},
    ]


def test_lines_stand_in_their_context(stack: Stack) -> None:
    shown = ask(stack, "query", "level=error", "n<=20", "-C", "1", "--color", "never")
    assert [line.split("line ")[-1].split(" ")[0] for line in shown.splitlines()] == [
        "0", "1", "--", "9", "10", "11", "--", "19", "20", "21"
    ]  # fmt: skip


def test_pages_go_on_where_the_last_ended(stack: Stack) -> None:
    done = run("logs", "query", "--newest-first", "--limit", "2", *stack.where, "| fields n")
    assert done.stdout.split() == [b"49", b"48"]
    page = done.stderr.decode().rpartition("--page ")[2].strip()
    assert ask(stack, "query", "--newest-first", "--limit", "2", "--page", page, "| fields n") == (
        "47\n46\n"
    )


def test_a_mistake_has_a_caret_below_it(stack: Stack) -> None:
    done = run("logs", "query", *stack.where, "app=web status=")
    assert done.returncode == 1
    first, caret, sentence, *_ = done.stderr.decode().splitlines()
    assert first == "app=web status="
    assert caret.index("^") == 15
    assert "expected a value" in sentence


def test_colours_are_for_who_sees_them(stack: Stack) -> None:
    assert "\x1b[" not in ask(stack, "query", "n=0")
    assert "\x1b[31m" in ask(stack, "query", "n=0", "--color", "always")


def test_sql_is_answered_by_each_server(stack: Stack) -> None:
    found = ask(stack, "sql", "--json", "SELECT count(*) AS n FROM lines")
    assert sum(json.loads(line)["n"] for line in found.splitlines()) >= 50


def test_an_export_is_what_was_imported(stack: Stack, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    ask(stack, "export", "app=web", "--output", str(target))
    exported = [json.loads(line) for line in target.read_text().splitlines()]
    imported = [
        json.loads(line) for line in (stack.directory / "lines.jsonl").read_text().splitlines()
    ]
    assert exported == imported


def test_a_tail_goes_on_where_it_stopped(stack: Stack, tmp_path: Path) -> None:
    state = str(tmp_path / "state")

    def ship(lines: bytes) -> None:
        done = run("logs", "ship", "--app", "tail", *stack.where, stdin=lines)
        assert done.returncode == 0, done.stderr

    def tail_two(lines: bytes, *last: str) -> list[str]:
        tail = subprocess.Popen(
            [VERDANT, "logs", "tail", *stack.where, "--json", "--state", state, *last, "app=tail"],
            stdout=subprocess.PIPE,
        )
        assert tail.stdout is not None
        try:
            if lines:
                assert (
                    run("logs", "ship", "--app", "tail", *stack.where, stdin=lines).returncode == 0
                )
            return [json.loads(tail.stdout.readline())["message"] for _ in range(2)]
        finally:
            tail.send_signal(signal.SIGINT)
            assert tail.wait(60) == 0
            tail.stdout.close()

    ship(b"one\ntwo\n")
    eventually(lambda: len(stack.query("app=tail")) == 2)
    assert tail_two(b"", "--last", "2") == ["one", "two"]
    # Shipped while nobody followed.
    ship(b"three\n")
    assert tail_two(b"four\n") == ["three", "four"]


def test_stores_are_verified_while_they_serve(stack: Stack) -> None:
    shown = ask(stack, "verify")
    assert shown.count("all is well") == 2
    done = run("logs", "rebuild", *stack.where)
    assert (done.returncode, b"another log server uses" in done.stderr) == (1, True)


def test_damage_is_an_exit_code(stack: Stack, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / f"segment-{0:020d}-{9:020d}-000000.parquet").write_bytes(b"PAR1 no more")
    done = run("logs", "verify", str(store))
    assert (done.returncode, b"cannot be read" in done.stdout) == (1, True)
    done = run("logs", "verify", str(tmp_path / "none"))
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
    assert stack.where
