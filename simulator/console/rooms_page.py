"""The page of rooms: their members, live, with buttons for all actions of clients and the clock."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from roomhook.simulator.console.room_traffic import EVENING, PROFILES, RoomTraffic
from roomhook.simulator.console.running_clock import FASTEST, RunningClock
from roomhook.simulator.console.site import Fields, Site
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.curl import curl
from roomhook.simulator.room_backend.api.client_actions import ACTIONS, PlannedAction, act
from roomhook.simulator.room_backend.api.rest_schemas import check_bytes
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.state.engine import BackendState
from roomhook.simulator.room_backend.state.error_codes import BackendError
from roomhook.simulator.room_backend.state.room_record import RoomEntry, RoomKey

__all__ = ["RoomsPage"]

_MOST_ROOMS: Final = 50
_MOST_MEMBERS: Final = 200
_FASTEST: Final = 1000.0


class RoomsPage:
    """Shows the rooms of *service* under ``/console`` and changes them; *changed* tells that there is news."""

    def __init__(self, site: Site, service: Service, changed: Callable[[], object]) -> None:
        self._site = site
        self._service = service
        self._changed = changed
        self._traffic = RoomTraffic(service, service.options.seed)
        self._clock = RunningClock(service)

    def routes(self) -> list[Route]:
        """The page, its list, and what its buttons do."""
        return [
            Route("/", _to_console),
            Route("/console", self._page),
            Route("/console/rooms", self._list),
            Route("/console/do/{name}", self._site.writing(self._do), methods=["POST"]),
            Route("/console/advance", self._site.writing(self._advance), methods=["POST"]),
            Route("/console/clock", self._site.writing(self._run_clock), methods=["POST"]),
            Route("/console/traffic", self._site.writing(self._play), methods=["POST"]),
        ]

    def play_evening(self, rate: float, rooms: int, speed: float) -> None:
        """Simulate an evening at *speed* times real time, with *rate* actions/s in its busiest hour."""
        self._clock.start(speed)
        self._traffic.start(next(iter(self._service.apps)), EVENING, rate, rooms)

    def close(self) -> None:
        """Stop simulated people, and the clock."""
        self._traffic.stop()
        self._clock.stop()

    async def _page(self, request: Request) -> Response:
        return self._shown(request, "")

    def _shown(self, request: Request, note: str, *, curl_line: str = "", failed: bool = False) -> Response:
        result = {"note": note, "curl_line": curl_line, "failed": failed}
        return self._site.page(request, "rooms.html", result | self._content(request))

    async def _list(self, request: Request) -> Response:
        return self._site.page(request, "room_list.html", self._content(request))

    def _content(self, request: Request) -> dict[str, object]:
        service, wanted = self._service, request.query_params.get("room", "")[:200]
        now, due = service.clock.now_ms(), service.next_due()
        rooms = service.state.rooms
        found = [entry for app in rooms.by_app.values() for entry in app.values() if wanted in entry.settings.room_id]
        return {
            "apps": list(service.apps),
            "without_url": [app for app in service.apps if app not in rooms.configs],
            "wanted": wanted,
            "rooms": [self._described(entry, now) for entry in found[:_MOST_ROOMS]],
            "room_count": len(found),
            "most_rooms": _MOST_ROOMS,
            "people": sum(len(entry.room.members) for entry in found),
            "silent": sum(len(entry.room.lost) for entry in found),
            "virtual": service.clock.virtual,
            "time_of_day": time.strftime("%H:%M:%S", time.localtime(now / 1000)),
            "clock_speed": self._clock.speed,
            "next_due_s": None if due is None else max(0, due - now) / 1000,
            "waiting": service.waiting,
            "traffic": self._traffic,
            "profiles": list(PROFILES),
        }

    def _described(self, entry: RoomEntry, now: int) -> dict[str, Any]:
        room = entry.room
        members = [
            {
                "account": account,
                "role": "owner" if account == room.owner else "admin" if account in room.admins else "",
                "platform": member.platform,
                "client_ip": member.client_ip,
                "silent_s": (now - room.lost[account]) / 1000 if account in room.lost else None,
                "expires_s": max(0, member.due - now) / 1000,
                "seat": entry.seat_of(account) if entry.seats else None,
            }
            for account, member in list(room.members.items())[:_MOST_MEMBERS]
        ]
        return {
            "sdkappid": entry.sdkappid,
            "room_id": entry.settings.room_id,
            "owner": room.owner,
            "status": entry.status(now),
            "count": len(room.members),
            "capacity": room.capacity,
            "seats": entry.settings.max_seats if entry.settings.seats_enabled else 0,
            "members": members,
            "hidden": max(0, len(room.members) - _MOST_MEMBERS),
        }

    async def _do(self, request: Request, fields: Fields) -> Response:
        """Run an action of ``/sim``."""
        name = request.path_params["name"]
        if name not in ACTIONS:
            return self._answered(request, f"there is no action {name[:40]}", "", failed=True)
        given: dict[str, Any] = {key: values if key == "accounts" else values[-1] for key, values in fields.items()}
        known = ACTIONS[name].packet.__struct_fields__
        given = {key: value for key, value in given.items() if key in known and value not in ("", [])}
        given.setdefault("sdkappid", str(next(iter(self._service.apps))))
        line = ""
        try:
            packet: Any = msgspec.convert(given, ACTIONS[name].packet, strict=False)
            check_bytes(packet)
            typed = {key: value for key, value in msgspec.to_builtins(packet).items() if key in given}
            line = self._curl(request, f"/sim/{name}", typed)
            planned = PlannedAction(name=name, key=RoomKey(packet.sdkappid, packet.room), packet=packet)
            self._service.act(partial(_act, planned))
        except (msgspec.ValidationError, BackendError) as error:
            text = error.info if isinstance(error, BackendError) else str(error)
            return self._answered(request, text, line, failed=True)
        return self._answered(request, f"{name}: done", line, failed=False)

    async def _advance(self, request: Request, fields: Fields) -> Response:
        """Advance the virtual clock by ``seconds``, or to what is due ``next``."""
        text = "".join(fields.get("seconds", ["0"]))
        due = self._service.next_due()
        try:
            if text == "next":
                seconds = 0.0 if due is None else max(0, due - self._service.clock.now_ms()) / 1000
            else:
                seconds = min(max(float(text), 0.0), 31_536_000.0)
            line = self._curl(request, "/sim/clock/advance", {"seconds": seconds})
            await self._service.advance(round(seconds * 1000), wait=True, timeout_s=10)
        except (BackendError, ValueError, OverflowError) as error:
            text = error.info if isinstance(error, BackendError) else "the seconds are not a number"
            return self._answered(request, text, "", failed=True)
        return self._answered(request, f"the clock advanced by {seconds:g} s", line, failed=False)

    async def _run_clock(self, request: Request, fields: Fields) -> Response:
        """Let the virtual clock run by itself, or stand still at speed 0."""
        speed = _number("".join(fields.get("speed", [])))
        if not 0 <= speed <= FASTEST:
            return self._answered(request, f"choose a speed up to {FASTEST:g}", "", failed=True)
        try:
            self._clock.start(speed)
        except BackendError as error:
            return self._answered(request, error.info, "", failed=True)
        said = f"the clock runs at {speed:g} times real time" if speed else "the clock stands still"
        return self._answered(request, said, "", failed=False)

    async def _play(self, request: Request, fields: Fields) -> Response:
        """Start or stop simulated people."""
        if "stop" in fields:
            self._traffic.stop()
            return self._answered(request, "traffic stopped", "", failed=False)
        profile = "".join(fields.get("profile", []))
        try:
            rate = float("".join(fields.get("rate", ["5"])))
            rooms = int("".join(fields.get("rooms", ["5"])))
            sdkappid = int("".join(fields.get("sdkappid", [])) or next(iter(self._service.apps)))
        except (ValueError, OverflowError):
            rate = rooms = sdkappid = 0
        if (
            profile not in PROFILES
            or not 0 < rate <= _FASTEST
            or not 1 <= rooms <= 1000
            or sdkappid not in self._service.apps
        ):
            text = f"choose a profile, a rate up to {_FASTEST:g}/s and 1 to 1000 rooms"
            return self._answered(request, text, "", failed=True)
        self._traffic.start(sdkappid, profile, rate, rooms)
        return self._answered(request, f"{profile}: {rate:g} actions/s in {rooms} rooms", "", failed=False)

    def _answered(self, request: Request, note: str, line: str, *, failed: bool) -> Response:
        self._changed()
        if request.headers.get("hx-request") == "true":
            return self._site.page(request, "result.html", {"note": note, "curl_line": line, "failed": failed})
        return self._shown(request, note, curl_line=line, failed=failed)

    def _curl(self, request: Request, path: str, packet: dict[str, Any]) -> str:
        body = json.dumps(packet, ensure_ascii=False).encode()
        return curl(CallbackRequest(str(request.url.replace(path=path, query="")), body))


async def _to_console(request: Request) -> Response:
    query = urlencode(request.query_params.multi_items())
    return RedirectResponse(f"/console{'?' if query else ''}{query}", 307)


def _number(text: str) -> float:
    """The number in *text*, or NaN."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _act(planned: PlannedAction, state: BackendState, now: int) -> dict[str, Any]:
    return act(state, planned, now)
