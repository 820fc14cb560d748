"""Shared by all pages of the console: templates, static files, the token in forms, and security headers."""

from __future__ import annotations

import hmac
import importlib.resources
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from roomhook.pages.rendering import environment
from roomhook.simulator.http_server.http_guard import COOKIE, cookie_value

__all__ = ["Fields", "Site"]

_PACKAGE: Final = "roomhook.simulator.console"
_LARGEST_FORM: Final = 1024 * 1024
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_STATIC: Final = {
    "style.css": ("roomhook.pages", "style.css", "text/css"),
    "console.css": (_PACKAGE, "static/console.css", "text/css"),
    "console.js": (_PACKAGE, "static/console.js", "text/javascript"),
    "htmx.min.js": (_PACKAGE, "static/htmx.min.js", "text/javascript"),
}

Fields = dict[str, list[str]]
"""A form: the values of each field, in order."""


class Site:
    """The pages named in *navigation* (path and title); *auth* is the token that the login page asks for."""

    def __init__(self, navigation: Mapping[str, str], auth: str | None = None) -> None:
        self._navigation = navigation
        self._auth = auth
        self._form_token = secrets.token_urlsafe(16)

    def routes(self) -> list[Route]:
        """Static files and the login."""
        return [
            Route("/console/static/{name}", self._static),
            Route("/console/login", self._login, methods=["GET", "POST"]),
        ]

    def page(self, request: Request, template: str, content: Mapping[str, object], status: int = 200) -> Response:
        """The page from *template* with *content*."""
        shared: dict[str, object] = {
            "navigation": self._navigation,
            "here": request.url.path,
            "form_token": self._form_token,
            "fragment": request.headers.get("hx-request") == "true",
        }
        text = environment(_PACKAGE).get_template(f"templates/{template}").render(shared | dict(content))
        return Response(text, status, headers=_HEADERS, media_type="text/html")

    def writing(
        self, run: Callable[[Request, Fields], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that accepts a form, and refuses one without its form token."""

        async def endpoint(request: Request) -> Response:
            fields = await _form(request)
            given = request.headers.get("x-form-token") or "".join(fields.pop("form_token", []))
            if not hmac.compare_digest(given.encode(), self._form_token.encode()):
                return PlainTextResponse("The form is out of date: load the page again.", 403, headers=_HEADERS)
            return await run(request, fields)

        return endpoint

    async def _static(self, request: Request) -> Response:
        found = _STATIC.get(request.path_params["name"])
        if found is None:
            return PlainTextResponse("There is no such file.", 404)
        package, name, kind = found
        return Response(_text(package, name), headers={"X-Content-Type-Options": "nosniff"}, media_type=kind)

    async def _login(self, request: Request) -> Response:
        if request.method == "GET":
            return self.page(request, "login.html", {"failed": False})
        token = "".join((await _form(request)).get("token", []))
        if self._auth is None or not hmac.compare_digest(token.encode(), self._auth.encode()):
            return self.page(request, "login.html", {"failed": True}, 401)
        response = RedirectResponse("/console", 303)
        response.set_cookie(COOKIE, cookie_value(token), httponly=True, samesite="strict")
        return response


@cache
def _text(package: str, name: str) -> str:
    return importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")


async def _form(request: Request) -> Fields:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            return {}
    fields: Fields = {}
    text = body.decode(errors="replace")
    pairs: list[tuple[str, Any]] = parse_qsl(text, keep_blank_values=True)
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields
