"""The contract as data: schemas, examples, and their agreement with each other and with the typed packets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from roomhook.errors import ConfigurationError
from roomhook.schemas import loader
from roomhook.simulator.protocol.callback_event import CallbackEvent, from_line, to_line, with_type
from roomhook.simulator.protocol.callback_url import PLATFORMS, parameters, sign
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.packets import (
    ENTER_COMMAND,
    LEAVE_COMMAND,
    CheckOutMethod,
    EnterPacket,
    LeavePacket,
    Packet,
    ResponsePacket,
    decode_enter,
    decode_leave,
    decode_response,
    encode,
)
from roomhook.simulator.protocol.room_packets import (
    COMMANDS,
    CreatedRoom,
    CreatePacket,
    DestroyPacket,
    Seat,
    SeatPacket,
    UpdatedRoom,
    UpdatePacket,
)

EXAMPLES = loader.FOLDER / "examples"
VALID = sorted(EXAMPLES.glob("valid/*/*.json"))
INVALID = sorted(EXAMPLES.glob("invalid/*/*.json"))
ALL_FILES = sorted(loader.FOLDER.glob("*.schema.json"))
FAMILY: dict[str, type[msgspec.Struct]] = {
    "leave": LeavePacket,
    "enter": EnterPacket,
    "create": CreatePacket,
    "destroy": DestroyPacket,
    "update": UpdatePacket,
    "seat": SeatPacket,
}
ANNOTATIONS = {"title", "description", "default", "examples", "$comment"}
TYPES: dict[str, Callable[[bytes], Packet]] = {
    "leave": decode_leave,
    "enter": decode_enter,
    "response.accepted": decode_response,  # the type tolerates further members, as everybody who reads an answer must
}


def relative(path: Path) -> str:
    return str(path.relative_to(EXAMPLES).with_suffix(""))


def slug(key: str) -> str:
    """``MemberList_Account`` as a file's name writes it: ``member-list-account``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", "-", key).lower()


# ── examples: drop a file into examples/{valid,invalid}/<schema>/ and it is a test ──────────────────────────────────


@pytest.mark.parametrize("path", VALID, ids=relative)
def test_a_valid_example_matches_its_schema(path: Path) -> None:
    assert loader.problems(path.parent.name, json.loads(path.read_bytes())) == []


@pytest.mark.parametrize("path", INVALID, ids=relative)
def test_an_invalid_example_departs_in_the_one_field_that_its_name_says(path: Path) -> None:
    found = loader.problems(path.parent.name, json.loads(path.read_bytes()))
    assert len(found) == 1, "an invalid example shows one thing"
    keys = re.findall(r"[A-Za-z][\w-]*", found[0].path)
    assert not keys or slug(keys[-1]) in path.stem, f"the name should say {slug(keys[-1])}: {found[0]}"


def test_there_are_examples_of_both_kinds_for_every_schema() -> None:
    assert {path.parent.name for path in VALID} == set(loader.names()) == {path.parent.name for path in INVALID}
    assert len(VALID) >= 15
    assert len(INVALID) >= 40


PRINTED_REQUEST = """{
"CallbackCommand":"Room.CallbackAfterMemberLeave",
"Operator_Account":"user1",
"RoomId":"rid-123",
"MemberCount":20,

"Type":"Leave",
"MemberList_Account":["user1"],
"Reason":"xxxx",
"EventTime":1670574414123// Millisecond level, event trigger timestamp
}"""
PRINTED_RESPONSE = """{
"ActionStatus": "OK",
"ErrorInfo": "",
"ErrorCode": 0 // Ignore callback result
}"""


@pytest.mark.parametrize(("name", "printed"), [("leave", PRINTED_REQUEST), ("response", PRINTED_RESPONSE)])
def test_the_page_s_samples_are_json_only_without_their_comments(name: str, printed: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(printed)
    sample = json.loads(re.sub(r"//.*", "", printed))
    assert json.loads((EXAMPLES / "valid" / name / "page-sample.json").read_bytes()) == sample
    assert loader.schema(name)["examples"][0] == sample
    assert loader.problems(f"{name}.accepted", sample) == []


# ── the schemas themselves ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: path.name)
def test_a_schema_file_is_draft_2020_12_with_a_stable_id(path: Path) -> None:
    document = json.loads(path.read_bytes())
    Draft202012Validator.check_schema(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == f"urn:roomhook:schema:{path.name.removesuffix('.schema.json')}"


@pytest.mark.parametrize("name", loader.names())
def test_a_schema_carries_examples_that_match_it(name: str) -> None:
    examples = loader.schema(name)["examples"]
    assert examples
    assert [loader.problems(name, one) for one in examples] == [[] for _ in examples]


@pytest.mark.parametrize("name", loader.names())
def test_a_schema_describes_itself_and_every_field_with_a_source_for_what_the_vendor_defines(name: str) -> None:
    document = loader.schema(name)
    assert "Source: " in document["description"]
    for path, field in fields(document):
        assert field.get("description"), path
        if name.partition(".")[0] in {*FAMILY, "response", "url"}:
            assert "Source: " in field["description"], path


def fields(node: dict[str, Any], path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, field in node.get("properties", {}).items():
        yield f"{path}.{key}", field
        yield from fields(field, f"{path}.{key}")
    if isinstance(node.get("items"), dict):
        yield from fields(node["items"], f"{path}[]")


@pytest.mark.parametrize("path", VALID + INVALID, ids=relative)
def test_a_printed_schema_judges_as_the_files_do_with_their_references(path: Path) -> None:
    files = [json.loads(one.read_bytes()) for one in ALL_FILES]
    registry: Registry[Any] = Registry().with_resources((one["$id"], Resource.from_contents(one)) for one in files)
    raw = Draft202012Validator({"$ref": f"urn:roomhook:schema:{path.parent.name}"}, registry=registry)
    document = json.loads(path.read_bytes())
    if path.stem != "sdk-appid-with-a-line-feed":  # where Python's regular expressions are not ECMA-262's
        assert raw.is_valid(document) == (not loader.problems(path.parent.name, document))


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: path.name)
def test_what_stands_beside_a_reference_overrides_annotations_only(path: Path) -> None:
    shared = json.loads((loader.FOLDER / "fields.schema.json").read_bytes())
    document = json.loads(path.read_bytes())
    for node in nodes(document):
        if "$ref" in node:
            address, _, key = node["$ref"].partition("#/$defs/")
            definition = (shared if address else document)["$defs"][key]
            assert node.keys() & definition.keys() - {"$ref"} <= ANNOTATIONS


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(one)


@pytest.mark.parametrize("name", [*FAMILY, "response", "url"])
def test_sent_is_closed_and_accepted_is_open_and_every_sent_example_is_accepted(name: str) -> None:
    assert loader.schema(name)["additionalProperties"] is False
    assert loader.schema(f"{name}.accepted")["additionalProperties"] is True
    for path in EXAMPLES.glob(f"valid/{name}/*.json"):
        assert loader.problems(f"{name}.accepted", json.loads(path.read_bytes())) == []


@pytest.mark.parametrize(("name", "packet"), [*FAMILY.items(), ("response", ResponsePacket)])
def test_sent_has_exactly_the_fields_of_the_packet_type_in_its_order(name: str, packet: type[msgspec.Struct]) -> None:
    wire = [field.encode_name for field in msgspec.structs.fields(packet)]
    assert list(loader.schema(name)["properties"]) == loader.schema(name)["required"] == wire


@pytest.mark.parametrize(
    ("name", "key", "packet"), [("create", "RoomInfo", CreatedRoom), ("update", "RoomInfo", UpdatedRoom)]
)
def test_what_is_nested_has_the_fields_of_its_type(name: str, key: str, packet: type[msgspec.Struct]) -> None:
    wire = [field.encode_name for field in msgspec.structs.fields(packet)]
    nested = loader.schema(name)["properties"][key]
    assert list(nested["properties"]) == nested["required"] == wire


def test_a_seat_has_the_fields_of_its_type() -> None:
    seat = loader.schema("seat")["properties"]["SeatList"]["items"]
    wire = [field.encode_name for field in msgspec.structs.fields(Seat)]
    assert list(seat["properties"]) == seat["required"] == wire


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("valid/*/*.json")), ids=relative)
def test_the_type_of_a_sibling_takes_every_valid_example_and_gives_it_back(path: Path) -> None:
    packet = FAMILY.get(path.parent.name)
    if packet in {CreatePacket, DestroyPacket, UpdatePacket, SeatPacket}:
        document = json.loads(path.read_bytes())
        assert json.loads(msgspec.json.encode(msgspec.convert(document, packet))) == document


def test_the_schemas_know_the_values_that_the_simulator_uses() -> None:
    sent, report = loader.schema("url")["properties"], loader.schema("report")["properties"]
    assert set(sent["OptPlatform"]["enum"]) == {*PLATFORMS, "macOS"}
    assert set(sent["CallbackCommand"]["enum"]) == set(COMMANDS)
    assert set(loader.schema("leave")["properties"]["Type"]["enum"]) == set(get_args(CheckOutMethod))
    actual = report["findings"]["items"]["properties"]["actual"]["properties"]
    assert set(actual["outcome"]["enum"]) == {*DeliveryOutcome, None}


def test_an_unknown_schema_is_answered_with_what_may_have_been_meant() -> None:
    with pytest.raises(ConfigurationError, match=r"no schema 'Leave\.accept'; did you mean leave\.accepted"):
        loader.schema("Leave.accept")
    with pytest.raises(ConfigurationError, match=r"there are create, create\.accepted"):
        loader.problems("fields", {})


def test_printing_a_schema_does_not_cost_the_import_of_a_validator() -> None:
    code = "import sys; from roomhook.schemas import loader; loader.schema('leave'); print('jsonschema' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


# ── problems ────────────────────────────────────────────────────────────────────────────────────────────────────────


def problems_of(name: str, **changes: Any) -> list[str]:
    document = {**loader.schema(name)["examples"][0], **changes}
    return [
        str(one) for one in loader.problems(name, {key: value for key, value in document.items() if value is not ...})
    ]


def test_a_problem_says_path_value_and_rule_on_one_line() -> None:
    assert problems_of("leave", MemberCount="20") == [
        '$.MemberCount: must be an integer, not a string (value "20", rule type: integer)'
    ]
    assert problems_of("leave", MemberList_Account=["user1", 7]) == [
        "$.MemberList_Account[1]: must be a string, not a number (value 7, rule type: string)"
    ]
    (seconds,) = problems_of("leave", EventTime=1670574414)
    assert seconds.startswith("$.EventTime: must be at least 1000000000000: the moment of the event in milliseconds")
    assert seconds.endswith("(value 1670574414, rule minimum: 1000000000000)")


def test_the_best_explanation_comes_first() -> None:
    wrong = problems_of("leave", CallbackCommand=ENTER_COMMAND, Reason=..., MemberCount="20", Type="Enter", Level=3)
    assert [line.partition(":")[0] for line in wrong] == [
        "$.CallbackCommand",
        "$.Reason",
        "$.MemberCount",
        "$.Type",
        "$.Level",
    ]


def test_a_misspelled_field_is_recognised() -> None:
    assert problems_of("leave", RoomId=..., RoomID="rid-123") == [
        "$.RoomId: is missing; is RoomID a misspelling of it? (rule required)",
        '$.RoomID: is not a known field (value "rid-123", rule additionalProperties)',
    ]


def test_values_that_are_long_or_hold_half_a_surrogate_pair_are_shown_all_the_same() -> None:
    (long,) = problems_of("leave", MemberCount="9" * 5000)
    assert len(long) < 250
    (lone,) = problems_of("leave", MemberCount="\ud800")
    assert '"\\ud800"' in lone.encode().decode()


# ── the typed packets, both ways ────────────────────────────────────────────────────────────────────────────────────


def text_of_at_most(limit: int) -> st.SearchStrategy[str]:
    """Text of 1 to *limit* bytes of UTF-8."""
    return st.text(min_size=1, max_size=limit).filter(lambda text: len(text.encode()) <= limit)


user_ids = text_of_at_most(32)
room_ids = text_of_at_most(48)
member_counts = st.integers(0, 2**63 - 1)
member_lists = st.lists(user_ids, min_size=1, max_size=20).map(tuple)
event_times = st.integers(10**12, 10**13 - 1)
leave_packets = st.builds(
    LeavePacket,
    operator_account=user_ids,
    room_id=room_ids,
    member_count=member_counts,
    type=st.sampled_from(get_args(CheckOutMethod)),
    member_list_account=member_lists,
    reason=st.text(max_size=1000),
    event_time=event_times,
)
enter_packets = st.builds(
    EnterPacket,
    operator_account=user_ids,
    room_id=room_ids,
    member_count=member_counts,
    member_list_account=member_lists,
    event_time=event_times,
)
response_packets = st.builds(
    ResponsePacket,
    action_status=st.sampled_from(("OK", "FAIL")),
    error_info=st.text(),
    error_code=st.integers(-(2**63), 2**64 - 1),
)
modestly = settings(max_examples=200)


@modestly
@given(leave_packets)
def test_whatever_a_leave_packet_encodes_is_sent_and_accepted_and_comes_back(packet: LeavePacket) -> None:
    body = encode(packet)
    assert loader.problems("leave", json.loads(body)) == []
    assert loader.problems("leave.accepted", json.loads(body)) == []
    assert decode_leave(body) == packet


@modestly
@given(enter_packets)
def test_whatever_an_enter_packet_encodes_is_sent_and_accepted_and_comes_back(packet: EnterPacket) -> None:
    body = encode(packet)
    assert loader.problems("enter", json.loads(body)) == []
    assert loader.problems("enter.accepted", json.loads(body)) == []
    assert decode_enter(body) == packet


@modestly
@given(response_packets)
def test_whatever_a_response_packet_encodes_is_sent_and_accepted_and_comes_back(packet: ResponsePacket) -> None:
    body = encode(packet)
    assert loader.problems("response", json.loads(body)) == []
    assert loader.problems("response.accepted", json.loads(body)) == []
    assert decode_response(body) == packet


@modestly
@given(
    sdkappid=st.integers(1, 2**32 - 1),
    command=st.sampled_from((LEAVE_COMMAND, ENTER_COMMAND)),
    client_ip=st.ip_addresses(v=4).map(str),
    platform=st.sampled_from(PLATFORMS),
    token=st.none() | st.text(min_size=1, max_size=128),
    request_time=st.integers(10**9, 10**10 - 1),
)
def test_whatever_parameters_are_appended_are_sent_and_accepted(**given_values: Any) -> None:
    query = dict(parameters(**given_values))
    assert loader.problems("url", query) == []
    assert loader.problems("url.accepted", query) == []
    assert list(query) == [key for key in loader.schema("url")["properties"] if key in query], "the documented order"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@modestly
@given(st.data())
def test_a_field_of_any_other_value_is_judged_alike_by_schema_and_type(data: st.DataObject) -> None:
    """But for limits, which types don't hold: what the schema accepts decodes, what doesn't decode it refuses."""
    name = data.draw(st.sampled_from(sorted(TYPES)))
    document = dict(loader.schema(name)["examples"][0])
    key = data.draw(st.sampled_from([*document, "Extra"]))
    document[key] = data.draw(json_values)
    found = loader.problems(name, document)
    limits = ("min", "max")
    assert decodes(name, document) == all(one.rule.startswith(limits) for one in found)


# Types know no limits, and take a missing command from the URL: these decode and still are not what is documented.
ONLY_THE_SCHEMA_REFUSES = {
    "invalid/leave/callback-command-missing",
    "invalid/leave/event-time-in-microseconds",
    "invalid/leave/event-time-in-seconds",
    "invalid/leave/member-count-negative",
    "invalid/leave/member-list-account-empty",
    "invalid/leave/member-list-account-second-of-33-characters",
    "invalid/leave/operator-account-empty",
    "invalid/leave/operator-account-of-33-characters",
    "invalid/leave/room-id-empty",
    "invalid/leave/room-id-of-49-characters",
}
# To JSON Schema 20.0 is an integer; the fast way asks for digits alone.
ONLY_THE_TYPE_REFUSES = {"valid/leave/member-count-written-as-20.0"}


@pytest.mark.parametrize("path", [one for one in VALID + INVALID if one.parent.name in TYPES], ids=relative)
def test_schema_and_type_agree_on_every_example_but_the_named_ones(path: Path) -> None:
    document = json.loads(path.read_bytes())
    matches = not loader.problems(path.parent.name, document)
    if relative(path) in ONLY_THE_SCHEMA_REFUSES | ONLY_THE_TYPE_REFUSES:
        assert decodes(path.parent.name, document) != matches
    else:
        assert decodes(path.parent.name, document) == matches


def decodes(name: str, document: Any) -> bool:
    try:
        TYPES[name](json.dumps(document).encode())
    except msgspec.DecodeError:
        return False
    return True


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────

events = st.builds(
    with_type,
    time_ms=st.integers(0, 10**13),
    command=st.sampled_from((LEAVE_COMMAND, ENTER_COMMAND)),
    client_ip=st.ip_addresses().map(str),
    platform=st.sampled_from(PLATFORMS),
    body=leave_packets.map(encode) | st.binary(),
)


@modestly
@given(events)
def test_whatever_event_is_written_matches_the_schema_and_is_read_back(event: CallbackEvent) -> None:
    line = to_line(event)
    assert loader.problems("event", json.loads(line)) == []
    assert from_line(line) == event


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/event/*.json")), ids=relative)
def test_the_reader_of_events_agrees_with_their_schema(path: Path) -> None:
    line = json.dumps(json.loads(path.read_bytes())).encode()
    if path.parent.parent.name == "valid":
        from_line(line)
    elif path.stem != "two-bodies-at-once":
        with pytest.raises(ConfigurationError):
            from_line(line)


def test_the_documented_vector_of_the_signature_is_among_the_examples() -> None:
    query = json.loads((EXAMPLES / "valid" / "url" / "signed-with-the-documented-vector.json").read_bytes())
    assert query["Sign"] == sign("xxxxyyyy", query["RequestTime"])
