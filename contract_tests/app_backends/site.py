"""The ASGI application that holds all backends of our own, a path for each, built when first called."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from roomhook.contract_tests.app_backends.broken.catalogue import BROKEN
from roomhook.contract_tests.app_backends.reference.backend import ReferenceBackend

__all__ = ["CALLBACK", "BackendRouter", "callback_path"]

CALLBACK: Final = "/callback"
"""The path of the backend that was chosen."""

_PATH: Final = re.compile("(/callback|/reference|/broken/([a-z0-9.-]+))(/.*)?")


def callback_path(broken: str | None = None) -> str:
    """The path of the reference, or of the backend that is *broken* in one requirement."""
    return f"/broken/{broken}" if broken else "/reference"


class BackendRouter:
    """All backends for one SDKAppID and token; each keeps rooms of its own.

    ``/callback`` is the *chosen* one: the id of a broken backend, or None for the reference.
    """

    def __init__(self, sdkappid: str, token: str | None, chosen: str | None = None) -> None:
        self._sdkappid = sdkappid
        self._token = token
        self._chosen = chosen
        self._backends: dict[str, ReferenceBackend] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to the backend that its path names."""
        found = _PATH.fullmatch(scope["path"])
        if found is None or (found[2] and found[2] not in BROKEN):
            await PlainTextResponse("there is no App backend here; try /callback\n", 404)(scope, receive, send)
            return
        if found[1] == CALLBACK:
            path, broken = callback_path(self._chosen), self._chosen
        else:
            path, broken = found[1], found[2]
        backend = self._backends.get(path) or self._build(path, broken)
        await backend.app({**scope, "path": found[3] or "/"}, receive, send)

    def close(self) -> None:
        """Close the backends' databases."""
        for backend in self._backends.values():
            backend.close()

    def _build(self, path: str, broken: str | None) -> ReferenceBackend:
        kind = BROKEN[broken].backend if broken else ReferenceBackend
        self._backends[path] = kind(self._sdkappid, self._token)
        return self._backends[path]
