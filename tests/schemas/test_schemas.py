"""The schemas as data: every file, its examples, its sources, and the problems that it explains."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from schema_packets import EXAMPLES, INVALID, VALID, relative

from roomhook.errors import ConfigurationError
from roomhook.schemas import loader
from roomhook.simulator.protocol.callback_url import PLATFORMS
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.packets import (
    ENTER_COMMAND,
    CheckOutMethod,
    EnterPacket,
    LeavePacket,
    ResponsePacket,
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
