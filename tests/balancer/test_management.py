from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from verdant.balancer import management
from verdant.balancer.errors import BadRule, StateUnwritable
from verdant.balancer.management import Management
from verdant.balancer.proxy_rule import BackendEntry
from verdant.balancer.rules import Rule, parse_rule, rules_to_json
from verdant.errors import TimedOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verdant.balancer.statistics import Counts

SPIN = ["spin", {}, True]
PROXY = ["proxy", {"backends": [["10.0.0.5", 8000]]}, False]
COUNTS = {"open_requests": 1, "completed_requests": 2, "bytes_sent": 3, "bytes_received": 4}
ZERO = dict.fromkeys(COUNTS, 0)
OK = {"ok": True}


class Memory:
    """A `RulesPort` that keeps rules in a dictionary, or fails as it is told."""

    def __init__(self) -> None:
        self.kept: dict[str, Rule] = {}
        self.counts: dict[str, Counts] = {"a.example": COUNTS, "*": COUNTS}
        self.failure: Exception | None = None
        self.calls: list[object] = []

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def rules(self) -> Mapping[str, Rule]:
        return self.kept

    def set_rule(self, host: str, rule: Rule) -> None:
        self._check()
        self.kept[host] = rule

    def delete_rule(self, host: str) -> None:
        self._check()
        self.kept.pop(host, None)

    def replace_rules(self, rules: Mapping[str, Rule]) -> None:
        self._check()
        self.kept = dict(rules)

    def backends(self, host: str) -> list[dict[str, object]]:
        self._check()
        if host not in self.kept:
            raise BadRule("host_not_proxy", f"{host} has no rule")
        return [{"address": "10.0.0.5:8000", "weight": 1}]

    def add_backend(self, host: str, entry: BackendEntry) -> None:
        self._check()
        self.calls.append((host, entry))

    def remove_backend(self, host: str, address: tuple[str, int], drain_s: float) -> int:
        self._check()
        self.calls.append((host, address, drain_s))
        return 2

    def statistics(self) -> Mapping[str, Mapping[str, int]]:
        return self.counts


class Api:
    """Asks the application, and reads its JSON."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.client = Client(Management(self.memory))

    def ask(
        self, method: str, path: str, body: object = ..., host: str = "localhost"
    ) -> tuple[int, Any]:
        data = b"" if body is ... else json.dumps(body).encode()
        response = self.send(method, path, data, host)
        return response.status_code, json.loads(response.data)

    def send(self, method: str, path: str, data: bytes, host: str = "localhost") -> TestResponse:
        response = self.client.open(path, method=method, data=data, headers={"Host": host})
        assert response.content_type == "application/json"
        return response


@pytest.fixture
def api() -> Api:
    return Api()


def test_backends_are_listed_added_and_removed(api: Api) -> None:
    path = "/hostname/a.example/backends"
    assert api.ask("GET", path)[1]["error"] == "host_not_proxy"
    assert api.ask("PUT", "/hostname/a.example/", PROXY) == (200, OK)
    assert api.ask("GET", path)[1][0]["address"] == "10.0.0.5:8000"
    assert api.ask("POST", path, "10.0.0.6:8000") == (200, OK)
    assert api.ask("POST", path, {"address": "10.0.0.7:80", "weight": 2}) == (200, OK)
    assert api.ask("DELETE", path + "/10.0.0.5:8000") == (200, {"ok": True, "open_requests": 2})
    assert api.ask("DELETE", path + "/[::1]:80/?drain_s=0.5")[0] == 200
    assert api.memory.calls == [
        ("a.example", BackendEntry("10.0.0.6", 8000)),
        ("a.example", BackendEntry("10.0.0.7", 80, 2)),
        ("a.example", ("10.0.0.5", 8000), 30.0),
        ("a.example", ("::1", 80), 0.5),
    ]
    # A name may say for which protocol; a host may be called "backends".
    assert api.ask("POST", "/hostname/https://a.example/backends/", "b:1") == (200, OK)
    assert api.memory.calls[-1] == ("https://a.example", BackendEntry("b", 1))
    assert api.ask("PUT", "/hostname/backends/", PROXY) == (200, OK)
    assert "backends" in api.memory.kept


@pytest.mark.parametrize(
    ("method", "path", "body", "error"),
    [
        ("POST", "/hostname/a/backends/", "b", "backend_invalid"),
        ("POST", "/hostname/a/backends/", [], "backend_invalid"),
        ("POST", "/hostname/a/backends/", {"address": "b:1", "weight": "x"}, "backend_invalid"),
        ("POST", "/hostname/a b/backends/", "b:1", "host_invalid"),
        ("DELETE", "/hostname/a/backends/b/", None, "backend_invalid"),
        ("DELETE", "/hostname/a/backends/b:1/?drain_s=x", None, "drain_s_invalid"),
    ],
)
def test_bad_calls_about_backends_are_named(
    api: Api, method: str, path: str, body: object, error: str
) -> None:
    status, answer = api.ask(method, path, body)
    assert (status, answer["error"].partition(":")[0]) == (400, error)
    assert api.memory.calls == []


@pytest.mark.parametrize("slash", ["", "/"])
def test_one_host_is_set_read_and_deleted(api: Api, slash: str) -> None:
    path = "/hostname/a.example" + slash
    assert api.ask("GET", path) == (200, None)
    assert api.ask("PUT", path, PROXY) == (200, OK)
    assert api.ask("GET", path) == (200, PROXY)
    assert api.ask("PUT", path, SPIN) == (200, OK)
    assert api.ask("GET", "/hostname" + slash) == (200, {"a.example": SPIN})
    assert api.ask("DELETE", path) == (200, OK)
    assert api.ask("DELETE", path) == (200, OK)
    assert api.ask("GET", path) == (200, None)


@pytest.mark.parametrize("slash", ["", "/"])
def test_all_hosts_are_replaced(api: Api, slash: str) -> None:
    api.ask("PUT", "/hostname/old.example/", SPIN)
    table = {"A.example.": PROXY, "b.example:80": SPIN}
    assert api.ask("PUT", "/hostname" + slash, table) == (200, OK)
    assert api.ask("GET", "/hostname" + slash) == (200, {"a.example": PROXY, "b.example": SPIN})
    assert api.ask("PUT", "/hostname" + slash, {}) == (200, OK)
    assert api.ask("GET", "/hostname" + slash) == (200, {})


@pytest.mark.parametrize(
    "path",
    [
        "/hostname/https://a.example/",
        "/hostname/https%3A%2F%2Fa.example",
        "/hostname/HTTPS://A.example:1",
    ],
)
def test_a_rule_may_be_for_one_protocol(api: Api, path: str) -> None:
    assert api.ask("PUT", path, SPIN) == (200, OK)
    assert list(api.memory.kept) == ["https://a.example"]
    assert api.ask("GET", path) == (200, SPIN)
    assert api.ask("DELETE", path) == (200, OK)
    assert not api.memory.kept


def test_mantrids_client_is_understood(api: Api) -> None:
    # It sends a body with everything, and no Content-Type; httplib writes Host its own way.
    def ask(method: str, path: str, body: object) -> tuple[int, Any]:
        return api.ask(method, path, body, "bad host:x")

    arguments = {"code": "403"}
    assert ask("PUT", "/hostname/a.example/", ["empty", arguments, False]) == (200, OK)
    assert ask("GET", "/hostname/a.example/", None) == (200, ["empty", {"code": 403}, False])
    assert ask("GET", "/hostname/", None)[0] == 200
    assert ask("GET", "/stats/", None)[0] == 200
    assert ask("DELETE", "/hostname/a.example/", None) == (200, OK)
    # Not even JSON matters where no body is asked for.
    assert api.send("DELETE", "/hostname/a.example/", b"\xff{").status_code == 200


@pytest.mark.parametrize("slash", ["", "/"])
def test_statistics(api: Api, slash: str) -> None:
    assert api.ask("GET", "/stats" + slash) == (200, {"a.example": COUNTS, "*": COUNTS})
    assert api.ask("GET", "/stats/A.example" + slash) == (200, COUNTS)
    assert api.ask("GET", "/stats/b.example" + slash) == (200, ZERO)
    assert api.ask("GET", "/stats/*" + slash) == (200, COUNTS)
    assert api.ask("GET", "/stats/no host" + slash) == (200, ZERO)


def test_health(api: Api) -> None:
    assert api.ask("GET", "/health/") == (200, OK)
    assert api.ask("GET", "/health") == (200, OK)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/hosts/"), ("PUT", "/nothing"), ("GET", "/hostname/a/b/"),
     ("DELETE", "/hostname/a/b"), ("GET", "/stats/a/b/"), ("GET", "//hostname/"),
     ("GET", "/hostname//"), ("PUT", "/hostname//")],
)  # fmt: skip
def test_an_unknown_path_is_not_found(api: Api, method: str, path: str) -> None:
    assert api.ask(method, path) == (404, {"error": "not_found"})


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/hostname/"), ("POST", "/hostname/"), ("POST", "/hostname/a/"), ("PUT", "/stats/"),
     ("DELETE", "/stats/a"), ("OPTIONS", "/hostname/"), ("PATCH", "/health/")],
)  # fmt: skip
def test_a_wrong_method_is_not_allowed(api: Api, method: str, path: str) -> None:
    assert api.ask(method, path) == (405, {"error": "method_not_allowed"})
    assert "GET" in (api.client.open(path, method=method).headers["Allow"])


def test_head_has_the_fields_and_no_body(api: Api) -> None:
    response = api.client.head("/hostname/")
    assert (response.status_code, response.data) == (200, b"")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("a text", "host_details_not_list"),
        ([], "host_details_wrong_length"),
        (["fly", {}, True], "host_action_invalid:fly"),
        (["spin", [], True], "host_kwargs_not_dict"),
        (["spin", {}, "true"], "host_match_subdomains_not_bool"),
        (["spin", {"timeout": "soon"}, True], "host_kwarg_invalid:timeout"),
    ],
)
def test_a_bad_rule_is_named_and_changes_nothing(api: Api, body: object, fault: str) -> None:
    api.ask("PUT", "/hostname/a/", SPIN)
    for path, sent in (("/hostname/a/", body), ("/hostname/", {"b": SPIN, "a": body})):
        status, answer = api.ask("PUT", path, sent)
        assert (status, answer["error"]) == (400, fault)
        assert " " in answer["message"]
        assert api.memory.kept == {"a": parse_rule(SPIN)}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"NaN", b"\xff\xfe", b'"\\ud800"', b"[" * 100_000, b"[1] 2", b"[" * 10_000]
)
def test_a_body_that_is_not_json_is_named(api: Api, data: bytes) -> None:
    for path in ("/hostname/a/", "/hostname/"):
        response = api.send("PUT", path, data)
        assert response.status_code == 400
        assert json.loads(response.data)["error"] == "body_not_json"
    assert not api.memory.kept


def test_a_bad_host_is_named_where_a_rule_would_be_kept(api: Api) -> None:
    status, answer = api.ask("PUT", "/hostname/a b/", SPIN)
    assert (status, answer["error"]) == (400, "host_invalid:a b")
    status, answer = api.ask("PUT", "/hostname/*.example.com/", SPIN)
    assert "match_subdomains" in answer["message"]
    assert api.ask("GET", "/hostname/a b/") == (200, None)
    assert api.ask("DELETE", "/hostname/a b/") == (200, OK)


def test_a_body_over_its_bound_is_refused_unread(api: Api) -> None:
    status, answer = api.ask("PUT", "/hostname/a/", ["static", {"type": "x" * 600_000}, True])
    assert (status, answer["error"]) == (413, "body_too_large")
    with patch.object(management, "RULES_BODY_BYTES_MAX", 10):
        assert api.ask("PUT", "/hostname/", {"a": SPIN})[0] == 413
    assert not api.memory.kept


def test_what_cannot_be_kept_is_told(api: Api) -> None:
    api.ask("PUT", "/hostname/a/", SPIN)
    api.memory.failure = StateUnwritable("rules cannot be kept in /x: no space; free some space")
    for method, path, body in (
        ("PUT", "/hostname/a/", PROXY),
        ("PUT", "/hostname/", {"a": PROXY}),
        ("DELETE", "/hostname/a/", None),
    ):
        status, answer = api.ask(method, path, body)
        assert (status, answer["error"]) == (507, "state_unwritable")
        assert "/x" in answer["message"]
    api.memory.failure = TimedOut("worker 3 did not confirm within 5 s")
    assert api.ask("DELETE", "/hostname/a/")[0] == 503
    assert api.ask("GET", "/hostname/") == (200, {"a": SPIN})


def test_many_rules_come_and_go_in_pieces(api: Api) -> None:
    # Over the bound for the hub: this goes through a worker thread and back.
    table: dict[str, object] = {}
    for count in (management.RULES_PER_PIECE, 2 * management.RULES_PER_PIECE, 2_345):
        table = {f"h{number}.example": PROXY for number in range(count)}
        assert api.ask("PUT", "/hostname/", table) == (200, OK)
        assert api.ask("GET", "/hostname/") == (200, table)
    status, answer = api.ask("PUT", "/hostname/", table | {"x": ["fly", {}, True]})
    assert (status, answer["error"]) == (400, "host_action_invalid:fly")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=10,
)
rule_like = st.tuples(
    st.sampled_from(["proxy", "spin", "static", "fly"]),
    st.dictionaries(st.sampled_from(["backends", "timeout", "type", "delay"]), anything),
    st.booleans(),
)
hosts = (
    st.sampled_from(["", "a", "A.", "https://a", "a/b", "a b", "é", "%00", "%2F", "*"]) | st.text()
)


@given(
    st.sampled_from(["GET", "PUT", "DELETE", "POST"]),
    st.sampled_from(["/hostname/", "/stats/", "/"]),
    hosts,
    anything | rule_like | st.dictionaries(hosts, rule_like),
)
def test_nothing_that_is_sent_makes_a_500(
    method: str, folder: str, host: str, body: object
) -> None:
    api = Api()
    status, answer = api.ask(method, folder + host.replace("?", "").replace("#", ""), body)
    assert status in (200, 400, 404, 405)
    assert status == 200 or "error" in answer
    json.dumps(rules_to_json(api.memory.kept))
    assert status == 200 or not api.memory.kept
