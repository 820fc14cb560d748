"""The documented REST of the mock Room backend: every documented code, strictness, limits, usersig, several apps."""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from roomhook.contract_tests.api.room_backend import RoomBackend
from roomhook.simulator.room_backend.api.rest import APIS, Rest
from roomhook.simulator.room_backend.api.usersig import make_usersig, why_not_genuine
from roomhook.simulator.room_backend.runtime.clock import VirtualClock
from roomhook.simulator.room_backend.runtime.service import Service, parse_apps
from roomhook.simulator.room_backend.runtime.store import Store
from roomhook.simulator.room_backend.state.error_codes import MEANINGS, Code
from roomhook.simulator.room_backend.state.options import BackendOptions

NOW_MS = 1_700_000_000_000
KEY = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"
QUERY = {"sdkappid": "1400000001", "identifier": "administrator", "usersig": "x", "random": "7", "contenttype": "json"}
ROOMS = "v4/room_engine_http_srv"
CONFIG = "v4/room_config"
ROOM: dict[str, Any] = {"RoomInfo": {"RoomId": "r1", "RoomType": "Conference", "Owner_Account": "ann"}}
CALLBACK = {"Url": "http://127.0.0.1:9/", "CallbackCommandList": ["Room.CallbackAfterMemberLeave"]}


class Caller:
    """Calls REST without a network, on a service that has no loop to send on: no callback is configured in vain."""

    def __init__(self, *apps: int, secret_key: str = "", **options: Any) -> None:
        keys = [secret_key] if secret_key else []
        self.service = Service(
            parse_apps(apps or (1400000001,), keys, []), BackendOptions(**options), Store(None), VirtualClock(NOW_MS)
        )
        self.now = 100.0
        self.rest = Rest(self.service, "administrator", lambda: self.now, lambda: NOW_MS / 1000)

    def __call__(self, path: str, packet: Any = None, method: str = "POST", **query: Any) -> dict[str, Any]:
        body = packet if isinstance(packet, bytes) else json.dumps({} if packet is None else packet).encode()
        given = [(name, value) for name, value in {**QUERY, **query}.items() if value is not None]
        return self.rest.answer(method, path, given, body)

    def code(self, path: str, packet: Any = None, **query: Any) -> int:
        return int(self(path, packet, **query)["ErrorCode"])


@pytest.fixture
def call() -> Iterator[Caller]:
    caller = Caller()
    yield caller
    caller.service.store.close()


def test_every_answer_is_a_packet_with_a_request_id_that_the_seed_decides(call: Caller) -> None:
    answer = call(f"{ROOMS}/create_room", ROOM)
    assert answer == {
        "ActionStatus": "OK",
        "ErrorInfo": "",
        "ErrorCode": 0,
        "RequestId": "Id-27a3f1a3d555387ab7bf589ca716c295-O-Seq-1",
    }


@pytest.mark.parametrize(
    ("code", "path", "packet", "query"),
    [
        (Code.BAD_HTTP, f"{ROOMS}/create_room", ROOM, {"method": "GET"}),
        (Code.BAD_HTTP, f"{ROOMS}/create_room", ROOM, {"random": "4294967296"}),
        (Code.BAD_HTTP, f"{ROOMS}/create_room", ROOM, {"random": None}),
        (Code.BAD_HTTP, f"{ROOMS}/create_room", ROOM, {"contenttype": "JSON"}),
        (Code.BAD_HTTP, f"{ROOMS}/create_room", ROOM, {"tenant": "1"}),
        (Code.BAD_JSON, f"{ROOMS}/create_room", b"", {}),
        (Code.BAD_JSON, f"{ROOMS}/create_room", b"{", {}),
        (Code.BAD_JSON, f"{ROOMS}/create_room", b"[]", {}),
        (Code.BAD_JSON, f"{ROOMS}/create_room", b"[" * 100_000, {}),
        (Code.BAD_JSON, f"{ROOMS}/create_room", b'{"RoomInfo":{"RoomId":"\xff"}}', {}),
        (Code.BAD_ACCOUNT, f"{ROOMS}/create_room", ROOM, {"identifier": None}),
        (Code.BAD_SIGNATURE, f"{ROOMS}/create_room", ROOM, {"usersig": ""}),
        (Code.BAD_SDKAPPID, f"{ROOMS}/create_room", ROOM, {"sdkappid": "1400000002"}),
        (Code.BAD_SDKAPPID, f"{ROOMS}/create_room", ROOM, {"sdkappid": "01400000001"}),
        (Code.BAD_URL, f"{ROOMS}/make_room", ROOM, {}),
        (Code.NEEDS_ADMIN, f"{ROOMS}/create_room", ROOM, {"identifier": "ann"}),
        (Code.NO_SDKAPPID, f"{ROOMS}/create_room", ROOM, {"sdkappid": None}),
        (Code.NO_SDKAPPID, f"{ROOMS}/create_room", ROOM, {"sdkappid": None, "SdkAppid": "1400000001"}),
        (Code.BAD_PARAMETER, f"{ROOMS}/create_room", {}, {}),
        (Code.BAD_PARAMETER, f"{ROOMS}/create_room", {**ROOM, "Extra": 1}, {}),
        (Code.BAD_PARAMETER, f"{ROOMS}/create_room", {"RoomInfo": {**ROOM["RoomInfo"], "RoomType": "Live"}}, {}),
        (Code.BAD_PARAMETER, f"{ROOMS}/create_room", {"RoomInfo": {**ROOM["RoomInfo"], "RoomId": "x" * 49}}, {}),
        (Code.BAD_PARAMETER, f"{ROOMS}/create_room", {"RoomInfo": {**ROOM["RoomInfo"], "RoomId": "房" * 17}}, {}),
        (Code.BAD_PARAMETER, f"{ROOMS}/create_room", {"RoomInfo": {**ROOM["RoomInfo"], "IsSeatEnabled": "true"}}, {}),
        (
            Code.BAD_PARAMETER,
            f"{ROOMS}/create_room",
            {"RoomInfo": {**ROOM["RoomInfo"], "ScheduleStartTime": 1700000000, "ScheduleEndTime": 1700000100}},
            {},
        ),
        (Code.BAD_PARAMETER, f"{CONFIG}/set_callback", {"Url": "ftp://x/", "CallbackCommandList": []}, {}),
        (Code.BAD_PARAMETER, f"{CONFIG}/set_callback", {"Url": "http://x/", "CallbackCommandList": ["Room.X"]}, {}),
        (Code.BAD_PARAMETER, f"{CONFIG}/set_callback", {"Url": "http://x/"}, {}),
        (Code.NO_CALLBACK, f"{CONFIG}/update_callback", CALLBACK, {}),
        (Code.NO_CALLBACK, f"{CONFIG}/get_callback", {}, {}),
        (Code.NO_ROOM, f"{ROOMS}/destroy_room", {"RoomId": "nowhere"}, {}),
        (Code.NO_ROOM, f"{ROOMS}/update_room_info", {"RoomInfo": {"RoomId": "nowhere"}}, {}),
        (Code.NO_ROOM, f"{ROOMS}/get_room_info", {"RoomId": "nowhere"}, {}),
        (Code.NO_ROOM, f"{ROOMS}/get_room_member_list", {"RoomId": "nowhere"}, {}),
        (Code.NO_ROOM, f"{ROOMS}/kick_user_out", {"RoomId": "no", "MemberList_Account": ["a"], "Reason": "r"}, {}),
        (Code.BAD_PARAMETER, f"{ROOMS}/kick_user_out", {"RoomId": "r1", "MemberList_Account": [], "Reason": "r"}, {}),
        (Code.BAD_PARAMETER, f"{ROOMS}/kick_user_out", {"RoomId": "r1", "MemberList_Account": ["a"]}, {}),
        (
            Code.BAD_PARAMETER,
            f"{ROOMS}/kick_user_out",
            {"RoomId": "r1", "MemberList_Account": ["a"], "Reason": "é" * 501},
            {},
        ),
        (
            Code.BAD_PARAMETER,
            f"{ROOMS}/kick_user_out",
            {"RoomId": "r1", "MemberList_Account": [f"u{number}" for number in range(21)], "Reason": "r"},
            {},
        ),
    ],
)
def test_a_wrong_call_gets_its_documented_code(
    call: Caller, code: Code, path: str, packet: Any, query: dict[str, Any]
) -> None:
    answer = call(path, packet, **query)
    assert (answer["ErrorCode"], answer["ActionStatus"]) == (code, "FAIL")
    assert answer["ErrorInfo"].startswith(MEANINGS[code])


def test_rooms_and_callbacks_that_exist_are_not_made_twice(call: Caller) -> None:
    assert call.code(f"{ROOMS}/create_room", ROOM) == 0
    assert call.code(f"{ROOMS}/create_room", ROOM) == Code.ROOM_EXISTS
    assert call.code(f"{CONFIG}/set_callback", CALLBACK) == 0
    assert call.code(f"{CONFIG}/set_callback", CALLBACK) == Code.CALLBACK_EXISTS
    assert call(f"{CONFIG}/get_callback")["Response"] == CALLBACK
    assert call.code(f"{CONFIG}/delete_callback") == 0
    assert call.code(f"{CONFIG}/delete_callback") == 0, "the page knows no error for it"


def test_a_kick_needs_members_and_is_all_or_nothing(call: Caller) -> None:
    assert call.code(f"{CONFIG}/delete_callback") == 0
    call(f"{ROOMS}/create_room", ROOM)
    kick = {"RoomId": "r1", "MemberList_Account": ["ghost"], "Reason": "r"}
    assert call.code(f"{ROOMS}/kick_user_out", kick) == Code.NOT_A_MEMBER


def test_too_many_calls_of_one_api_in_a_second_are_refused_and_others_are_not() -> None:
    call = Caller(calls_per_second=5)
    codes = [call.code(f"{CONFIG}/get_callback") for _ in range(7)]
    assert codes == [Code.NO_CALLBACK] * 5 + [Code.TOO_OFTEN] * 2
    assert call.code(f"{CONFIG}/delete_callback") == 0
    call.now += 1
    assert call.code(f"{CONFIG}/get_callback") == Code.NO_CALLBACK


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_every_code_can_be_asked_for_so_that_callers_can_be_tested(call: Caller, code: Code) -> None:
    call.rest.plan(1400000001, "create_room", [code])
    assert call.code(f"{ROOMS}/create_room", ROOM) == code
    assert call.code(f"{ROOMS}/create_room", ROOM) == 0, "only the next one"


def test_what_each_page_lists_is_a_code_of_ours() -> None:
    assert {code for api in APIS.values() for code in api.codes} <= set(Code)


def test_a_lenient_backend_ignores_what_it_does_not_know() -> None:
    call = Caller(lenient=True)
    packet = {"RoomInfo": {**ROOM["RoomInfo"], "Colour": "red"}, "Extra": 1}
    assert call.code(f"{ROOMS}/create_room", packet, tenant="a") == 0
    assert call.code(f"{ROOMS}/create_room", {"RoomInfo": {"RoomId": 5}, "Extra": 1}) == Code.BAD_PARAMETER


def test_apps_live_side_by_side() -> None:
    call = Caller(1400000001, 1400000002)
    assert call.code(f"{ROOMS}/create_room", ROOM) == 0
    assert call.code(f"{ROOMS}/create_room", ROOM, sdkappid="1400000002") == 0
    assert call.code(f"{ROOMS}/destroy_room", {"RoomId": "r1"}) == 0
    assert call.code(f"{ROOMS}/get_room_info", {"RoomId": "r1"}, sdkappid="1400000002") == 0


def test_get_room_info_tells_capacity_and_people_apart_and_what_was_updated(call: Caller) -> None:
    call(f"{ROOMS}/create_room", {"RoomInfo": {**ROOM["RoomInfo"], "ScheduleStartTime": 1700003600}})
    change = {"RoomId": "r1", "RoomName": "standup", "MaxMemberCount": 7, "IsMessageDisabled": True}
    assert call.code(f"{ROOMS}/update_room_info", {"RoomInfo": change}) == 0
    info = call(f"{ROOMS}/get_room_info", {"RoomId": "r1"})["Response"]["RoomInfo"]
    assert change.items() <= info.items()
    assert (info["MemberCount"], info["RoomStatus"], info["RoomType"]) == (0, "NotStarted", "Conference")
    assert info["ScheduleEndTime"] == 1700003600 + 3600


# ── usersig ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_genuine_usersig_is_taken_and_any_other_refused() -> None:
    call = Caller(secret_key=KEY)
    now = NOW_MS // 1000
    genuine = make_usersig(1400000001, "administrator", KEY, now_s=now)
    assert call.code(f"{CONFIG}/delete_callback", usersig=genuine) == 0
    for wrong in (
        "x",
        genuine[:-4],
        make_usersig(1400000001, "administrator", "other", now_s=now),
        make_usersig(1400000002, "administrator", KEY, now_s=now),
        make_usersig(1400000001, "ann", KEY, now_s=now),
        make_usersig(1400000001, "administrator", KEY, now_s=now - 100, expire_s=100),
    ):
        answer = call(f"{CONFIG}/delete_callback", usersig=wrong)
        assert answer["ErrorCode"] == Code.BAD_SIGNATURE
        assert "usersig: it " in answer["ErrorInfo"]
    ann = make_usersig(1400000001, "ann", KEY, now_s=now)
    assert call.code(f"{CONFIG}/delete_callback", usersig=ann, identifier="ann") == Code.NEEDS_ADMIN


def test_the_vendor_s_own_library_signs_what_we_verify() -> None:
    library = pytest.importorskip("TLSSigAPIv2", reason="pip install tls-sig-api-v2")
    api = library.TLSSigAPIv2(1400000001, KEY)
    for usersig in (api.gen_sig("ann"), api.gen_sig_with_userbuf("ann", 86400, b"abc")):
        known: dict[str, Any] = {"sdkappid": 1400000001, "identifier": "ann", "secret_key": KEY}
        assert why_not_genuine(usersig, **known, now_s=time.time()) is None
        assert why_not_genuine(usersig, **{**known, "secret_key": "no"}, now_s=time.time()) is not None
        assert why_not_genuine(usersig, **known, now_s=time.time() + 200 * 86400) == "it has expired"


def packed(text: str, after: bytes = b"") -> str:
    return base64.b64encode(zlib.compress(text.encode()) + after).decode().translate(str.maketrans("+/=", "*-_"))


def claims(**changes: Any) -> str:
    """Unsigned claims as JSON; a change of ... leaves the claim out."""
    fields = {"ver": "2.0", "identifier": "ann", "sdkappid": 1400000001, "expire": 100, "time": 0, "sig": "x"} | changes
    return json.dumps({f"TLS.{name}": value for name, value in fields.items() if value is not ...})


@pytest.mark.parametrize(
    "text",
    [
        claims(time="@").replace('"@"', "1e999"),
        claims(sig="\ud800"),
        claims(time=True),
        claims(expire="100"),
        claims(identifier=5),
        claims(ver=...),
        claims(sdkappid=[1]),
        "[]",
        "{",
    ],
)
def test_claims_of_other_types_are_refused_quietly(text: str) -> None:
    known: dict[str, Any] = {"sdkappid": 1400000001, "identifier": "ann", "secret_key": KEY}
    assert why_not_genuine(packed(text), **known, now_s=0.0) == "it can't be unpacked"


def test_a_usersig_is_written_as_the_scheme_writes_it() -> None:
    known: dict[str, Any] = {"sdkappid": 1400000001, "identifier": "ann", "secret_key": KEY}
    genuine = next(
        usersig
        for now in range(1000)
        if {"*", "-"} & set(usersig := make_usersig(1400000001, "ann", KEY, now_s=now, expire_s=5000))
        and "_" in usersig
    )
    assert why_not_genuine(genuine, **known, now_s=1000) is None
    plain = genuine.translate(str.maketrans("*-_", "+/="))
    raw = base64.b64decode(plain)
    for wrong in (plain, genuine + "_", genuine + " ", base64.b64encode(raw + b"x").decode().replace("=", "_")):
        assert why_not_genuine(wrong, **known, now_s=1000) is not None
    future = make_usersig(1400000001, "ann", KEY, now_s=5000)
    assert why_not_genuine(future, **known, now_s=1000) == "its time is 4000 s in the future"


def test_an_unknown_field_beside_bytes_that_are_no_utf_8_is_no_json() -> None:
    for lenient in (False, True):
        other = Caller(lenient=lenient)
        body = b'{"Strange":1,"RoomId":"\xff\xfe"}'
        assert other.code(f"{ROOMS}/get_room_info", body) == Code.BAD_JSON
        other.service.store.close()


@pytest.mark.parametrize("usersig", ["*", "AAAA", "eJw_", "e" * 20_000, "eJyrVgIAAKIAjQ__", "\ud800"])
def test_nonsense_for_a_usersig_is_refused_quietly(usersig: str) -> None:
    known: dict[str, Any] = {"sdkappid": 1400000001, "identifier": "ann", "secret_key": KEY}
    assert why_not_genuine(usersig, **known, now_s=0.0) is not None


# ── over HTTP ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def backend() -> Iterator[RoomBackend]:
    with RoomBackend(start_ms=NOW_MS, secret_key=KEY) as running:
        yield running


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_the_http_status_is_always_200(backend: RoomBackend, method: str) -> None:
    with requests.Session() as session:
        answer = session.request(method, f"{backend.url}/{CONFIG}/set_callback", params=QUERY)
    assert (answer.status_code, answer.json()["ErrorCode"]) == (200, Code.BAD_HTTP)
    assert answer.headers["Content-Type"] == "application/json"


def test_an_unknown_path_is_a_packet_too(backend: RoomBackend) -> None:
    with requests.Session() as session:
        answer = session.post(f"{backend.url}/v4/room_config/", params=QUERY)
    assert (answer.status_code, answer.json()["ErrorCode"]) == (200, Code.BAD_URL)


def test_members_are_listed_page_by_page_with_their_roles(backend: RoomBackend) -> None:
    room = backend.create_room("paged", Owner_Account="u0")
    room.enter(*(f"u{number}" for number in range(7)))
    asked = {"RoomId": "paged", "Count": 3}
    pages = [backend.rest("room_engine_http_srv/get_room_member_list", {**asked, "Next": ""})]
    while pages[-1]["Next"]:
        pages.append(backend.rest("room_engine_http_srv/get_room_member_list", {**asked, "Next": pages[-1]["Next"]}))
    assert [len(page["MemberList"]) for page in pages] == [3, 3, 1]
    assert [one["Member_Account"] for page in pages for one in page["MemberList"]] == [f"u{n}" for n in range(7)]
    assert [one["Role"] for one in pages[0]["MemberList"]] == ["Owner", "Member", "Member"]


def test_a_body_without_end_is_refused_before_it_fills_the_memory(backend: RoomBackend) -> None:
    with requests.Session() as session:
        answer = session.post(f"{backend.url}/{CONFIG}/set_callback", params=QUERY, data=b" " * (17 * 1024 * 1024))
    assert (answer.status_code, answer.json()["ErrorCode"]) == (413, Code.BAD_PARAMETER)


@pytest.mark.parametrize("room", ["\x00", "房间", "a/b?c#d", "'; DROP TABLE state;--", "\U0001f600" * 12])
def test_any_room_id_of_48_bytes_will_do(backend: RoomBackend, room: str) -> None:
    backend.create_room(room).enter("ann")
    assert backend.room(room).members == ["ann"]


def test_half_a_surrogate_pair_is_no_json(call: Caller) -> None:
    body = b'{"RoomInfo":{"RoomId":"\\ud800","RoomType":"Conference"}}'
    assert call.code(f"{ROOMS}/create_room", body) == Code.BAD_JSON
