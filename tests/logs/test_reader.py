"""The reader, on servers in this process: one answer of several, nothing twice, nobody unnamed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from logs.lines import batch, pack

from verdant.core import Timeout, sleep, spawn
from verdant.logs import BadQuery, Gap, LogServerConfig, Reader, Record, Row
from verdant.logs.protocol import Question
from verdant.logs.server import LogService
from verdant.logs.server import answerer as answerer_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from verdant.logs.codec import Batch
    from verdant.logs.query import Order
    from verdant.logs.store import Store

NOWHERE = "tcp://127.0.0.1:1"
PATIENCE_S = 30.0


def make_service(directory: Path, query: str = "tcp://127.0.0.1:*") -> LogService:
    config = LogServerConfig(
        name=directory.name,
        collect="tcp://127.0.0.1:*",
        pull="tcp://127.0.0.1:*",
        query=query,
        data_dir=str(directory),
        headroom_bytes=0,
    )
    service = LogService(config)
    service.start()
    return service


def store_of(service: LogService) -> Store:
    return service._store


def put(service: LogService, *batches: Batch) -> None:
    assert all(status == "stored" for status, _ in store_of(service).append(batches))
    service._collector._stored.set()


def lines(seq: int, count: int = 20) -> Batch:
    records = [
        Record(10**18 + 100 * n + seq, "ab"[n % 2], "h", "INFO", f"{seq}/{n}", {"n": n, "s": seq})
        for n in range(count)
    ]
    return pack(records, seq)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[list[LogService]]:
    made = [make_service(tmp_path / name) for name in ("one", "two")]
    # Three batches are on both; those of "two" are sealed.
    put(made[0], *(lines(seq) for seq in range(8)))
    put(made[1], *(lines(seq) for seq in range(5, 12)))
    store_of(made[1]).seal()
    yield made
    for service in made:
        service.stop()


@pytest.fixture
def reader(services: list[LogService]) -> Iterator[Reader]:
    made = Reader([service.query_endpoint for service in services], PATIENCE_S)
    yield made
    made.close()


def places(rows: Iterable[Row]) -> list[tuple[object, ...]]:
    """What is the same for a line wherever it is stored."""
    return [row.place for row in rows]


EVERY_LINE = {f"{seq}/{n}" for seq in range(12) for n in range(20)}


def test_lines_of_both_are_shown_once_in_order(reader: Reader) -> None:
    found = reader.query(limit=1000)
    assert [row.msg for row in found.rows] == sorted(
        EVERY_LINE, key=lambda msg: [int(part) for part in msg.split("/")][::-1], reverse=True
    )
    assert (found.missing, found.truncated, found.page) == ([], False, None)
    assert places(reader.query(limit=1000, order="oldest").rows) == places(found.rows)[::-1]
    assert places(reader.stream("n=3", 5)) == places(reader.query("n=3 limit=5").rows)


def test_pages_join_without_a_seam(reader: Reader) -> None:
    orders: tuple[Order, ...] = ("newest", "oldest")
    for order in orders:
        rows: list[Row] = []
        page = None
        while True:
            found = reader.query("app=a", 17, order, page)
            rows += found.rows
            page = found.page
            if page is None:
                break
            assert len(found.rows) == 17
        assert places(rows) == places(reader.query("app=a", 1000, order).rows)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("| count", [(240,)]),
        ("n<5 | count by app", [("a", 36), ("b", 24)]),
        ("| top 2 s", [("0", 20), ("1", 20)]),
        ("| p50,p90 n by app", [("a", 8.0, 16.0), ("b", 9.0, 17.0)]),
        ("s>=5 | count by s | sort -s | head 2", [("11", 20), ("10", 20)]),
    ],
)
def test_counts_are_those_of_one_server_with_every_line(
    reader: Reader, text: str, rows: list[tuple[object, ...]]
) -> None:
    found = reader.query(text)
    assert found.table is not None
    assert found.table.rows == rows
    # Whoever is asked first counts what both have.
    reader.servers.reverse()
    turned = reader.query(text)
    assert turned.table == found.table


def test_sorted_lines_of_both(reader: Reader) -> None:
    rows = reader.query("n=3 | sort -s | head 3").rows
    assert [row.msg for row in rows] == ["11/3", "10/3", "9/3"]


def test_a_server_that_does_not_answer_is_named(services: list[LogService]) -> None:
    reader = Reader([services[0].query_endpoint, NOWHERE], timeout_s=0.3)
    found = reader.query(limit=1000)
    assert len(found.rows) == 160
    assert found.missing == [NOWHERE]
    assert "does not answer" in found.reasons[NOWHERE]
    counted = reader.query("| count")
    assert counted.table is not None
    assert (counted.table.rows, counted.missing) == ([(160,)], [NOWHERE])
    reader.close()


def test_a_mistake_is_the_askers_and_names_no_server(reader: Reader) -> None:
    with pytest.raises(BadQuery) as caught:
        reader.query("a | b")
    assert caught.value.position == 4
    with pytest.raises(BadQuery, match="refuses this SQL"):
        reader.sql("SELECT nothing FROM nowhere")


def test_context_is_what_stands_around(reader: Reader) -> None:
    (hit,) = reader.query('"6/10"').rows
    before, behind = reader.around([hit], 3)[hit]
    same = places(reader.query("app=a host=h", 1000, "oldest").rows)
    index = same.index(hit.place)
    assert places(before) == same[index - 3 : index]
    assert places(behind) == same[index + 1 : index + 4]


@pytest.mark.parametrize(
    "statement",
    [
        "COPY lines TO '/tmp/x'",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
        "SELECT * FROM rows",
        "SET memory_limit='1TB'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "CREATE TABLE x AS SELECT 1",
    ],
)
def test_sql_looks_at_lines_and_at_nothing_else(reader: Reader, statement: str) -> None:
    rows = [("a",)]
    with pytest.raises(BadQuery):
        reader.sql(statement)
    assert rows


def test_sql_answers_from_the_view(reader: Reader, services: list[LogService]) -> None:
    tables, found = reader.sql("SELECT app, count(*) AS n FROM lines GROUP BY app ORDER BY app")
    assert found.missing == []
    assert [tables[service.query_endpoint].rows for service in services] == [
        [("a", 80), ("b", 80)],
        [("a", 70), ("b", 70)],
    ]


def test_a_long_search_is_stopped_and_says_so(
    services: list[LogService], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answerer_module, "SEARCH_S_MAX", 0.2)
    monkeypatch.setattr(answerer_module, "BEAT_S", 0.05)
    # Silence is not what ends it: the server says that it works.
    reader = Reader([services[0].query_endpoint], PATIENCE_S)
    tables, found = reader.sql(
        "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1"
    )
    assert tables == {}
    assert "took more than 0.2 s" in next(iter(found.reasons.values()))
    # The turn is free again.
    assert len(reader.query(limit=5).rows) == 5
    with Timeout(PATIENCE_S):
        while services[0]._answerer._searches:
            sleep(0.01)
    reader.close()


def test_who_leaves_calls_the_search_off(services: list[LogService]) -> None:
    reader = Reader([services[0].query_endpoint], PATIENCE_S)
    searches = services[0]._answerer._searches
    asking = spawn(
        reader.sql,
        "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1",
    )
    with Timeout(PATIENCE_S):
        while not searches:
            sleep(0.01)
        asking.cancel()
        asking.join()
        while searches:
            sleep(0.01)
    reader.close()


def messages(rows: list[Row | Gap]) -> list[str]:
    return [row.msg for row in rows if isinstance(row, Row)]


def test_following_begins_with_the_last_and_shows_each_once(
    reader: Reader, services: list[LogService]
) -> None:
    follower = reader.follow("app=a", last=3)
    rows = iter(follower)
    with Timeout(PATIENCE_S):
        assert messages([next(rows) for _ in range(3)]) == ["9/18", "10/18", "11/18"]
        both = lines(30)
        put(services[0], both, lines(31))
        put(services[1], both, lines(32))
        found = [next(rows) for _ in range(30)]
    assert sorted(messages(found)) == sorted(
        f"{s}/{n}" for s in (30, 31, 32) for n in range(0, 20, 2)
    )
    token = follower.token
    follower.close()

    put(services[0], lines(40))
    again = iter(reader.follow("app=a", token=token))
    with Timeout(PATIENCE_S):
        found = [next(again) for _ in range(10)]
    assert [row.msg for row in found if isinstance(row, Row)] == [
        f"40/{n}" for n in range(0, 20, 2)
    ]
    again.close()  # type: ignore[attr-defined]


def test_lines_that_are_gone_leave_a_gap(reader: Reader, services: list[LogService]) -> None:
    follower = reader.follow()
    rows = iter(follower)
    put(services[0], lines(50))
    with Timeout(PATIENCE_S):
        next(rows)
    token = follower.token
    follower.close()

    store = store_of(services[0])
    put(services[0], lines(51))
    store.seal()
    store.replace(store.segments, ())
    put(services[0], lines(52, 1))
    again = iter(reader.follow(token=token))
    with Timeout(PATIENCE_S):
        gap, row = next(again), next(again)
    # Nineteen of the batch that was begun, twenty of the next.
    assert gap == Gap(services[0].query_endpoint, 39)
    assert isinstance(row, Row)
    assert row.msg == "52/0"
    again.close()  # type: ignore[attr-defined]


def test_who_is_too_far_behind_is_moved_on(reader: Reader, services: list[LogService]) -> None:
    follower = reader.follow(behind_max=5)
    begin = reader.ask_once(services[0].query_endpoint, Question(kind="follow", after=-1))[0]
    put(services[0], batch(60, 100))
    answer, rows = reader.ask_once(
        services[0].query_endpoint,
        Question(kind="follow", after=begin.end, behind_max=5, wait_s=1, now_ns=time.time_ns()),
    )
    assert (answer.gap, len(rows)) == (95, 5)
    follower.close()


def test_another_store_is_not_taken_for_the_one_before(
    tmp_path: Path, services: list[LogService]
) -> None:
    reader = Reader([services[0].query_endpoint], PATIENCE_S)
    question = Question(kind="follow", after=3, store="another", now_ns=time.time_ns())
    answer, rows = reader.ask_once(services[0].query_endpoint, question)
    assert (answer.gap, answer.store, len(rows)) == (-1, store_of(services[0]).identity, 100)
    reader.close()
