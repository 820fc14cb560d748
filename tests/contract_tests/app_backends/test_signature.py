"""verify_sign, the function that users copy: the documented vectors, the window, and all that is no signature."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomhook.contract_tests.app_backends.reference import signature as verifier
from roomhook.contract_tests.app_backends.reference.signature import verify_sign
from roomhook.schemas import loader
from roomhook.simulator.protocol.callback_url import sign

TOKEN: Final = "xxxxyyyy"
NOW: Final = 1669872112
VECTORS: Final = json.loads((loader.FOLDER / "vectors" / "sign.json").read_bytes())


def query(signature: str, request_time: object) -> str:
    return urlencode({"SdkAppid": "1400000001", "Sign": signature, "RequestTime": request_time})


def refusal(raw: str, token: str = TOKEN, now: float = NOW) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        verify_sign(raw, token, clock=lambda: now)
    assert type(caught.value) is ValueError  # and no subclass that stands for a slip of ours, as UnicodeEncodeError
    return str(caught.value)


@pytest.mark.parametrize("vector", VECTORS, ids=[one["name"] for one in VECTORS])
def test_takes_every_documented_vector_in_either_case_of_hex(vector: dict[str, str]) -> None:
    for signature in (vector["sign"], vector["sign"].upper()):
        raw = query(signature, vector["request_time"])
        verify_sign(raw, vector["token"], clock=lambda: float(vector["request_time"]))


def test_takes_a_request_time_at_either_end_of_the_window_and_none_beyond() -> None:
    raw = query(sign(TOKEN, NOW), NOW)
    verify_sign(raw, TOKEN, clock=lambda: NOW - 60)
    verify_sign(raw, TOKEN, clock=lambda: NOW + 60)
    for now in (NOW - 60.5, NOW + 60.5, NOW - 86400, NOW + 86400):
        assert refusal(raw, now=now) == "RequestTime is more than 60 s off"
    verify_sign(raw, TOKEN, clock=lambda: NOW + 300, window_s=300)


def test_takes_the_machine_s_clock_unless_told_otherwise() -> None:
    with pytest.raises(ValueError, match="more than 60 s off"):
        verify_sign(query(sign(TOKEN, NOW), NOW), TOKEN)


@pytest.mark.parametrize(
    "text", ["NaN", "soon", "-1", "1e9", "0x1", " 1669872112", "1669872112\n", "9" * 40, "1_669_872_112", "\uff11", "²"]
)
def test_request_time_is_digits_only_even_if_it_is_signed(text: str) -> None:
    assert refusal(query(sign(TOKEN, text), text)) == "RequestTime is not a number of seconds"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        f"Sign={sign(TOKEN, NOW)}",
        f"RequestTime={NOW}",
        f"sign={sign(TOKEN, NOW)}&requesttime={NOW}",
        f"{query(sign(TOKEN, NOW), NOW)}&Sign={'0' * 64}",
        f"Sign={'0' * 64}&{query(sign(TOKEN, NOW), NOW)}",
        f"Sign=&{query(sign(TOKEN, NOW), NOW)}",
        f"{query(sign(TOKEN, NOW), NOW)}&RequestTime={NOW}",
    ],
)
def test_each_parameter_is_needed_exactly_once(raw: str) -> None:
    assert refusal(raw) == "Sign and RequestTime are each needed once"


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "0" * 64,
        sign(TOKEN, NOW)[:32],
        sign(TOKEN, NOW)[:-1] + "g",
        sign(TOKEN, NOW) + "0",
        f" {sign(TOKEN, NOW)}",
        sign(TOKEN, NOW - 10),
        sign("other", NOW),
        sign("", NOW),
        "é" * 64,
        "\udcff",
    ],
)
def test_any_other_sign_does_not_match(signature: str) -> None:
    assert refusal(f"RequestTime={NOW}&Sign={quote(signature, errors='surrogatepass')}") == "Sign does not match"
    assert refusal(f"RequestTime={NOW}&Sign={signature.replace(' ', '+')}") == "Sign does not match"


def test_an_empty_token_verifies_nothing() -> None:
    assert "no token" in refusal(query(sign("", NOW), NOW), token="")


@given(st.text())
def test_whatever_comes_is_refused_and_never_crashes(raw: str) -> None:
    refusal(raw)


def test_it_can_be_copied_as_a_whole_file() -> None:
    tree = ast.parse(Path(verifier.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names}

    assert {str(name).partition(".")[0] for name in imported} <= sys.stdlib_module_names | {"__future__"}
