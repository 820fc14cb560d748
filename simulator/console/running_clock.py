"""Lets the virtual clock of a mock Room backend run at a multiple of real time."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.state.error_codes import BackendError

__all__ = ["FASTEST", "RunningClock"]

FASTEST: Final = 3600.0
"""Simulated seconds a second, at most."""

_TICK_S: Final = 0.1


class RunningClock:
    """Advances the clock of *service* at ``speed`` times real time; 0 while it stands still."""

    def __init__(self, service: Service) -> None:
        self.speed = 0.0
        self._service = service
        self._task: asyncio.Task[None] | None = None

    def start(self, speed: float) -> None:
        """Run at *speed*, 0 to stand still. Raises ``BackendError`` for a real clock."""
        self.stop()
        self._service.check_virtual()
        self.speed = speed
        if speed:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Stand still."""
        self.speed = 0.0
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            with suppress(BackendError):  # a change can't be stored: the disk may have room again in the next turn
                await self._service.advance(round((now - before) * self.speed * 1000), wait=False, timeout_s=0)
            before = now
