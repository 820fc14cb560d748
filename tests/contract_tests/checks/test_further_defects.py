"""Defects beside the one that a broken backend of ours has: the requirement that they break names them as well."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote_plus

import pytest
from starlette.responses import Response
from variant_server import OK_BODY, SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished
from roomhook.contract_tests.transport.probe import Probe

pytestmark = pytest.mark.long

TOKEN: Final = "xxxxyyyy"
SLOW_CHECKS: Final = ("http.idle", "http.slow-body", "http.split-head", "http.burst", "url.https")


def found(variant: Variant, *, probe: Probe | None = None, **options: Any) -> dict[str, str]:
    """What a run finds, by requirement, with the message of its first finding."""
    with listening(variant) as url:
        settings = Settings(url, SDKAPPID, settle_s=0.2, **{"exclude": SLOW_CHECKS, **options})
        finished = list(SuiteRun(settings, probe=probe).events())[-1]
    assert isinstance(finished, RunFinished)
    return {case.requirement.id: case.findings[0].message for case in finished.cases if case.findings}


# The answer


class Contradicts(Variant):
    """An error handler adds its code to an answer that has one."""

    def acknowledge(self) -> Response:
        body = OK_BODY.replace(b'"ErrorCode":0', b'"ErrorCode":1,"ErrorCode":0')
        return Response(body, media_type="application/json")


class LabelsTheCharset(Variant):
    """Names a charset where a compression belongs."""

    def acknowledge(self) -> Response:
        return Response(OK_BODY, media_type="application/json", headers={"Content-Encoding": "UTF-8"})


def test_a_field_that_stands_twice_with_different_values_is_inconsistent() -> None:
    assert found(Contradicts()) == {"ack.consistent": "a field stands twice with different values"}


def test_a_charset_as_content_encoding_is_a_coding_that_nobody_asked_for() -> None:
    assert set(found(LabelsTheCharset())) == {"ack.coding"}


# Bytes behind the answer on a connection that stays open


class SaysMore(Variant):
    """Writes more than it has announced."""

    more = b"<!-- served in 2 ms -->"

    def frame(self, response: Response) -> bytes:
        return super().frame(response) + self.more


class AnswersTwice(SaysMore):
    """A framework's error page follows the answer of a handler that failed after it."""

    more = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("kind", [SaysMore, AnswersTwice])
def test_bytes_behind_an_answer_spoil_the_connection_that_is_kept(kind: type[Variant]) -> None:
    said = found(kind(), only=("ack", "app-id", "http"))
    assert said == {"http.reuse": "a connection that is kept open holds bytes behind the whole answer"}


# Answers out of a store that is looked into too early


class Remembers(Variant):
    """Answers a packet that it knows before it looks who sends it."""

    def __init__(self, token: str | None = None) -> None:
        super().__init__(token)
        self.known: set[object] = set()

    def key(self, callback: IncomingCallback) -> object:
        return callback.body

    async def handle(self, callback: IncomingCallback) -> Response:
        key = self.key(callback)
        if key and key in self.known:
            return self.acknowledge()
        response = await super().handle(callback)
        if b'"OK"' in bytes(response.body):
            self.known.add(key)
        return response


class RemembersAfterTheId(Remembers):
    """The same behind the check of the SDKAppID, and still before that of Sign."""

    async def handle(self, callback: IncomingCallback) -> Response:
        foreign = callback.values("SdkAppid") != [self.sdkappid]
        return await (Variant.handle(self, callback) if foreign else super().handle(callback))


def test_an_answer_out_of_a_store_must_not_skip_the_check_of_the_app_id() -> None:
    assert found(Remembers(), exclude=(*SLOW_CHECKS, "command.mismatch")) == {
        "app-id.wrong": "an acknowledged packet that comes again under SdkAppid 2000555556 was acknowledged"
    }


def test_an_answer_out_of_a_store_must_not_skip_the_check_of_sign() -> None:
    assert found(RemembersAfterTheId(TOKEN), token=TOKEN) == {
        "sign.wrong": "an acknowledged packet that comes again with a wrong Sign was acknowledged"
    }


# Effects


class OncePerRoom(Variant):
    """Takes every further leave of a room for a duplicate of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.left: set[object] = set()

    def key(self, event: MemberEvent) -> object:
        return event.room_id

    def leave(self, event: MemberEvent) -> None:
        if self.key(event) not in self.left:
            self.left.add(self.key(event))
            super().leave(event)


class OncePerSecond(OncePerRoom):
    """Knows duplicates by room and second."""

    def key(self, event: MemberEvent) -> object:
        return event.room_id, event.event_time // 2000


class Unescapes(Variant):
    """Decodes RoomId once too often, and only where people enter."""

    def enter(self, event: MemberEvent) -> None:
        event.room_id = html.unescape(event.room_id)
        super().enter(event)


class ForgetsPunctuation(Variant):
    """Keeps rooms under their letters and digits."""

    @staticmethod
    def key(room: str) -> str:
        return re.sub(r"[^\w.-]", "", room)

    async def apply(self, event: MemberEvent) -> None:
        event.room_id = self.key(event.room_id)
        await super().apply(event)


def listed(variant: Variant) -> Probe:
    return lambda room: set(variant.members(room))


@pytest.mark.parametrize("kind", [OncePerRoom, OncePerSecond])
def test_a_second_leave_of_a_room_is_no_duplicate_of_the_first(kind: type[Variant]) -> None:
    variant = kind()
    said = found(variant, probe=listed(variant), only=("effect",))
    assert list(said) == ["effect.leave"]
    assert "left as well, right behind" in said["effect.leave"]


def test_a_room_id_that_is_decoded_only_where_people_enter_is_another_room() -> None:
    variant = Unescapes()
    said = found(variant, probe=listed(variant), only=("effect",))
    assert list(said) == ["effect.punctuation"]


def test_a_probe_that_can_not_tell_rooms_apart_is_no_finding() -> None:
    variant = Variant()
    assert found(variant, probe=lambda room: listed(variant)(unquote_plus(room)), only=("effect",)) == {}


def test_rooms_that_are_one_without_their_punctuation_are_found_to_be_one() -> None:
    variant = ForgetsPunctuation()
    said = found(variant, probe=lambda room: listed(variant)(variant.key(room)), only=("effect",))
    assert list(said) == ["effect.punctuation"]


class NotesKicks(Variant):
    """Notes the Reason of each kick in a table that does not take all of them, and gives up quietly."""

    def __init__(self, taken: Callable[[str], bool]) -> None:
        super().__init__()
        self.taken = taken

    def leave(self, event: MemberEvent) -> None:
        if event.type != "Kicked" or self.taken(event.reason or ""):
            super().leave(event)


@pytest.mark.parametrize(
    "taken", [str.isascii, lambda reason: "'" not in reason, lambda reason: "%" not in reason], ids=["ASCII", "'", "%"]
)
def test_a_kick_is_applied_whatever_its_reason(taken: Callable[[str], bool]) -> None:
    variant = NotesKicks(taken)
    said = found(variant, probe=lambda room: set(variant.members(room)), only=("effect.combined",))
    assert set(said) == {"effect.combined"}
    assert said["effect.combined"].startswith("after a kick with the Reason ")


class OneRoomEach(Variant):
    """Keeps one room for each person, and compares it with the RoomId of a leave."""

    def __init__(self) -> None:
        super().__init__()
        self.where: dict[str, str] = {}

    def enter(self, event: MemberEvent) -> None:
        self.where |= dict.fromkeys(event.member_list_account, event.room_id)

    def leave(self, event: MemberEvent) -> None:
        for account in event.member_list_account:
            if self.where.get(account) == event.room_id:
                del self.where[account]

    def members(self, room: str) -> list[str]:
        return [account for account, at in self.where.items() if at == room]


class ForgetsWhere(OneRoomEach):
    """Does not compare."""

    def leave(self, event: MemberEvent) -> None:
        for account in event.member_list_account:
            self.where.pop(account, None)


@pytest.mark.parametrize(("kind", "blamed"), [(OneRoomEach, set()), (ForgetsWhere, {"effect.other-room"})])
def test_a_person_may_be_in_one_room_at_a_time_if_it_is_the_last_one_entered(
    kind: type[Variant], blamed: set[str]
) -> None:
    variant = kind()
    others = (*SLOW_CHECKS, "effect.rejoin")
    assert set(found(variant, probe=listed(variant), only=("effect",), exclude=others)) == blamed
