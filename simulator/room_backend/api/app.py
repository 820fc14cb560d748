"""The mock Room backend over HTTP: the documented REST under /v4, /sim for client apps and the clock, OpenAPI."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roomhook.simulator.room_backend.api.control import ControlApi
from roomhook.simulator.room_backend.api.http_messages import fail, json_response, read_body
from roomhook.simulator.room_backend.api.openapi import document
from roomhook.simulator.room_backend.api.rest import Rest
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.state.error_codes import BackendError

__all__ = ["application"]

_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


def application(service: Service, administrator: str, grace_s: float = 5.0) -> Starlette:
    """The ASGI application; starts *service*, and stops it with *grace_s* for callbacks on their way."""
    rest = Rest(service, administrator, time.monotonic, time.time)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.start()
        yield
        app.state.left = await service.stop(grace_s)

    async def call(request: Request) -> Response:
        try:
            body = await read_body(request)
        except BackendError as error:
            return json_response(fail(error.code, error.info))
        path, query = request.url.path[1:], request.query_params.multi_items()
        return json_response(rest.answer(request.method, path, query, body))

    routes = [
        *ControlApi(service, rest).routes(),
        Route("/openapi.json", _openapi, methods=["GET"]),
        Route("/v4/{path:path}", call, methods=_METHODS),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _openapi(_: Request) -> Response:
    return json_response(document())
