"""Traffic as tests ask for it, and the packets of its callbacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.packets import (
    ENTER_COMMAND,
    LEAVE_COMMAND,
    EnterPacket,
    LeavePacket,
    decode_enter,
    decode_leave,
)
from roomhook.simulator.traffic.generator import TrafficRequest
from roomhook.simulator.traffic.scenario import from_document

__all__ = ["packets", "told", "traffic"]


def traffic(profile: str = "steady", *, backend: Mapping[str, Any] | None = None, **parameters: Any) -> TrafficRequest:
    """Traffic under one profile; the names of Traffic's own fields go there, all others are the phase's parameters."""
    fields = set(TrafficRequest.__dataclass_fields__) - {"rooms"}
    own = {name: parameters.pop(name) for name in fields & set(parameters)}
    own["rooms"] = parameters.pop("room_ids", ())
    document = {"phase": [{"profile": profile, **parameters}], "backend": backend or {}}
    return TrafficRequest(scenario=from_document(document, "test"), **{"seed": 7, **own})


def packets(stream: Iterable[CallbackEvent]) -> list[LeavePacket]:
    """The leaves among *stream*."""
    return [decode_leave(event.body) for event in stream if event.command == LEAVE_COMMAND]


def told(stream: Iterable[CallbackEvent]) -> Iterator[tuple[CallbackEvent, LeavePacket | EnterPacket]]:
    """Each event of *stream*, all enters and leaves, with its packet."""
    for event in stream:
        yield event, decode_enter(event.body) if event.command == ENTER_COMMAND else decode_leave(event.body)
