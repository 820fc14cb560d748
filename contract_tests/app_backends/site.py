"""The ASGI application that holds all backends of our own, a path for each, built when first called."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from roomhook.contract_tests.app_backends.broken.catalogue import BROKEN
from roomhook.contract_tests.app_backends.reference.backend import ReferenceBackend

__all__ = ["BackendRouter", "callback_path"]

_PATH: Final = re.compile("(/reference|/broken/([a-z0-9.-]+))(/.*)?")


def callback_path(broken: str | None = None) -> str:
    """Where the reference, or the backend that is *broken* in one requirement, takes callbacks."""
    return f"/broken/{broken}" if broken else "/reference"


class BackendRouter:
    """All backends for one SDKAppID and token; each keeps rooms of its own."""

    def __init__(self, sdkappid: str, token: str | None) -> None:
        self._sdkappid = sdkappid
        self._token = token
        self._backends: dict[str, ReferenceBackend] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to the backend that its path names."""
        found = _PATH.fullmatch(scope["path"])
        if found is None or (found[2] and found[2] not in BROKEN):
            await PlainTextResponse("no App backend here: try /reference\n", 404)(scope, receive, send)
            return
        backend = self._backends.get(found[1]) or self._build(found[1], found[2])
        await backend.app({**scope, "path": found[3] or "/"}, receive, send)

    def close(self) -> None:
        """Close the backends' databases."""
        for backend in self._backends.values():
            backend.close()

    def _build(self, path: str, broken: str | None) -> ReferenceBackend:
        kind = BROKEN[broken].backend if broken else ReferenceBackend
        self._backends[path] = kind(self._sdkappid, self._token)
        return self._backends[path]
