"""A client of the mock Room backend, for tests: REST as an app's own code calls it, and what its people do."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from roomhook.simulator.protocol.room_packets import COMMANDS
from roomhook.simulator.protocol.usersig import make_usersig
from roomhook.simulator.util.defaults import SDKAPPID

__all__ = ["MockRoomBackend", "RestError", "RoomHandle", "SimError"]

_TIMEOUT_S = 60


class RestError(Exception):
    """The response packet says FAIL; ``code`` is its ErrorCode."""

    def __init__(self, code: int, info: str) -> None:
        super().__init__(f"{code}: {info}")
        self.code = code


class SimError(Exception):
    """What somebody was to do is not possible; ``code`` says why, ``status`` is the HTTP status."""

    def __init__(self, status: int, code: int, info: str) -> None:
        super().__init__(f"{code}: {info}")
        self.status = status
        self.code = code


@dataclass
class MockRoomBackend:
    """A mock Room backend at *url*, for one app. With *wait*, every call returns when its callbacks have arrived.

    *secret_key* makes genuine usersigs; without one any text will do.
    """

    url: str
    sdkappid: int = SDKAPPID
    administrator: str = "administrator"
    secret_key: str | None = field(default=None, repr=False)
    wait: bool = True
    _session: requests.Session = field(default_factory=requests.Session, init=False, repr=False)

    def __post_init__(self) -> None:
        """No proxy stands between a test and its mock."""
        self._session.trust_env = False

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    # REST

    def rest(self, api: str, packet: Any) -> dict[str, Any]:
        """Call an API such as ``room_engine_http_srv/kick_user_out``; returns Response, raises ``RestError``."""
        usersig = "any"
        if self.secret_key is not None:
            usersig = make_usersig(self.sdkappid, self.administrator, self.secret_key, now_s=int(time.time()))
        query = {
            "sdkappid": str(self.sdkappid),
            "identifier": self.administrator,
            "usersig": usersig,
            "random": "1",
            "contenttype": "json",
        }
        answer = self._session.post(f"{self.url}/v4/{api}", params=query, json=packet, timeout=_TIMEOUT_S).json()
        if answer["ErrorCode"]:
            raise RestError(answer["ErrorCode"], answer["ErrorInfo"])
        response: dict[str, Any] = answer.get("Response", {})
        return response

    def set_callback(self, url: str, commands: Iterable[str] = COMMANDS) -> None:
        """Send callbacks of these *commands* to *url*, whether or not there was one before."""
        packet = {"Url": url, "CallbackCommandList": list(commands)}
        try:
            self.rest("room_config/set_callback", packet)
        except RestError as error:
            if error.code != 100300:
                raise
            self.rest("room_config/update_callback", packet)

    def create_room(self, room_id: str, **info: Any) -> RoomHandle:
        """create_room, with fields of RoomInfo such as ``Owner_Account="ann"``."""
        self.rest(
            "room_engine_http_srv/create_room", {"RoomInfo": {"RoomId": room_id, "RoomType": "Conference", **info}}
        )
        if self.wait:
            self.settle()
        return RoomHandle(self, room_id)

    # /sim

    def room(self, room_id: str, owner: str = "owner", **asked: Any) -> RoomHandle:
        """The room, created by *owner* if there is none; *asked* are fields of /sim/create-room, e.g. ``seats=8``."""
        try:
            self.sim("create-room", room=room_id, owner=owner, **asked)
        except SimError as error:
            if error.code != 100003:
                raise
        return RoomHandle(self, room_id)

    def sim(self, action: str, **asked: Any) -> dict[str, Any]:
        """Do what stands under ``/sim/``; returns its answer, raises ``SimError``."""
        asked = {"sdkappid": self.sdkappid, "wait": self.wait, **asked}
        return self._post(f"sim/{action}", asked)

    def batch(self, actions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Do many actions in one call, each with its name in ``do``."""
        marked = [{"sdkappid": self.sdkappid, **action} for action in actions]
        results: list[dict[str, Any]] = self._post("sim/batch", {"actions": marked, "wait": self.wait})["results"]
        return results

    def advance(self, seconds: float) -> bool:
        """Let the virtual clock go on; what is due happens, and has arrived when this returns (False: not all)."""
        return bool(self._post("sim/clock/advance", {"seconds": seconds, "wait": True})["settled"])

    def settle(self, timeout_seconds: float = 30) -> bool:
        """Wait until nothing is on its way; False if that took too long."""
        return bool(self._post("sim/wait", {"timeout_seconds": timeout_seconds})["settled"])

    def faults(self, **faults: Any) -> None:
        """Harm the callbacks to come: drop, duplicate, reorder (0 to 1), delay_ms, callbacks; none ends all."""
        self._told(
            self._session.put(f"{self.url}/sim/faults", json={"sdkappid": self.sdkappid, **faults}, timeout=_TIMEOUT_S)
        )

    def next_answers(self, api: str, *codes: int) -> None:
        """Answer the next calls of a REST API, such as ``kick_user_out``, with these error codes."""
        asked = {"sdkappid": self.sdkappid, "api": api, "codes": codes}
        self._told(self._session.put(f"{self.url}/sim/answers", json=asked, timeout=_TIMEOUT_S))

    def callbacks(self, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """The callbacks so far, with packet, state (pending, delivered, failed, dropped) and outcomes of attempts."""
        query = {"sdkappid": self.sdkappid, "after": after, "limit": limit}
        answer = self._session.get(f"{self.url}/sim/callbacks", params=query, timeout=_TIMEOUT_S)
        found: list[dict[str, Any]] = self._told(answer)["callbacks"]
        return found

    def _post(self, path: str, asked: Any) -> dict[str, Any]:
        return self._told(self._session.post(f"{self.url}/{path}", json=asked, timeout=_TIMEOUT_S))

    def _told(self, answer: requests.Response) -> dict[str, Any]:
        found: dict[str, Any] = answer.json()
        if answer.status_code != 200:
            raise SimError(answer.status_code, found["ErrorCode"], found["ErrorInfo"])
        return found


@dataclass(frozen=True)
class RoomHandle:
    """One room; its methods are what people do there."""

    backend: MockRoomBackend
    room_id: str

    def enter(self, *accounts: str, **asked: Any) -> None:
        """They enter, one after another."""
        for account in accounts:
            self.backend.sim("enter", room=self.room_id, account=account, **asked)

    def leave(self, *accounts: str, reason: str = "") -> None:
        """They leave by themselves."""
        for account in accounts:
            self.backend.sim("leave", room=self.room_id, account=account, reason=reason)

    def kick(self, *accounts: str, reason: str = "kicked", operator: str = "") -> None:
        """The owner if he is there, else the administrator, kicks them out together; or *operator*, if he may."""
        self.backend.sim("kick", room=self.room_id, accounts=accounts, reason=reason, operator=operator)

    def heartbeat(self, account: str) -> None:
        """A heartbeat comes; from now on silence counts."""
        self.backend.sim("heartbeat", room=self.room_id, account=account)

    def lose_heartbeat(self, *accounts: str) -> None:
        """Their heartbeats stop."""
        for account in accounts:
            self.backend.sim("lose-heartbeat", room=self.room_id, account=account)

    def recover(self, *accounts: str) -> None:
        """Their heartbeats are back."""
        for account in accounts:
            self.backend.sim("recover", room=self.room_id, account=account)

    def take_seat(self, account: str, index: int | None = None) -> int:
        """The number of the seat that the member has taken."""
        return int(self.backend.sim("take-seat", room=self.room_id, account=account, index=index)["result"]["index"])

    def leave_seat(self, account: str) -> None:
        """The member leaves his seat."""
        self.backend.sim("leave-seat", room=self.room_id, account=account)

    def change_seat(self, index: int, **changes: bool) -> None:
        """Lock or mute a seat: ``locked``, ``video_off``, ``audio_off``."""
        self.backend.sim("change-seat", room=self.room_id, index=index, **changes)

    def destroy(self, operator: str = "") -> None:
        """*operator*, by default the owner, dissolves the room."""
        self.backend.sim("destroy-room", room=self.room_id, operator=operator)

    @property
    def members(self) -> list[str]:
        """Who is in the room, in the order of entering, as get_room_member_list tells."""
        found: list[str] = []
        place = ""
        while True:
            asked = {"RoomId": self.room_id, "Count": 1000, "Next": place}
            page = self.backend.rest("room_engine_http_srv/get_room_member_list", asked)
            found += [one["Member_Account"] for one in page["MemberList"]]
            place = page["Next"]
            if not place:
                return found
