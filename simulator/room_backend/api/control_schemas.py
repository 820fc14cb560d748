"""Request packets of /sim besides the actions: batch, clock, wait, faults, planned error codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from roomhook.simulator.room_backend.api.client_actions import ACTIONS
from roomhook.simulator.room_backend.runtime.faults import Faults
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code

__all__ = ["Advance", "Batch", "FaultsPacket", "Nothing", "PlannedCodes", "ScriptStep", "Wait"]

_SdkAppId = Annotated[int, Meta(ge=1, le=9_999_999_999, description="May be omitted if there is only one app.")]
_Share = Annotated[float, Meta(ge=0, le=1, description="A share of the callbacks, from 0 to 1.")]
_Ms = Annotated[int, Meta(ge=0, le=86_400_000)]
_Timeout = Annotated[float, Meta(ge=0, le=600, description="Longest wait (s).")]
_ApiName = Literal[
    "set_callback",
    "update_callback",
    "get_callback",
    "delete_callback",
    "create_room",
    "destroy_room",
    "update_room_info",
    "get_room_info",
    "kick_user_out",
    "get_room_member_list",
]
_PlannedCode = Literal[
    60002, 60003, 60004, 60005, 60006, 60007, 60008, 60009, 60010, 60011, 60012, 60013, 60015, 60016, 60017, 60018,
    60019, 60020, 60021, 100001, 100002, 100003, 100004, 100005, 100006, 100300, 100301,
]  # fmt: skip


class ScriptStep(NamedTuple):
    """One action of a batch: its name and the fields of its packet."""

    do: str
    fields: dict[str, Any]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """``{}``."""


class Batch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Actions to run one after another, each with its name in ``do``; those before a refused one stay done."""

    actions: Annotated[list[dict[str, Any]], Meta(max_length=10_000)]
    wait: bool = False

    def steps(self) -> Iterator[ScriptStep]:
        """The actions; raises ``BackendError`` for an unknown name."""
        for number, one in enumerate(self.actions):
            fields = dict(one)
            name = fields.pop("do", None)
            if not isinstance(name, str) or name not in ACTIONS:
                raise BackendError(Code.BAD_PARAMETER, f"actions[{number}].do must be one of {', '.join(ACTIONS)}")
            yield ScriptStep(name, fields)


class Wait(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Wait until every callback that no retry or delay postpones has its outcome."""

    timeout_seconds: _Timeout = 30


class Advance(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Advance the virtual clock; with ``wait``, answer when the callbacks that this causes have their outcome."""

    seconds: Annotated[float, Meta(ge=0, le=31_536_000)]
    wait: bool = True
    timeout_seconds: _Timeout = 30


class FaultsPacket(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Faults of the callbacks from now on; an empty packet ends all faults."""

    sdkappid: _SdkAppId | None = None
    drop: _Share = 0.0
    duplicate: _Share = 0.0
    reorder: _Share = 0.0
    delay_ms: tuple[_Ms, _Ms] = (0, 0)
    callbacks: Annotated[int, Meta(ge=1, description="Number of callbacks concerned; without it, all.")] | None = None

    def faults(self) -> Faults:
        """The faults; raises ``BackendError`` for a range of delays that ends before it begins."""
        if self.delay_ms[0] > self.delay_ms[1]:
            raise BackendError(Code.BAD_PARAMETER, "delay_ms: the first value must not be above the second")
        return Faults(**{name: getattr(self, name) for name in Faults.__struct_fields__})


class PlannedCodes(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Error codes for the next calls of a REST API, in order."""

    api: _ApiName
    codes: Annotated[list[_PlannedCode], Meta(min_length=1, max_length=100)]
    sdkappid: _SdkAppId | None = None
