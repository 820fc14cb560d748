"""The mock Room backend over HTTP: the documented REST under /v4, /sim for client apps and the clock, OpenAPI."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roomhook.simulator.http_server.http_guard import GuardRules, HttpGuard
from roomhook.simulator.room_backend.api.control import ControlApi
from roomhook.simulator.room_backend.api.http_messages import (
    BodyTooLargeError,
    announce,
    fail,
    json_response,
    read_body,
    too_large,
)
from roomhook.simulator.room_backend.api.openapi import document
from roomhook.simulator.room_backend.api.rest import Rest
from roomhook.simulator.room_backend.runtime.activity import CallListener
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.state.error_codes import BackendError

__all__ = ["application"]

_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


def application(service: Service, rules: GuardRules, grace_s: float = 5.0, pages: Sequence[Route] = ()) -> Starlette:
    """The ASGI application; starts *service*, and stops it with *grace_s* (s) for callbacks that are not finished.

    *rules* say which requests of web pages are refused; *pages* are further routes, e.g. those of the console.
    """
    rest = Rest(service, service.options.behaviour.administrator, time.monotonic, time.time)
    control = ControlApi(service, rest)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.start()
        yield
        app.state.left = await service.stop(grace_s)

    return Starlette(
        routes=[
            *control.routes(),
            Route("/openapi.json", _openapi, methods=["GET"]),
            *pages,
            Route("/v4/{path:path}", _rest_endpoint(rest, service.call_listeners), methods=_METHODS),
        ],
        middleware=[Middleware(HttpGuard, rules=rules)],
        exception_handlers={BodyTooLargeError: too_large},
        lifespan=lifespan,
    )


def _rest_endpoint(rest: Rest, listeners: Sequence[CallListener]) -> Callable[[Request], Awaitable[Response]]:
    async def call(request: Request) -> Response:
        began_ns = time.monotonic_ns()
        try:
            body = await read_body(request)
        except BackendError as error:
            return json_response(fail(error.code, error.info))
        path, query = request.url.path[1:], request.query_params.multi_items()
        answer = rest.answer(request.method, path, query, body)
        if listeners:
            announce(listeners, request, began_ns, answer["ErrorCode"], answer["ErrorInfo"])
        return json_response(answer)

    return call


async def _openapi(_: Request) -> Response:
    return json_response(document())
