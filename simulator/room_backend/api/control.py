"""The calls under ``/sim``: actions of client apps, the clock, faults, planned error codes, and the current state."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roomhook.simulator.room_backend.api.client_actions import ACTIONS, PlannedAction, act, decoded
from roomhook.simulator.room_backend.api.control_schemas import (
    Advance,
    Batch,
    FaultsPacket,
    Nothing,
    PlannedCodes,
    Wait,
)
from roomhook.simulator.room_backend.api.http_messages import (
    announce,
    answering,
    fail,
    json_response,
    read_body,
    read_number,
    read_packet,
)
from roomhook.simulator.room_backend.api.rest import Rest
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.state.engine import BackendState
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.room_record import RoomEntry
from roomhook.suggestions import did_you_mean

__all__ = ["ControlApi"]


class ControlApi:
    """The endpoints under ``/sim`` for *service*; *rest* answers with the planned error codes."""

    def __init__(self, service: Service, rest: Rest) -> None:
        self._service = service
        self._rest = rest
        apps = list(service.apps)
        self._only_app = apps[0] if len(apps) == 1 else None

    def routes(self) -> list[Route]:
        """One route for each call."""
        calls: dict[tuple[str, str], Callable[[Request], Awaitable[Any]]] = {
            ("POST", "/sim/batch"): self._batch,
            ("POST", "/sim/wait"): self._wait,
            ("POST", "/sim/reset"): self._reset,
            ("GET", "/sim/clock"): self._clock,
            ("POST", "/sim/clock/advance"): self._advance,
            ("GET", "/sim/rooms"): self._rooms,
            ("GET", "/sim/callbacks"): self._callbacks,
            ("PUT", "/sim/faults"): self._faults,
            ("PUT", "/sim/answers"): self._answers,
        }
        for name in ACTIONS:
            calls["POST", f"/sim/{name}"] = self._action(name)
        routes = [Route(path, answering(self._listed(run)), methods=[method]) for (method, path), run in calls.items()]
        unknown = _Unknown({path: method for method, path in calls})
        return [*routes, Route("/sim/{path:path}", unknown.answer, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])]

    def _listed(self, run: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Any]]:
        """*run*; listeners hear of its calls unless they only read."""
        listeners = self._service.call_listeners

        async def call(request: Request) -> Any:
            began_ns = time.monotonic_ns()
            code, info = 0, ""
            try:
                return await run(request)
            except BackendError as error:
                code, info = int(error.code), error.info
                raise
            finally:
                if listeners and request.method != "GET":
                    announce(listeners, request, began_ns, code, info)

        return call

    def _action(self, name: str) -> Callable[[Request], Awaitable[Any]]:
        async def run(request: Request) -> Any:
            planned = decoded(name, await read_body(request), self._only_app)
            result = self._service.act(partial(_act, planned))
            return await self._with_time({"result": result}, wait=planned.packet.wait)

        return run

    async def _batch(self, request: Request) -> Any:
        batch = await read_packet(request, Batch)
        planned = [decoded(step.do, step.fields, self._only_app) for step in batch.steps()]
        results = [self._service.act(partial(_act, one)) for one in planned]
        return await self._with_time({"results": results}, wait=batch.wait)

    async def _wait(self, request: Request) -> Any:
        packet = await read_packet(request, Wait)
        settled = await self._service.settle(packet.timeout_seconds)
        return {**self._time(), "settled": settled}

    async def _reset(self, request: Request) -> Any:
        await read_packet(request, Nothing)
        self._service.act(lambda state, _: state.rooms.forget_rooms())
        return self._time()

    async def _clock(self, _: Request) -> Any:
        return {**self._time(), "virtual": self._service.clock.virtual}

    async def _advance(self, request: Request) -> Any:
        packet = await read_packet(request, Advance)
        settled = await self._service.advance(
            round(packet.seconds * 1000), wait=packet.wait, timeout_s=packet.timeout_seconds
        )
        return {**self._time(), "settled": settled}

    async def _rooms(self, request: Request) -> Any:
        sdkappid = self._app(read_number(request, "sdkappid", self._only_app))
        now = self._service.clock.now_ms()
        return {"rooms": [_described(entry, now) for entry in self._service.state.rooms.by_app[sdkappid].values()]}

    async def _callbacks(self, request: Request) -> Any:
        sdkappid = self._app(read_number(request, "sdkappid", self._only_app))
        after, most = read_number(request, "after", 0) or 0, read_number(request, "limit", 100) or 100
        self._service.deliveries.writer.flush()
        store = self._service.store
        return {
            "callbacks": [
                {
                    "id": row.id,
                    "command": row.command,
                    "url": row.url,
                    "packet": msgspec.Raw(row.body),
                    "state": row.state,
                    "outcomes": store.outcomes(row.id),
                }
                for row in store.callbacks(sdkappid, after, min(most, 1000))
            ]
        }

    async def _faults(self, request: Request) -> Any:
        packet = await read_packet(request, FaultsPacket)
        self._service.deliveries.use_faults(self._app(packet.sdkappid or self._only_app), packet.faults())
        return self._time()

    async def _answers(self, request: Request) -> Any:
        packet = await read_packet(request, PlannedCodes)
        codes = [Code(code) for code in packet.codes]
        self._rest.plan(self._app(packet.sdkappid or self._only_app), packet.api, codes)
        return self._time()

    def _app(self, sdkappid: int | None) -> int:
        if sdkappid is None:
            raise BackendError(Code.NO_SDKAPPID, "there are several apps: add sdkappid")
        if sdkappid not in self._service.apps:
            raise BackendError(Code.BAD_SDKAPPID, f"{sdkappid} is not served here")
        return sdkappid

    def _time(self) -> dict[str, Any]:
        return {"now_ms": self._service.clock.now_ms(), "waiting": self._service.waiting}

    async def _with_time(self, fields: dict[str, Any], *, wait: bool) -> dict[str, Any]:
        if wait:
            fields["settled"] = await self._service.settle(30)
        return {**fields, **self._time()}


class _Unknown:
    """Answers paths under ``/sim`` that do not exist, or not with this method; *methods* by path."""

    def __init__(self, methods: Mapping[str, str]) -> None:
        self._methods = methods

    async def answer(self, request: Request) -> Response:
        """The response: 405 with the method to use, or 404 with similar names."""
        path = request.url.path
        method = self._methods.get(path)
        if method is not None:
            response = json_response(fail(Code.BAD_HTTP, f"use {method}, not {request.method}"), 405)
            response.headers["Allow"] = method
            return response
        hint = did_you_mean(path[:100], self._methods) or "; GET /openapi.json lists all"
        return json_response(fail(Code.BAD_URL, f"{path[:100]}{hint}"), 404)


def _described(entry: RoomEntry, now: int) -> dict[str, Any]:
    return {
        "room": entry.settings.room_id,
        "owner": entry.room.owner,
        "status": entry.status(now),
        "members": list(entry.room.members),
        "silent": list(entry.room.lost),
        "seats": {str(seat.index): seat.member_account for seat in entry.seats.values()},
    }


def _act(planned: PlannedAction, state: BackendState, now: int) -> dict[str, Any]:
    return act(state, planned, now)
