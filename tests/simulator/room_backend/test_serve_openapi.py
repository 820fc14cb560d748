"""The OpenAPI document of the mock Room backend: valid, complete, and true under random calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from roomhook.cli.main import main
from roomhook.contract_tests.api.room_backend import RoomBackend
from roomhook.schemas import loader
from roomhook.simulator.protocol.room_packets import COMMANDS
from roomhook.simulator.room_backend.api.client_actions import ACTIONS
from roomhook.simulator.room_backend.api.openapi import document
from roomhook.simulator.room_backend.api.rest import APIS

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def backend() -> Iterator[RoomBackend]:
    with RoomBackend(start_ms=1_700_000_000_000) as running:
        yield running


def test_a_public_validator_finds_nothing_wrong_with_it() -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="pip install openapi-spec-validator")
    validator.validate(document(), cls=validator.OpenAPIV31SpecValidator)


def test_it_is_printed_and_served(backend: RoomBackend, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--openapi"]) == 0
    printed = json.loads(capsys.readouterr().out)
    with requests.Session() as session:
        assert session.get(f"{backend.url}/openapi.json").json() == printed
    assert main(["schema", "leave", "--openapi"]) == 2
    assert "leave the rest out" in capsys.readouterr().err


def test_it_holds_every_api_every_action_and_every_callback() -> None:
    paths = document()["paths"]
    assert {f"/{path}" for path in APIS} <= set(paths)
    assert {f"/sim/{name}" for name in ACTIONS} <= set(paths)
    assert set(document()["webhooks"]) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_webhook_judges_as_the_schema_does(command: str) -> None:
    reference = document()["webhooks"][command]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    name = reference.rpartition("/")[2]
    schema = document()["components"]["schemas"][name]
    for example in loader.schema(name)["examples"]:
        Draft202012Validator(schema).validate(example)
    assert schema["additionalProperties"] is False


@pytest.mark.exhaustive
def test_schemathesis_finds_no_5xx_and_no_violation_of_the_schema(backend: RoomBackend) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis")
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    api = schemathesis.openapi.from_dict(document())
    api.config.base_url = backend.url
    cases = [operation.ok().as_strategy() for operation in api.get_all_operations()]
    assert len(cases) == len(document()["paths"])
    strategy = st.one_of(cases)

    @settings(max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=strategy)
    def every_call(case: Any) -> None:
        if case.path == "/sim/clock/advance" and isinstance(case.body, dict):
            case.body["seconds"] = min(case.body.get("seconds", 0), 60)
        response = case.call(timeout=20)
        assert response.status_code < 500
        # A schema can't say that a text is limited in bytes, nor that 7.0 is refused where 7 is meant.
        case.validate_response(response, excluded_checks=[positive_data_acceptance])

    every_call()
