"""Broken App backends that misread the callback URL, its SDKAppID above all."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from roomhook.contract_tests.app_backends.broken.registry import breaks
from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, ReferenceBackend, RefusedCallback
from roomhook.contract_tests.app_backends.reference.connection_info import wire

__all__: list[str] = []

_PLATFORMS: Final = ("RESTAPI", "Web", "Android", "iOS", "Windows", "iPad", "Unknown", "Mac", "macOS")
_DOCUMENTED: Final = {"SdkAppid", "CallbackCommand", "contenttype", "ClientIP", "OptPlatform", "Sign", "RequestTime"}


def _without_platform(platform: str) -> None:
    class Backend(ReferenceBackend):
        def check_url(self, callback: IncomingCallback) -> None:
            super().check_url(callback)
            if callback.values("OptPlatform") == [platform]:
                raise RefusedCallback(6, f"OptPlatform {platform} is not supported")

    Backend.__doc__ = f"Does not know OptPlatform {platform}."
    breaks(f"url.platform.{platform.lower()}")(Backend)


for each in _PLATFORMS:
    _without_platform(each)


@breaks("url.platform.new")
class _ClosedPlatforms(ReferenceBackend):
    """Refuses an OptPlatform that the page does not list."""

    def check_url(self, callback: IncomingCallback) -> None:
        super().check_url(callback)
        if not set(callback.values("OptPlatform")) <= set(_PLATFORMS):
            raise RefusedCallback(6, "OptPlatform is unknown")


@breaks("url.platform.absent")
class _WantsPlatform(ReferenceBackend):
    """Crashes on a URL without OptPlatform."""

    def check_url(self, callback: IncomingCallback) -> None:
        super().check_url(callback)
        self.platform = callback.values("OptPlatform")[0]


@breaks("url.contenttype.json")
class _UpperOnly(ReferenceBackend):
    """Follows the page's table and not its sample: contenttype is JSON in capitals."""

    def check_url(self, callback: IncomingCallback) -> None:
        super().check_url(callback)
        if callback.values("contenttype") not in ([], ["JSON"]):
            raise RefusedCallback(6, "contenttype is not JSON")


@breaks("url.contenttype.upper")
class _LowerOnly(ReferenceBackend):
    """Follows the page's sample and not its table: contenttype is json in small letters."""

    def check_url(self, callback: IncomingCallback) -> None:
        super().check_url(callback)
        if callback.values("contenttype") not in ([], ["json"]):
            raise RefusedCallback(6, "contenttype is not json")


@breaks("url.contenttype.absent")
class _WantsContentType(ReferenceBackend):
    """Refuses a URL without contenttype."""

    def check_url(self, callback: IncomingCallback) -> None:
        super().check_url(callback)
        if not callback.values("contenttype"):
            raise RefusedCallback(6, "contenttype is missing")


@breaks("url.client-ip.v4")
class _V6Only(ReferenceBackend):
    """Reads ClientIP as an IPv6 address, unless it is unspecified."""

    def check_url(self, callback: IncomingCallback) -> None:
        super().check_url(callback)
        for address in callback.values("ClientIP"):
            if address != "0.0.0.0":  # noqa: S104 (read, not bound)
                self.client = ipaddress.IPv6Address(address)


@breaks("url.client-ip.zero")
class _NoUnspecified(ReferenceBackend):
    """Refuses the ClientIP 0.0.0.0, which events made by REST carry."""

    def check_url(self, callback: IncomingCallback) -> None:
        super().check_url(callback)
        if callback.values("ClientIP") == ["0.0.0.0"]:  # noqa: S104 (read, not bound)
            raise RefusedCallback(6, "ClientIP is no client's")


@breaks("url.client-ip.v6")
class _V4Only(ReferenceBackend):
    """Reads ClientIP as an IPv4 address."""

    def check_url(self, callback: IncomingCallback) -> None:
        super().check_url(callback)
        for address in callback.values("ClientIP"):
            self.client = ipaddress.IPv4Address(address)


@breaks("url.order")
class _FirstParameter(ReferenceBackend):
    """Looks for SdkAppid before CallbackCommand only."""

    def check_url(self, callback: IncomingCallback) -> None:
        super().check_url(callback)
        names = [name for name, _ in callback.parameters]
        if "CallbackCommand" in names[: names.index("SdkAppid")]:
            raise RefusedCallback(6, "SdkAppid must come first")


@breaks("url.extra")
class _ClosedParameters(ReferenceBackend):
    """Refuses URL parameters that the page does not list."""

    def check_url(self, callback: IncomingCallback) -> None:
        super().check_url(callback)
        if not {name for name, _ in callback.parameters} <= _DOCUMENTED:
            raise RefusedCallback(6, "unknown parameter")


@breaks("url.encoded")
class _RawNames(ReferenceBackend):
    """Compares parameter names without decoding them."""

    def check_url(self, callback: IncomingCallback) -> None:
        super().check_url(callback)
        if "SdkAppid=" not in callback.query:
            raise RefusedCallback(6, "SdkAppid is missing")


@breaks("app-id.wrong")
class _AnyRegion(ReferenceBackend):
    """Takes the id that another region gave to some other app, with its first four digits changed."""

    def check_app_id(self, callback: IncomingCallback) -> None:
        ids = callback.values("SdkAppid")
        foreign = len(ids) == 1 and ids[0].isdecimal() and len(ids[0]) == len(self.sdkappid)
        if not (foreign and ids[0][:4] in {"1400", "1600", "2000", "2100"} - {self.sdkappid[:4]}):
            super().check_app_id(callback)


@breaks("app-id.missing")
class _MissingIsAll(ReferenceBackend):
    """Takes a URL without SdkAppid for one that means every app."""

    def check_app_id(self, callback: IncomingCallback) -> None:
        if callback.values("SdkAppid"):
            super().check_app_id(callback)


@breaks("app-id.empty")
class _EmptyIsAll(ReferenceBackend):
    """Skips the comparison when SdkAppid is empty."""

    def check_app_id(self, callback: IncomingCallback) -> None:
        if callback.values("SdkAppid") != [""]:
            super().check_app_id(callback)


@breaks("app-id.near")
class _StartsWith(ReferenceBackend):
    """Takes every id that merely starts with its own."""

    def check_app_id(self, callback: IncomingCallback) -> None:
        ids = callback.values("SdkAppid")
        if not (len(ids) == 1 and ids[0].isdecimal() and ids[0].startswith(self.sdkappid)):
            super().check_app_id(callback)


@breaks("app-id.padded")
class _AsNumber(ReferenceBackend):
    """Compares the id as a number, so that zeros and spaces around it don't count."""

    def check_app_id(self, callback: IncomingCallback) -> None:
        ids = callback.values("SdkAppid")
        if not (len(ids) == 1 and ids[0].strip().isdecimal() and int(ids[0]) == int(self.sdkappid)):
            super().check_app_id(callback)


@breaks("app-id.duplicate")
class _LastOfTwo(ReferenceBackend):
    """Reads the last of two SdkAppids and ignores the first."""

    def check_app_id(self, callback: IncomingCallback) -> None:
        if dict(callback.parameters).get("SdkAppid") != self.sdkappid:
            super().check_app_id(callback)


@breaks("app-id.elsewhere")
class _FromHeader(ReferenceBackend):
    """Looks for the id in a header when the URL has none, as engine events do it."""

    def check_app_id(self, callback: IncomingCallback) -> None:
        if callback.values("SdkAppid") or callback.headers.get("sdkappid") != self.sdkappid:
            super().check_app_id(callback)


@breaks("app-id.recovers")
class _Grudge(ReferenceBackend):
    """Refuses whatever follows a refused callback on its connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.spurned: set[int] = set()

    async def on_callback(self, request: Request) -> Response:
        connection = wire(request.scope).connection
        answer = await super().on_callback(request)
        if request.query_params.get("SdkAppid") != self.sdkappid:
            self.spurned.add(connection)
        elif connection in self.spurned:
            return self.refuse(RefusedCallback(1, "SdkAppid is not the one of this app"))
        return answer


@breaks("app-id.packet")
class _Forbidden(ReferenceBackend):
    """Refuses with 403 and an empty body."""

    def refuse(self, refusal: RefusedCallback) -> Response:
        return Response(status_code=403) if refusal.code == 1 else super().refuse(refusal)
