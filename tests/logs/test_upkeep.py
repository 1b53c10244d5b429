"""Upkeep: what goes is what the rules say, and nothing else goes missing on the way."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from logs.lines import batch, find, messages, pack
from logs.test_store import configuration

from verdant.logs import Record, RetentionRule
from verdant.logs.store import Store, keep_house
from verdant.logs.store.leases import Leases
from verdant.logs.store.retention import expired_apps, oldest_over
from verdant.logs.store.segment import AppShare, Segment
from verdant.logs.store.upkeep import MERGED_COUNT_MIN, MERGED_LINES_MAX, mergeable

NS = 1_000_000_000
NOWHERE = Path("nowhere")


def segment(path: Path, first: int, lines: int, shares: dict[str, AppShare]) -> Segment:
    return Segment(path, first, first + lines - 1, 0, lines, lines * 40, 0, 0, 10**18, shares, ())


@given(st.lists(st.sampled_from([1, 1000, 200_000, 260_000, 500_000]), max_size=12))
def test_merged_runs_are_neighbours_of_a_good_size(sizes: list[int]) -> None:
    segments = []
    first = 0
    for lines in sizes:
        segments.append(segment(NOWHERE, first, lines, {}))
        first += lines
    run = mergeable(segments)
    if run:
        start = segments.index(run[0])
        assert segments[start : start + len(run)] == run
        assert len(run) >= MERGED_COUNT_MIN
        assert sum(each.lines for each in run) <= MERGED_LINES_MAX
    else:
        small = [each.lines <= 1000 for each in segments]
        assert not any(all(small[at : at + 4]) for at in range(len(small) - 3))


def test_no_run_goes_over_a_hole() -> None:
    segments = [segment(NOWHERE, first, 10, {}) for first in (0, 10, 20, 40, 50, 60)]
    assert mergeable(segments) == []


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 50), min_size=1), max_size=8),
    st.integers(0, 100),
    st.integers(0, 10),
)
def test_what_expires_is_past_a_bound_and_what_stays_is_not(
    parts: list[dict[str, int]], lines_max: int, age_s: int
) -> None:
    segments = [
        segment(
            NOWHERE, 100 * n, 100, {app: AppShare(lines, 0, n * NS) for app, lines in part.items()}
        )
        for n, part in enumerate(parts)
    ]
    now_ns = len(parts) * NS
    rules = [RetentionRule(app="a", lines_max=lines_max, age_s_max=age_s)]
    gone = expired_apps(segments, rules, now_ns)
    newer = 0
    for each in reversed(segments):
        apps = gone.get(each, set())
        assert apps <= {"a"}
        if "a" in each.shares:
            is_over = bool(lines_max) and newer >= lines_max
            is_old = bool(age_s) and each.shares["a"].t_max < now_ns - age_s * NS
            assert ("a" in apps) == (is_over or is_old)
            newer += each.shares["a"].lines if "a" not in apps else 0


@given(st.lists(st.integers(1, 100), max_size=10), st.integers(0, 500))
def test_the_oldest_go_until_the_rest_fits(sizes: list[int], bytes_max: int) -> None:
    segments = [segment(NOWHERE, n, lines, {}) for n, lines in enumerate(sizes)]
    gone = oldest_over(segments, bytes_max)
    assert segments[: len(gone)] == gone
    rest = segments[len(gone) :]
    assert len(rest) <= 1 or sum(each.bytes for each in rest) <= bytes_max
    if gone:
        assert sum(each.bytes for each in [gone[-1], *rest]) > bytes_max


def test_small_segments_become_one_with_the_same_lines(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seq in range(5):
        store.append([batch(seq)])
        store.seal()
    before = find(store)
    assert keep_house(store, configuration(tmp_path)) == []
    assert len(store.segments) == 1
    assert find(store) == before
    assert len(list(tmp_path.glob("segment-*"))) == 2
    store.close()
    again = Store(tmp_path)
    assert find(again) == before
    assert [s for s, _ in again.append([batch(3)])] == ["duplicate"]
    again.close()


def test_each_app_is_kept_as_long_as_its_rule_says(tmp_path: Path) -> None:
    old_ns = time.time_ns() - 100 * NS
    store = Store(tmp_path)
    store.append(
        [
            pack([Record(old_ns, app, "h", "INFO", f"old {app}")], number)
            for number, app in enumerate(("short", "long", "other"))
        ]
    )
    store.seal()
    store.append([batch(7, app="short"), batch(8, app="other")])
    store.seal()
    rules = [RetentionRule(age_s_max=1000), RetentionRule(app="short", age_s_max=50)]
    config = msgspec.structs.replace(configuration(tmp_path), retention=rules)
    assert keep_house(store, config) == []
    assert {str(row[5]) for row in find(store, "old")} == {"old long", "old other"}
    assert len(find(store, "app=short")) == 10
    (thinned, _) = store.segments
    assert (thinned.lines, thinned.generation, set(thinned.shares)) == (2, 1, {"long", "other"})

    rules = [RetentionRule(age_s_max=50)]
    keep_house(store, msgspec.structs.replace(config, retention=rules))
    assert len(store.segments) == 1
    assert len(messages(store)) == 20
    store.close()
    again = Store(tmp_path)
    assert len(messages(again)) == 20
    again.close()


def test_the_quota_drops_the_oldest_and_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seq in range(3):
        store.append([batch(seq)])
        store.seal()
    sizes = [each.bytes for each in store.segments]
    config = msgspec.structs.replace(configuration(tmp_path), store_bytes_max=sum(sizes) - 1)
    (said,) = keep_house(store, config)
    assert "10 oldest lines were dropped" in said
    assert sorted(messages(store)) == sorted(f"{s}/{n}" for s in (1, 2) for n in range(10))
    store.close()


class Lease(RuleBasedStateMachine):
    """Files go when the last that may read them has ended, in any order of events."""

    def __init__(self) -> None:
        super().__init__()
        self.leases = Leases()
        self.held: dict[int, set[Path]] = {}
        self.present: set[Path] = set()
        self.waiting: set[Path] = set()
        self.made = 0

    @rule()
    def come(self) -> None:
        self.made += 1
        self.present.add(Path(str(self.made)))

    @rule()
    def begin(self) -> None:
        self.held[self.leases.begin()] = set(self.present)

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if self.held:
            lease = data.draw(st.sampled_from(sorted(self.held)))
            del self.held[lease]
            self.leases.end(lease)

    @rule(data=st.data())
    def condemn(self, data: st.DataObject) -> None:
        if self.present:
            path = data.draw(st.sampled_from(sorted(self.present)))
            self.present.remove(path)
            self.waiting.add(path)
            self.leases.condemn([path])

    @rule()
    def unlink(self) -> None:
        free = set(self.leases.take_free())
        read = {path for paths in self.held.values() for path in paths}
        # None that is read; and all that wait once nobody reads anything.
        assert free <= self.waiting - read
        if not self.held:
            assert free == self.waiting
        self.waiting -= free


TestLeases = Lease.TestCase
