"""The description is true: a client made from it finds no answer that it does not describe."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from balancer.api.asking import ask
from hypothesis import HealthCheck, given, settings

from verdant.balancer.api import Access, ManagementApi
from verdant.balancer.api.application import _PATHS
from verdant.balancer.api.openapi import ACTIONS, DOCUMENT
from verdant.balancer.rules import ACTION_NAMES

if TYPE_CHECKING:
    from balancer.stage import Stage

# Of each operation; with more the room's tests would take minutes.
EXAMPLES = 25

# What takes more than texts: only there can a client send what the description forbids.
CAN_BE_WRONG = {"GET /v1/hosts", "POST /v1/hosts", "PUT /v1/hosts", "PUT /v1/hosts/{host}"}


def test_it_is_served(stage: Stage) -> None:
    assert ask(stage, "GET", "/v1/openapi.json").body == DOCUMENT


def test_it_has_every_path_and_method_of_v1() -> None:
    served = {
        (re.sub(r"<path:(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in _PATHS.iter_rules()
        for method in rule.methods or ()
        if rule.rule.startswith("/v1/") and method not in ("HEAD", "OPTIONS")
    }
    described = {
        (path, method)
        for path, item in DOCUMENT["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert served - {("/v1/openapi.json", "get")} == described


def test_it_has_every_action() -> None:
    assert sorted(ACTIONS) == sorted(ACTION_NAMES)


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_no_answer_is_outside_the_description(stage: Stage, mode: str) -> None:
    schemathesis: Any = pytest.importorskip(
        "schemathesis", reason="schemathesis is not installed (extra: dev)"
    )
    checks: Any = pytest.importorskip("schemathesis.checks")
    conformance: Any = pytest.importorskip("schemathesis.specs.openapi.checks")
    wanted = [
        checks.not_a_server_error,
        conformance.status_code_conformance,
        conformance.content_type_conformance,
        conformance.response_schema_conformance,
        conformance.response_headers_conformance,
    ]
    application = ManagementApi(stage.service.rulebook, Access(), metrics_hosts_max=10)
    schema = schemathesis.openapi.from_wsgi("/v1/openapi.json", application)
    asked: Counter[str] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == "/v1/changes":
            continue  # its answer has no end; test_events.py follows it
        if mode == "NEGATIVE" and operation.label not in CAN_BE_WRONG:
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]))
        def conforms(case: Any) -> None:
            case.validate_response(case.call(), checks=wanted)
            asked[case.operation.label] += 1

        conforms()
    assert len(asked) == (7 if mode == "POSITIVE" else len(CAN_BE_WRONG))
