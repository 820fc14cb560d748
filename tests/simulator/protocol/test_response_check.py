"""Delivered and compliant: what is said of an answer, by requirement id."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roomhook.simulator.protocol import response_check as compliance
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import Response, ResponseVerdict, check_response, header, parse_json

OK = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'


def judged(body: bytes = OK, *, status: int = 200, elapsed_ms: float = 3.0, complete: bool = True) -> ResponseVerdict:
    return check_response(Response(status, (), body, elapsed_ms, complete), deadline_ms=2000)


def ids(judgement: ResponseVerdict) -> list[str]:
    return [breach.requirement for breach in judgement.breaches]


@pytest.mark.parametrize(
    "body",
    [
        OK,
        b' {\n "ErrorCode" : 0 , "ErrorInfo":"", "ActionStatus":"OK" }\n',
        b'{"ActionStatus":"OK","ErrorInfo":"fine","ErrorCode":0,"RequestId":"x","more":[1,{"a":null}]}',
        b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0.0}',
        b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":-0}',
        b"\xef\xbb\xbf" + OK,
        '{"ActionStatus":"OK","ErrorInfo":"好","ErrorCode":0}'.encode(),
    ],
)
def test_every_sane_ok_is_delivered_and_acknowledged(body: bytes) -> None:
    judgement = judged(body)
    assert judgement.outcome is DeliveryOutcome.DELIVERED
    assert ids(judgement) == []
    assert judgement.acknowledged
    assert not judgement.refused


@pytest.mark.parametrize(
    ("body", "requirement", "path"),
    [
        (b'{"ErrorInfo":"","ErrorCode":0}', "ack.action-status", "$.ActionStatus"),
        (b'{"ActionStatus":"ok","ErrorInfo":"","ErrorCode":0}', "ack.action-status", "$.ActionStatus"),
        (b'{"ActionStatus":0,"ErrorInfo":"","ErrorCode":0}', "ack.action-status", "$.ActionStatus"),
        (b'{"ActionStatus":["OK"],"ErrorInfo":"","ErrorCode":0}', "ack.action-status", "$.ActionStatus"),
        (b'{"ActionStatus":"OK","ErrorInfo":""}', "ack.error-code", "$.ErrorCode"),
        (b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":"0"}', "ack.error-code", "$.ErrorCode"),
        (b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":false}', "ack.error-code", "$.ErrorCode"),
        (b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0.5}', "ack.error-code", "$.ErrorCode"),
        (b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":null}', "ack.error-code", "$.ErrorCode"),
        (b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":1e999}', "ack.error-code", "$.ErrorCode"),
        (b'{"ActionStatus":"OK","ErrorCode":0}', "ack.error-info", "$.ErrorInfo"),
        (b'{"ActionStatus":"OK","ErrorInfo":null,"ErrorCode":0}', "ack.error-info", "$.ErrorInfo"),
        (b'{"ActionStatus":"FAIL","ErrorInfo":"no","ErrorCode":1}', "ack.ok", "$.ActionStatus"),
        (b'["OK"]', "ack.json", "$"),
        (b"null", "ack.json", "$"),
        (b'"OK"', "ack.json", "$"),
    ],
)
def test_json_that_is_no_ok_packet_is_delivered_and_blamed_for_one_thing(
    body: bytes, requirement: str, path: str
) -> None:
    judgement = judged(body)
    assert judgement.outcome is DeliveryOutcome.DELIVERED
    assert ids(judgement) == [requirement]
    assert judgement.breaches[0].path == path
    assert judgement.refused


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<html>",
        OK + OK,
        b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":NaN}',
        b'{"ActionStatus":"OK","ErrorInfo":"\xff","ErrorCode":0}',
        b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"more":"\xff"}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"{'ActionStatus':'OK'}",
        OK.decode().encode("utf-16"),
    ],
    ids=["empty", "word", "html", "two", "nan", "utf8", "utf8-beyond", "deep", "deep-beyond", "quotes", "utf16"],
)
def test_what_is_not_json_is_not_delivered(body: bytes) -> None:
    judgement = judged(body)
    assert judgement.outcome is DeliveryOutcome.NOT_JSON
    assert ids(judgement) == ["ack.json"]


@pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 403, 404, 500, 502])
def test_another_status_is_blamed_alone_whatever_the_body(status: int) -> None:
    for body in (OK, b"", b"<html>", b'{"error":"x"}'):
        judgement = judged(body, status=status)
        assert judgement.outcome is DeliveryOutcome.HTTP_STATUS
        assert ids(judgement) == ["ack.status"]
        assert judgement.breaches[0].actual == f"HTTP {status}"


def test_half_an_answer_is_blamed_for_being_half() -> None:
    judgement = judged(OK[:20], complete=False)
    assert judgement.outcome is DeliveryOutcome.INCOMPLETE
    assert ids(judgement) == ["ack.complete"]


def test_a_late_answer_is_not_delivered_however_good() -> None:
    judgement = judged(elapsed_ms=2000.1)
    assert judgement.outcome is DeliveryOutcome.TIMEOUT
    assert ids(judgement) == ["ack.deadline"]
    assert judged(elapsed_ms=2000.0).acknowledged


def test_a_late_refusal_is_blamed_for_both() -> None:
    assert ids(judged(b'{"ActionStatus":"FAIL","ErrorInfo":"","ErrorCode":1}', elapsed_ms=9999)) == [
        "ack.deadline",
        "ack.ok",
    ]


def test_several_wrong_fields_are_all_named_in_the_order_of_the_register() -> None:
    assert ids(judged(b"{}")) == ["ack.action-status", "ack.error-code", "ack.error-info"]


def test_ok_with_a_code_acknowledges_a_valid_callback_and_refuses_an_invalid_one() -> None:
    judgement = judged(b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":120001}')
    assert judgement.acknowledged
    assert judgement.refused
    assert judgement.error_code == 120001


def test_an_integer_of_thousands_of_digits_is_an_integer() -> None:
    judgement = judged(b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":1' + b"0" * 10_000 + b"}")
    assert judgement.acknowledged
    assert judgement.error_code


def test_what_is_quoted_from_an_answer_can_always_be_printed() -> None:
    body = b'{"ActionStatus":"FAIL","ErrorInfo":"half a pair: \\ud83d","ErrorCode":1}'
    (breach,) = judged(body).breaches
    assert breach.actual.encode() == b'"FAIL" ("ErrorInfo": "half a pair: \\ud83d")'


def test_a_long_quotation_is_cut() -> None:
    (breach,) = judged(b"x" * 10_000).breaches
    assert len(breach.actual) < 250


def test_a_header_is_found_in_any_case() -> None:
    labelled = Response(200, (("Server", "x"), ("Content-type", "text/plain")), OK, 1.0)
    assert header(labelled, "content-type") == "text/plain"
    assert header(labelled, "Location") is None


def test_the_packet_of_an_answer_keeps_what_is_beyond_the_contract() -> None:
    assert judged(b'{"ActionStatus":"FAIL","ErrorInfo":"","ErrorCode":1,"code":0}').packet["code"] == 0


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NEAR_PACKETS = st.fixed_dictionaries(
    {},
    optional={
        "ActionStatus": st.sampled_from(["OK", "FAIL", "ok", "", None, 1]) | JSON_VALUES,
        "ErrorInfo": JSON_VALUES,
        "ErrorCode": st.sampled_from([0, 1, 0.0, -1, "0", False]) | JSON_VALUES,
        "more": JSON_VALUES,
    },
)


def _slowly(body: bytes) -> ResponseVerdict:
    """As if msgspec had never heard of the packet: everything is judged by the standard library's parser."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compliance, "decode_response", _never)
        return judged(body)


def _never(body: bytes) -> None:
    raise msgspec.DecodeError(repr(body))


def _essence(judgement: ResponseVerdict) -> tuple[object, ...]:
    return (judgement.outcome, ids(judgement), judgement.action_status, judgement.error_code)


@given(NEAR_PACKETS, st.booleans())
def test_the_quick_way_and_the_thorough_way_agree_on_packets(packet: dict[str, object], ascii_only: bool) -> None:
    body = json.dumps(packet, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    assert _essence(judged(body)) == _essence(_slowly(body))


@given(st.integers(0, len(OK)), st.binary(max_size=4), st.integers(0, 4))
@example(at=0, inserted=b"\x00", dropped=0)
@example(at=39, inserted=b"\xff", dropped=0)
def test_the_quick_way_and_the_thorough_way_agree_on_damaged_packets(at: int, inserted: bytes, dropped: int) -> None:
    body = OK[:at] + inserted + OK[at + dropped :]
    assert _essence(judged(body)) == _essence(_slowly(body))


def test_parse_json_holds_to_rfc_8259() -> None:
    assert parse_json(b"\xef\xbb\xbf[1]") == [1]
    for body in (b"Infinity", b"-Infinity", b"[NaN]", b"[1] [2]", b"\xff"):
        with pytest.raises(ValueError, match=r".+"):
            parse_json(body)
