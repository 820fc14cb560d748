"""Traffic as a source for the sender: it can be made again from the start, in parts, and tells how many rooms live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.traffic.generator import TrafficRequest, events, world
from roomhook.simulator.traffic.world import World

__all__ = ["TrafficSource"]


@dataclass
class TrafficSource:
    """The callbacks of ``traffic``; holds nothing but that until they are asked for, so that it can be handed on."""

    traffic: TrafficRequest
    _world: World | None = field(default=None, init=False, repr=False)

    @classmethod
    def part(cls, traffic: TrafficRequest, part: int, parts: int) -> Self:
        """Part *part* (from 1) of *parts* of the rooms that *traffic* asks for."""
        mine, shards = traffic.shard
        return cls(replace(traffic, shard=(mine + (part - 1) * shards, shards * parts)))

    def events(self) -> Iterator[CallbackEvent]:
        """All callbacks from the first one."""
        self._world = world(self.traffic)
        return events(self.traffic, self._world)

    def alive(self) -> int | None:
        """How many rooms are alive at the moment."""
        return None if self._world is None else self._world.rooms_alive
