"""The page of settings: callback URL and commands, token, retries, faults, and a test callback with its verdict."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roomhook.simulator.console.callbacks_page import Explained
from roomhook.simulator.console.feed import settled_row
from roomhook.simulator.console.option_errata import errata_beside, fixed_options
from roomhook.simulator.console.service_feed import ServiceFeed
from roomhook.simulator.console.site import Fields, Site
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_request import CallbackRequest, masked_url
from roomhook.simulator.protocol.curl import curl
from roomhook.simulator.protocol.packets import encode
from roomhook.simulator.protocol.room_packets import COMMANDS
from roomhook.simulator.room_backend.api.control_schemas import FaultsPacket
from roomhook.simulator.room_backend.runtime.faults import Faults
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.state.changes import PendingCallback
from roomhook.simulator.room_backend.state.error_codes import BackendError
from roomhook.simulator.rooms.sample_callback import Given, Kind, fake
from roomhook.simulator.transport.retry_policy import PROFILES

__all__ = ["SettingsPage"]

_PATIENCE_S: Final = 5.0


class SettingsPage:
    """Shows and changes the settings of *service* under ``/console/settings``."""

    def __init__(self, site: Site, service: Service, source: ServiceFeed, explain: Callable[[str], Explained]) -> None:
        self._site = site
        self._service = service
        self._source = source
        self._explain = explain

    def routes(self) -> list[Route]:
        """The page and what its buttons do."""
        writing = {"callback": self._callback, "token": self._token, "retry": self._retry, "faults": self._faults}
        routes = [
            Route(f"/console/settings/{name}", self._site.writing(run), methods=["POST"])
            for name, run in writing.items()
        ]
        test = Route("/console/settings/test", self._site.writing(self._test), methods=["POST"])
        return [Route("/console/settings", self._page), *routes, test]

    async def _page(self, request: Request) -> Response:
        return self._shown(request, {})

    def _shown(self, request: Request, result: dict[str, object]) -> Response:
        blank = {"note": "", "curl_line": "", "failed": False, "verdict": None}
        return self._site.page(request, "settings.html", blank | self._content() | result)

    def _content(self) -> dict[str, object]:
        service = self._service
        apps = []
        for sdkappid, app in service.apps.items():
            config = service.state.rooms.configs.get(sdkappid)
            faults = service.deliveries.faults(sdkappid)
            apps.append(
                {
                    "sdkappid": sdkappid,
                    "url": "" if config is None else masked_url(config.url),
                    "commands": COMMANDS if config is None else config.commands,
                    "signed": app.token is not None,
                    "faults": faults,
                    "faulty": faults != Faults(),
                }
            )
        chosen = next((name for name, policy in PROFILES.items() if policy == service.deliveries.retry), "")
        return {
            "apps": apps,
            "all_commands": COMMANDS,
            "profiles": [str(name) for name in PROFILES],
            "retry": str(chosen),
            "errata": errata_beside(),
            "fixed": fixed_options(service.options),
            "kinds": [kind.value for kind in Kind],
            "deadline_ms": service.options.deadline_ms,
        }

    async def _callback(self, request: Request, fields: Fields) -> Response:
        """Set the callback URL and commands, as set_callback and update_callback do."""
        sdkappid = self._app(fields)
        url, commands = _one(fields, "url").strip(), fields.get("commands", [])
        config = self._service.state.rooms.configs.get(sdkappid)
        exists = config is not None
        shown = url
        if config is not None and url == masked_url(config.url):
            url = config.url  # the page does not show the secrets in it
        api = "delete_callback" if not url else "update_callback" if exists else "set_callback"
        packet: dict[str, Any] = {"Url": masked_url(shown), "CallbackCommandList": commands} if url else {}
        try:
            if url:
                self._service.act(lambda state, _: state.rooms.replace_callback(sdkappid, url, commands))
            else:
                self._service.act(lambda state, _: state.rooms.delete_callback(sdkappid))
        except BackendError as error:
            return self._answered(request, error.info, failed=True)
        administrator = self._service.options.behaviour.administrator
        query = f"sdkappid={sdkappid}&identifier={administrator}&usersig=USERSIG&random=1&contenttype=json"
        target = str(request.url.replace(path=f"/v4/room_config/{api}", query=query))
        line = curl(CallbackRequest(target, json.dumps(packet).encode()))
        return self._answered(request, f"{api}: done", line)

    async def _token(self, request: Request, fields: Fields) -> Response:
        """Sign the callbacks with a token, or stop signing."""
        token = None if "remove" in fields else _one(fields, "token")
        if token == "":
            return self._answered(request, "enter a token, or remove it", failed=True)
        self._service.set_token(self._app(fields), token)
        return self._answered(request, "callbacks are not signed" if token is None else "callbacks are signed")

    async def _retry(self, request: Request, fields: Fields) -> Response:
        """Choose a retry profile."""
        policy = next((policy for name, policy in PROFILES.items() if name == _one(fields, "retry")), None)
        if policy is None:
            return self._answered(request, "choose a retry profile", failed=True)
        self._service.deliveries.use_retry(policy)
        return self._answered(request, f"retry profile {_one(fields, 'retry')}")

    async def _faults(self, request: Request, fields: Fields) -> Response:
        """Inject faults, as ``PUT /sim/faults`` does."""
        sdkappid = self._app(fields)
        given: dict[str, Any] = {
            name: _one(fields, name) for name in ("drop", "duplicate", "reorder", "callbacks") if _one(fields, name)
        }
        given["delay_ms"] = [_one(fields, "delay_from") or "0", _one(fields, "delay_to") or "0"]
        try:
            packet = msgspec.convert(given, FaultsPacket, strict=False)
            faults = packet.faults()
        except (msgspec.ValidationError, BackendError) as error:
            return self._answered(request, str(error), failed=True)
        self._service.deliveries.use_faults(sdkappid, faults)
        body = json.dumps(msgspec.to_builtins(packet)).encode()
        line = curl(CallbackRequest(str(request.url.replace(path="/sim/faults", query="")), body, method="PUT"))
        return self._answered(request, "no faults" if faults == Faults() else "faults are injected", line)

    async def _test(self, request: Request, fields: Fields) -> Response:
        """Send one callback to the configured URL and show what came back."""
        sdkappid = self._app(fields)
        try:
            kind = Kind(_one(fields, "kind") or "leave")
            config = self._service.state.rooms.get_callback(sdkappid)
            now_ms = time.time_ns() // 1_000_000
            made = fake(kind, Given(), seed=random.SystemRandom().randrange(1_000_000), now_ms=now_ms)
            event = CallbackEvent(now_ms, kind.command, made.client_ip, made.platform, encode(made.packet))
            number = self._service.send_now(PendingCallback(sdkappid, config.url, f"test {now_ms}", event))
        except (BackendError, ValueError) as error:
            return self._answered(request, error.info if isinstance(error, BackendError) else str(error), failed=True)
        row = await settled_row(self._source.feed, number, _PATIENCE_S)
        last = None if row is None else row.last
        verdict: dict[str, object] = {
            "number": number,
            "attempt": last,
            "findings": [] if last is None else [(one, self._explain(one)) for one in last.breaches],
        }
        return self._answered(request, "", verdict=verdict)

    def _answered(
        self,
        request: Request,
        note: str,
        line: str = "",
        *,
        failed: bool = False,
        verdict: dict[str, object] | None = None,
    ) -> Response:
        result: dict[str, object] = {"note": note, "curl_line": line, "failed": failed, "verdict": verdict}
        if request.headers.get("hx-request") == "true":
            response = self._site.page(request, "settings_result.html", result)
            if not failed and verdict is None:
                response.headers["HX-Trigger"] = "settings-changed"
            return response
        return self._shown(request, result)

    def _app(self, fields: Fields) -> int:
        text = _one(fields, "sdkappid")
        return next((app for app in self._service.apps if str(app) == text), next(iter(self._service.apps)))


def _one(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[-1]
