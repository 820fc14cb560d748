"""Client of the mock Room backend, for tests: its REST API, and the actions of members."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from roomhook.simulator.protocol.room_packets import COMMANDS
from roomhook.simulator.room_backend.api.usersig import make_usersig
from roomhook.simulator.util.defaults import SDKAPPID

__all__ = ["MockRoomBackend", "RestError", "RoomHandle", "SimError"]

_TIMEOUT_S = 60


class RestError(Exception):
    """A REST call that failed; ``code`` is its ErrorCode."""

    def __init__(self, code: int, info: str) -> None:
        super().__init__(f"{code}: {info}")
        self.code = code


class SimError(Exception):
    """An impossible action of a member; ``code`` says why, ``status`` is the HTTP status."""

    def __init__(self, status: int, code: int, info: str) -> None:
        super().__init__(f"{code}: {info}")
        self.status = status
        self.code = code


@dataclass
class MockRoomBackend:
    """Client for one app of the mock Room backend at *url*. With *wait*, each call returns after its callbacks arrived.

    *secret_key* signs a genuine usersig for each call; without it the client sends the text "any".
    """

    url: str
    sdkappid: int = SDKAPPID
    administrator: str = "administrator"
    secret_key: str | None = field(default=None, repr=False)
    wait: bool = True
    _session: requests.Session = field(default_factory=requests.Session, init=False, repr=False)

    def __post_init__(self) -> None:
        """Ignore proxies from the environment."""
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
        """Send callbacks of these *commands* to *url*; replaces an earlier setting."""
        packet = {"Url": url, "CallbackCommandList": list(commands)}
        try:
            self.rest("room_config/set_callback", packet)
        except RestError as error:
            if error.code != 100300:
                raise
            self.rest("room_config/update_callback", packet)

    def create_room(self, room_id: str, **info: Any) -> RoomHandle:
        """Create a room by REST, with fields of RoomInfo such as ``Owner_Account="ann"``."""
        self.rest(
            "room_engine_http_srv/create_room", {"RoomInfo": {"RoomId": room_id, "RoomType": "Conference", **info}}
        )
        if self.wait:
            self.settle()
        return RoomHandle(self, room_id)

    # /sim

    def room(self, room_id: str, owner: str = "owner", **asked: Any) -> RoomHandle:
        """The room, created by *owner* if it is missing; *asked* are fields of /sim/create-room, e.g. ``seats=8``."""
        try:
            self.sim("create-room", room=room_id, owner=owner, **asked)
        except SimError as error:
            if error.code != 100003:
                raise
        return RoomHandle(self, room_id)

    def sim(self, action: str, **asked: Any) -> dict[str, Any]:
        """Perform an action under ``/sim/``; returns the response, raises ``SimError``."""
        asked = {"sdkappid": self.sdkappid, "wait": self.wait, **asked}
        return self._post(f"sim/{action}", asked)

    def batch(self, actions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Perform many actions in one call, each named by ``do``; returns their results in order."""
        marked = [{"sdkappid": self.sdkappid, **action} for action in actions]
        results: list[dict[str, Any]] = self._post("sim/batch", {"actions": marked, "wait": self.wait})["results"]
        return results

    def advance(self, seconds: float) -> bool:
        """Advance the virtual clock; returns after the due callbacks arrived, False if some did not."""
        return bool(self._post("sim/clock/advance", {"seconds": seconds, "wait": True})["settled"])

    def settle(self, timeout_seconds: float = 30) -> bool:
        """Wait until no callback is in flight; False on timeout."""
        return bool(self._post("sim/wait", {"timeout_seconds": timeout_seconds})["settled"])

    def faults(self, **faults: Any) -> None:
        """Inject faults: drop, duplicate, reorder (0 to 1), delay_ms, callbacks; without arguments, clear them."""
        self._told(
            self._session.put(f"{self.url}/sim/faults", json={"sdkappid": self.sdkappid, **faults}, timeout=_TIMEOUT_S)
        )

    def next_answers(self, api: str, *codes: int) -> None:
        """Fail the next calls of a REST API, such as ``kick_user_out``, with these error codes."""
        asked = {"sdkappid": self.sdkappid, "api": api, "codes": codes}
        self._told(self._session.put(f"{self.url}/sim/answers", json=asked, timeout=_TIMEOUT_S))

    def callbacks(self, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Callbacks so far, with packet, state (pending, delivered, failed, dropped) and outcome of each attempt."""
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
    """One room; each method is an action of its members."""

    backend: MockRoomBackend
    room_id: str

    def enter(self, *accounts: str, **asked: Any) -> None:
        """Let *accounts* enter, one after another."""
        for account in accounts:
            self.backend.sim("enter", room=self.room_id, account=account, **asked)

    def leave(self, *accounts: str, reason: str = "") -> None:
        """Let *accounts* leave, one after another."""
        for account in accounts:
            self.backend.sim("leave", room=self.room_id, account=account, reason=reason)

    def kick(self, *accounts: str, reason: str = "kicked", operator: str = "") -> None:
        """Kick *accounts* out together, as *operator* (default: the owner if present, else the administrator)."""
        self.backend.sim("kick", room=self.room_id, accounts=accounts, reason=reason, operator=operator)

    def heartbeat(self, account: str) -> None:
        """Send a heartbeat; without another one the member expires."""
        self.backend.sim("heartbeat", room=self.room_id, account=account)

    def lose_heartbeat(self, *accounts: str) -> None:
        """Stop the heartbeats of *accounts*, which expire later."""
        for account in accounts:
            self.backend.sim("lose-heartbeat", room=self.room_id, account=account)

    def recover(self, *accounts: str) -> None:
        """Resume the heartbeats of *accounts* before they expire."""
        for account in accounts:
            self.backend.sim("recover", room=self.room_id, account=account)

    def take_seat(self, account: str, index: int | None = None) -> int:
        """Seat the member, at *index* if given; returns the number of the seat."""
        return int(self.backend.sim("take-seat", room=self.room_id, account=account, index=index)["result"]["index"])

    def leave_seat(self, account: str) -> None:
        """Let the member leave their seat."""
        self.backend.sim("leave-seat", room=self.room_id, account=account)

    def change_seat(self, index: int, **changes: bool) -> None:
        """Lock or mute a seat: ``locked``, ``video_off``, ``audio_off``."""
        self.backend.sim("change-seat", room=self.room_id, index=index, **changes)

    def destroy(self, operator: str = "") -> None:
        """Dissolve the room, as *operator* (default: the owner)."""
        self.backend.sim("destroy-room", room=self.room_id, operator=operator)

    @property
    def members(self) -> list[str]:
        """Members of the room in the order of entering, from get_room_member_list."""
        found: list[str] = []
        place = ""
        while True:
            asked = {"RoomId": self.room_id, "Count": 1000, "Next": place}
            page = self.backend.rest("room_engine_http_srv/get_room_member_list", asked)
            found += [one["Member_Account"] for one in page["MemberList"]]
            place = page["Next"]
            if not place:
                return found
