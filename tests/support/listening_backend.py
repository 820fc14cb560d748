"""A listener in a thread, as the target of commands that send."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

import pytest

from roomhook.cli.main import main
from roomhook.simulator.journal.writer import ReceivedCallback
from roomhook.simulator.listener.answers import parse_answer
from roomhook.simulator.listener.server import Listener
from roomhook.simulator.protocol.request_check import CallbackValidator
from roomhook.simulator.transport.sender import run_loop

__all__ = ["Backend", "complaint"]


class Backend:
    """A listener in a thread of this process; ``receipts`` are what it has taken."""

    def __init__(self, answer: str = "ok", **options: Any) -> None:
        import asyncio

        self.receipts: list[ReceivedCallback] = []
        self.url = ""
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        inspector = CallbackValidator("1400000001", time.time, **options)
        self._listener = Listener(inspector, parse_answer(answer), on_complete=self.receipts.extend)
        self._thread = threading.Thread(target=lambda: run_loop(self._serve()))

    async def _serve(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        host, port = await self._listener.start("127.0.0.1", 0)
        self.url = f"http://{host}:{port}/hook?tenant=7"
        self._ready.set()
        await self._stop.wait()
        await self._listener.stop()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def queries(self) -> list[str]:
        return [one.head.split(b" ")[1].decode().partition("tenant=7&")[2] for one in self.receipts]

    def bodies(self) -> list[bytes]:
        return [one.body for one in self.receipts]


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()[-1]
