from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdant.balancer import state as state_file
from verdant.balancer.errors import BadRule, StateDamaged, StateInUse, StateUnwritable
from verdant.balancer.routing import Changes
from verdant.balancer.rules import Empty, Rule
from verdant.balancer.state import State

if TYPE_CHECKING:
    from collections.abc import Callable


def rule(code: int) -> Rule:
    return Rule("empty", Empty(code))


def reread(directory: Path) -> dict[str, Rule]:
    with State(directory) as state:
        return dict(state.rules)


def test_changes_survive(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "state"
    with State(directory) as state:
        assert state.set("A.example", rule(200)) == Changes({"a.example": rule(200)})
        state.set("b.example", rule(201))
        state.set("b.example", rule(202))
        assert state.delete("a.example") == Changes({}, ("a.example",))
        assert state.rules == {"b.example": rule(202)}
    assert reread(directory) == {"b.example": rule(202)}
    with State(directory) as state:
        state.replace_all({"c": rule(203)})
        assert state.change({"d": rule(204)}, ["c", "d", "e"]) == Changes({"d": rule(204)}, ("c",))
    assert reread(directory) == {"d": rule(204)}


def test_what_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        state.set("a", rule(200))
        before = (tmp_path / "journal.jsonl").read_bytes()
        assert not state.set("a", rule(200))
        assert not state.delete("b")
        assert not state.replace_all({"a": rule(200)})
        with pytest.raises(BadRule):
            state.set("no host", rule(200))
        assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_the_files_are_json_that_others_can_read(tmp_path: Path) -> None:
    with State(tmp_path, journal_bytes_max=0) as state:
        state.set("a", rule(200))
        state.set("b", rule(201))
    snapshot = json.loads((tmp_path / "state.json").read_text())
    assert len(snapshot.pop("crc")) == 8
    assert snapshot == {"version": 1, "hosts": {"a": ["empty", {"code": 200}, False]}}
    (line,) = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert json.loads(line)["change"] == {
        "seq": 2,
        "put": {"b": ["empty", {"code": 201}, False]},
        "delete": [],
    }


def test_a_journal_over_its_bound_becomes_a_snapshot(tmp_path: Path) -> None:
    with State(tmp_path, journal_bytes_max=2000) as state:
        for number in range(300):
            state.set(f"h{number % 7}", rule(200 + number))
            assert (tmp_path / "journal.jsonl").stat().st_size < 2200
        expected = dict(state.rules)
    assert reread(tmp_path) == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "journal.jsonl",
        "state.json",
        "state.lock",
    ]


def test_a_snapshot_of_many_hosts_is_written_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_file, "SNAPSHOT_RULES_PER_WRITE", 3)
    for count in (0, 1, 3, 7):
        rules = {f"h{number}": rule(200) for number in range(count)}
        with State(tmp_path / str(count), journal_bytes_max=0) as state:
            state.replace_all(rules)
            state.set("last", rule(201))
        assert reread(tmp_path / str(count)) == rules | {"last": rule(201)}


def test_mantrids_own_state_is_read(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(
        json.dumps(
            {
                "hosts": {"a.example": ["proxy", {"backends": [["10.0.0.1", 80]]}, True]},
                "stats": {"a.example": {"open_requests": 0}},
            }
        )
    )
    with State(tmp_path) as state:
        assert state.rules["a.example"].match_subdomains
        state.set("b", rule(200))
    assert set(reread(tmp_path)) == {"a.example", "b"}


# Damage


def three_changes(directory: Path) -> tuple[bytes, list[dict[str, Rule]]]:
    """A journal of three lines, and the rules after 0, 1, 2 and 3 of them."""
    stages = []
    with State(directory) as state:
        stages.append(dict(state.rules))
        for change in (
            {"a": rule(200)},
            {"a": rule(201), "b": rule(202)},
            {"c": rule(203)},
        ):
            state.change(change)
            stages.append(dict(state.rules))
    return (directory / "journal.jsonl").read_bytes(), stages


def test_a_journal_torn_at_any_byte_has_the_changes_before_the_tear(tmp_path: Path) -> None:
    journal, stages = three_changes(tmp_path)
    for length in range(len(journal) + 1):
        (tmp_path / "state.json").unlink(missing_ok=True)
        (tmp_path / "journal.jsonl").write_bytes(journal[:length])
        whole = journal[:length].count(b"\n")
        with State(tmp_path) as state:
            assert state.rules == stages[whole]
            # What comes after a tear must not be lost behind it.
            state.set("later", rule(204))
        assert reread(tmp_path) == stages[whole] | {"later": rule(204)}


def test_a_last_line_that_never_reached_the_disk_is_dropped(tmp_path: Path) -> None:
    journal, stages = three_changes(tmp_path)
    last = journal.rindex(b"\n", 0, -1) + 1
    (tmp_path / "journal.jsonl").write_bytes(journal[:last] + b"\0" * 30 + journal[last + 30 :])
    assert reread(tmp_path) == stages[2]


def test_a_flipped_bit_in_any_finished_line_is_named_not_obeyed(tmp_path: Path) -> None:
    journal, stages = three_changes(tmp_path)
    path = tmp_path / "journal.jsonl"
    for position in range(len(journal) - 1):
        damaged = bytearray(journal)
        damaged[position] ^= 0x01
        path.write_bytes(damaged)
        line = journal[:position].count(b"\n") + 1
        with pytest.raises(StateDamaged, match=rf"journal\.jsonl:{line}: .*remove line {line}"):
            State(tmp_path)
        # Nothing was repaired behind the operator's back.
        assert path.read_bytes() == damaged
    path.write_bytes(journal)
    assert reread(tmp_path) == stages[3]


def test_a_missing_line_is_noticed(tmp_path: Path) -> None:
    journal, _ = three_changes(tmp_path)
    lines = journal.splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_bytes(lines[0] + lines[2])
    with pytest.raises(StateDamaged, match=r"journal\.jsonl:2: .*change 3, where 2"):
        State(tmp_path)


def test_lines_that_the_snapshot_has_already_are_passed_over(tmp_path: Path) -> None:
    # As after a crash between the new snapshot and the new journal.
    journal, stages = three_changes(tmp_path)
    (tmp_path / "state.json").write_text('{"version":3,"hosts":{"x":["unknown",{},true]}}')
    assert set(reread(tmp_path)) == {"x"}
    (tmp_path / "journal.jsonl").write_bytes(journal)
    (tmp_path / "state.json").write_text('{"version":2,"hosts":{}}')
    assert reread(tmp_path) == {"c": stages[3]["c"]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version":1}',
        '{"version":"x","hosts":{}}',
        '{"hosts":{"a":["fly",{},true]}}',
        '{"hosts":{"a b":["unknown",{},true]}}',
        "\x80",
        "[" * 100_000,
    ],
)
def test_a_damaged_snapshot_is_named_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StateDamaged, match=r"state\.json is not a snapshot"):
        State(tmp_path)
    assert path.read_bytes() == text.encode("latin-1")
    assert not (tmp_path / "journal.jsonl").exists()


# One process at a time


def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        state.set("a", rule(200))
        with pytest.raises(StateInUse, match=rf"in use by process {os.getpid()}; stop it"):
            State(tmp_path)
        state.set("b", rule(200))
    assert set(reread(tmp_path)) == {"a", "b"}


def test_a_closed_state_takes_no_change(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.close()
    state.close()
    with pytest.raises(StateUnwritable, match="closed"):
        state.set("a", rule(200))


# What cannot be written changes nothing


def test_a_file_in_the_directorys_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StateUnwritable, match=r"file.*a file stands where.*state_dir"):
            State(directory)


def fail_from(call: int, code: int, real: Callable[..., int]) -> Callable[..., int]:
    calls = 0

    def failing(*args: object) -> int:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise OSError(code, os.strerror(code))
        return real(*args)

    return failing


@pytest.mark.parametrize("name", ["write", "fsync", "rename"])
@pytest.mark.parametrize("journal_bytes_max", [0, 1_000_000])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_change_that_fails_at_any_step_changes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    journal_bytes_max: int,
    call: int,
) -> None:
    with State(tmp_path, journal_bytes_max=journal_bytes_max) as state:
        state.set("a", rule(200))
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail_from(call, errno.ENOSPC, getattr(os, name)))
            try:
                state.set("a", rule(201))
            except StateUnwritable as exc:
                assert "free some space" in str(exc)  # noqa: PT017 - some steps are not reached
                expected = 200
            else:
                expected = 201
            assert state.rules == {"a": rule(expected)}
        # The disk is well again: the next change goes through, and the failed one stays undone.
        state.set("b", rule(202))
        assert state.rules == {"a": rule(expected), "b": rule(202)}
    assert reread(tmp_path) == {"a": rule(expected), "b": rule(202)}


def test_half_a_line_is_not_appended_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def half(fd: int, data: memoryview) -> int:
        if b'"seq"' in bytes(data):
            real(fd, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    with State(tmp_path) as state:
        state.set("a", rule(200))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(StateUnwritable):
                state.set("a", rule(201))
        state.set("b", rule(202))
    assert reread(tmp_path) == {"a": rule(200), "b": rule(202)}


def test_short_writes_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    with State(tmp_path) as state:
        state.set("a", rule(200))
    assert reread(tmp_path) == {"a": rule(200)}


FULL_DISK = """
import resource, sys
from verdant.balancer.errors import StateUnwritable
from verdant.balancer.rules import Empty, Rule
from verdant.balancer.state import State
state = State(sys.argv[1])
done = 0
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
try:
    while True:
        state.set("h%d" % (done % 10), Rule("empty", Empty(200 + done % 300)))
        done += 1
except StateUnwritable as exc:
    print(exc)
assert len(state.rules) == 10
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
state.set("after", Rule("empty", Empty(299)))
print(sorted((h, r.arguments.code) for h, r in state.rules.items()))
"""


def test_a_file_that_really_cannot_grow(tmp_path: Path) -> None:
    # The kernel's own refusal, in a process of its own because the limit is the process's.
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    sentence, rules = done.stdout.splitlines()
    assert "journal.jsonl" in sentence
    assert "raise the limit on file sizes" in sentence
    kept = reread(tmp_path)
    assert str(sorted((h, r.to_json()[1]["code"]) for h, r in kept.items())) == rules  # type: ignore[index]  # JSON is untyped


# Models and kills

steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from("abc"), st.integers(200, 203)),
        st.tuples(st.just("delete"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("replace"), st.sampled_from("abc"), st.integers(200, 203)),
        st.tuples(st.just("reopen"), st.just(""), st.just(0)),
        st.tuples(st.just("tear"), st.just(""), st.integers(1, 40)),
    ),
    max_size=25,
)


@given(steps, st.sampled_from([0, 300, 100_000]))
@settings(max_examples=60, deadline=None)
def test_the_state_is_a_dictionary(todo: list[tuple[str, str, int]], bound: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        model: dict[str, Rule] = {}
        state = State(name, journal_bytes_max=bound)
        for step, host, number in todo:
            if step == "set":
                state.set(host, rule(number))
                model[host] = rule(number)
            elif step == "delete":
                state.delete(host)
                model.pop(host, None)
            elif step == "replace":
                model = {host: rule(number), "z": rule(200)}
                state.replace_all(model)
            else:
                state.close()
                if step == "tear":
                    with (Path(name) / "journal.jsonl").open("ab") as journal:
                        journal.write(b'{"crc":"00000000","change":{"seq":1,"p'[:number])
                state = State(name, journal_bytes_max=bound)
            assert state.rules == model
        state.close()
        assert reread(Path(name)) == model


# Forks a child for each line it reads; the child changes rules until it is killed. A process that
# forks costs a hundredth of one that starts Python anew, and dies of SIGKILL just the same.
CHANGER = """
import os, sys
sys.path.insert(0, sys.argv[2])
from verdant.balancer.state import State
from changes import make_change
for line in sys.stdin:
    done = int(line)
    pid = os.fork()
    if not pid:
        state = State(sys.argv[1], journal_bytes_max=1500)
        while True:
            make_change(state, done)
            done += 1
            os.write(1, b"done %d\\n" % done)
    os.write(1, b"pid %d\\n" % pid)
    os.waitpid(pid, 0)
    os.write(1, b"dead\\n")
"""

CHANGES = """
from verdant.balancer.rules import Empty, Rule

def make_change(state, number):
    host = "h%d" % (number % 5)
    if number % 7 == 3:
        state.delete("h%d" % ((number - 1) % 5))
    elif number % 31 == 30:
        state.replace_all({host: Rule("empty", Empty(200 + number % 300)),
                           "x%d" % number: Rule("empty", Empty(200))})
    else:
        state.set(host, Rule("empty", Empty(200 + number % 300)))
"""

KILLS = 50


class Model:
    """What `make_change` does, to a dictionary."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        # After n changes, the rules are history[n].
        self.history: list[dict[str, Rule]] = [{}]

    def set(self, host: str, new: Rule) -> None:
        self.rules = self.rules | {host: new}

    def delete(self, host: str) -> None:
        self.rules = {name: kept for name, kept in self.rules.items() if name != host}

    def replace_all(self, rules: dict[str, Rule]) -> None:
        self.rules = rules


def test_killed_at_any_moment_no_acknowledged_change_is_missing(tmp_path: Path) -> None:
    (tmp_path / "changes.py").write_text(CHANGES)
    scope: dict[str, Callable[[Model, int], None]] = {}
    exec(CHANGES, scope)
    model, chance = Model(), random.Random(7)
    directory = tmp_path / "state"
    changer = subprocess.Popen(
        [sys.executable, "-c", CHANGER, str(directory), str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert changer.stdin
    assert changer.stdout
    done, in_between = 0, 0
    with changer:
        try:
            for _ in range(KILLS):
                changer.stdin.write(f"{done}\n")
                changer.stdin.flush()
                pid, acknowledged, wanted = 0, done, done + chance.randrange(12)
                while not pid or acknowledged < wanted:
                    word, number = changer.stdout.readline().split()
                    if word == "pid":
                        pid = int(number)
                    else:
                        acknowledged = int(number)
                os.kill(pid, signal.SIGKILL)
                while (line := changer.stdout.readline()) != "dead\n":
                    acknowledged = int(line.split()[1])
                while len(model.history) <= acknowledged + 1:
                    scope["make_change"](model, len(model.history) - 1)
                    model.history.append(model.rules)
                rules = reread(directory)
                assert rules in model.history[acknowledged : acknowledged + 2]
                done = acknowledged
                if rules != model.history[done]:
                    done += 1
                    in_between += 1
        finally:
            changer.stdin.close()
    assert done > KILLS
