"""Roomhook plays the Room backend of Tencent RTC, so that you can prove an App backend right, fast and tough.

From Python: ``check`` an App backend, ``fire`` a callback, start a ``RoomBackend``, make a ``LeavePacket``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from roomhook.contract_tests.api.checking import check
    from roomhook.contract_tests.api.firing import fire
    from roomhook.contract_tests.api.room_backend import RoomBackend
    from roomhook.simulator.protocol.packets import LeavePacket

__all__ = ["LeavePacket", "RoomBackend", "check", "fire"]

_WHERE: Final = {
    "LeavePacket": "roomhook.simulator.protocol.packets",
    "RoomBackend": "roomhook.contract_tests.api.room_backend",
    "check": "roomhook.contract_tests.api.checking",
    "fire": "roomhook.contract_tests.api.firing",
}
"""Imported when they are asked for: every command and every pytest run imports this package."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'roomhook' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
