"""The mock Room backend over HTTP: the documented REST under /v4, and /sim for what the SDK and the clock would do."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from roomhook.simulator.room_backend.api.client_actions import ACTIONS, PlannedAction, act, decoded
from roomhook.simulator.room_backend.api.control_schemas import (
    Advance,
    Batch,
    FaultsAsked,
    Nothing,
    PlannedAnswers,
    Wait,
)
from roomhook.simulator.room_backend.api.openapi import document
from roomhook.simulator.room_backend.api.rest import Rest, fail
from roomhook.simulator.room_backend.runtime.delivery_queue import Faults
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.state.engine import BackendState
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code

__all__ = ["application"]

_LARGEST_BODY: Final = 16 * 1024 * 1024
_STATUSES: Final = {Code.NO_ROOM: 404, Code.NOT_A_MEMBER: 404, Code.BAD_PARAMETER: 400, Code.BAD_JSON: 400}
_STATUSES_OF_CALLERS: Final = {Code.NO_SDKAPPID: 400, Code.BAD_SDKAPPID: 404}
_encode: Final = msgspec.json.Encoder().encode
_Packet = TypeVar("_Packet", bound=msgspec.Struct)


def application(service: Service, administrator: str, grace_s: float = 5.0) -> Starlette:
    """The ASGI application; it starts *service* and stops it with *grace_s* for what is on its way."""
    site = _Site(service, Rest(service, administrator, time.monotonic, time.time))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.start()
        yield
        app.state.left = await service.stop(grace_s)

    return Starlette(routes=site.routes(), lifespan=lifespan)


class _Site:
    def __init__(self, service: Service, rest: Rest) -> None:
        self._service = service
        self._rest = rest
        apps = list(service.apps)
        self._only_app = apps[0] if len(apps) == 1 else None

    def routes(self) -> list[Route]:
        every = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
        guarded: dict[tuple[str, str], Callable[[Request], Awaitable[Any]]] = {
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
        routes = [Route(path, _guarded(run), methods=[method]) for (method, path), run in guarded.items()]
        routes += [Route(f"/sim/{name}", _guarded(self._action(name)), methods=["POST"]) for name in ACTIONS]
        routes.append(Route("/openapi.json", self._openapi, methods=["GET"]))
        routes.append(Route("/v4/{path:path}", self._call, methods=every))
        return routes

    async def _call(self, request: Request) -> Response:
        try:
            body = await _body(request)
        except BackendError as error:
            return _json(fail(error.code, error.info))
        path, query = request.url.path[1:], request.query_params.multi_items()
        return _json(self._rest.answer(request.method, path, query, body))

    async def _openapi(self, _: Request) -> Response:
        return _json(document())

    def _action(self, name: str) -> Callable[[Request], Awaitable[Any]]:
        async def run(request: Request) -> Any:
            planned = decoded(name, await _body(request), self._only_app)
            result = self._service.act(partial(_do, planned))
            return await self._told({"result": result}, wait=planned.packet.wait)

        return run

    async def _batch(self, request: Request) -> Any:
        batch = await _packet(request, Batch)
        planned = [decoded(one.do, one.asked, self._only_app) for one in batch.steps()]
        results = [self._service.act(partial(_do, one)) for one in planned]
        return await self._told({"results": results}, wait=batch.wait)

    async def _wait(self, request: Request) -> Any:
        asked = await _packet(request, Wait)
        return {**self._moment(), "settled": await self._service.settle(asked.timeout_seconds)}

    async def _reset(self, request: Request) -> Any:
        await _packet(request, Nothing)
        self._service.act(lambda engine, _: engine.forget_rooms())
        return self._moment()

    async def _clock(self, _: Request) -> Any:
        return {**self._moment(), "virtual": self._service.clock.virtual}

    async def _advance(self, request: Request) -> Any:
        asked = await _packet(request, Advance)
        settled = await self._service.advance(
            round(asked.seconds * 1000), wait=asked.wait, timeout_s=asked.timeout_seconds
        )
        return {**self._moment(), "settled": settled}

    async def _rooms(self, request: Request) -> Any:
        sdkappid = self._app(_number(request, "sdkappid", self._only_app))
        now = self._service.clock.now_ms()
        halls = self._service.engine.halls[sdkappid].values()
        return {
            "rooms": [
                {
                    "room": hall.record.room_id,
                    "owner": hall.room.owner,
                    "status": hall.status(now),
                    "members": list(hall.room.members),
                    "silent": list(hall.room.lost),
                    "seats": {str(seat.index): seat.member_account for seat in hall.seats.values()},
                }
                for hall in halls
            ]
        }

    async def _callbacks(self, request: Request) -> Any:
        sdkappid = self._app(_number(request, "sdkappid", self._only_app))
        after, most = _number(request, "after", 0) or 0, _number(request, "limit", 100) or 100
        self._service.flush()
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
        asked = await _packet(request, FaultsAsked)
        low, high = asked.delay_ms
        if low > high:
            raise BackendError(Code.BAD_PARAMETER, "delay_ms: from is later than to")
        faults = Faults(
            drop=asked.drop,
            duplicate=asked.duplicate,
            reorder=asked.reorder,
            delay_ms=(low, high),
            callbacks=asked.callbacks,
        )
        self._service.use_faults(self._app(asked.sdkappid or self._only_app), faults)
        return self._moment()

    async def _answers(self, request: Request) -> Any:
        asked = await _packet(request, PlannedAnswers)
        self._rest.plan(self._app(asked.sdkappid or self._only_app), asked.api, [Code(code) for code in asked.codes])
        return self._moment()

    def _app(self, sdkappid: int | None) -> int:
        if sdkappid is None:
            raise BackendError(Code.NO_SDKAPPID, "there are several apps: say sdkappid")
        if sdkappid not in self._service.apps:
            raise BackendError(Code.BAD_SDKAPPID, f"{sdkappid} is none of ours")
        return sdkappid

    def _moment(self) -> dict[str, Any]:
        return {"now_ms": self._service.clock.now_ms(), "waiting": self._service.waiting}

    async def _told(self, what: dict[str, Any], *, wait: bool) -> dict[str, Any]:
        if wait:
            what["settled"] = await self._service.settle(30)
        return {**what, **self._moment()}


def _guarded(run: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    """What *run* returns as JSON, and a refusal with the HTTP status that fits it."""

    async def answer(request: Request) -> Response:
        try:
            return _json(await run(request))
        except BackendError as error:
            status = {**_STATUSES, **_STATUSES_OF_CALLERS}.get(error.code, 409)
            return _json(fail(error.code, error.info), status)

    return answer


def _do(planned: PlannedAction, engine: BackendState, now: int) -> dict[str, Any]:
    return act(engine, planned, now)


def _json(value: Any, status: int = 200) -> Response:
    return Response(_encode(value), status, media_type="application/json")


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LARGEST_BODY:
                raise BackendError(Code.BAD_PARAMETER, f"the body has more than {_LARGEST_BODY} bytes")
    except ClientDisconnect:
        raise BackendError(Code.BAD_HTTP, "the client hung up") from None
    return bytes(body)


async def _packet(request: Request, kind: type[_Packet]) -> _Packet:
    body = await _body(request)
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise BackendError(Code.BAD_PARAMETER, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BackendError(Code.BAD_JSON, str(error) or "nested too deeply") from None


def _number(request: Request, name: str, default: int | None) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BackendError(Code.BAD_PARAMETER, f"{name} is no whole number")
    return int(text)
