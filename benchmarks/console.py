"""Whether ``roomhook serve`` keeps its memory flat while a browser shows 500 callbacks/s, and how quick the page is.

    python benchmarks/console.py [--seconds 600] [--rate 500]

A sink in a process of its own answers, this process calls ``/sim/batch``, and headless Chromium has the page of
callbacks open. Memory is compared between the second fifth, when the list is full, and the last one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from serve import ENTER, LEAVE, ROOMS, actions, memory_mb, served, sink

from roomhook.simulator.room_backend.client import MockRoomBackend

EVERY_S = 10.0
MOST_GROWTH = 0.05
MOST_GROWTH_MB = 8.0


class Load:
    """Calls *backend* so that *rate* callbacks/s are due; ``sent`` counts them."""

    def __init__(self, backend: MockRoomBackend, rate: float) -> None:
        self.sent = 0
        self._backend = backend
        self._rate = rate
        self._began = time.monotonic()

    def until(self, end: float) -> None:
        """Go on until the monotonic time *end*."""
        while (now := time.monotonic()) < end:
            due = int((now - self._began) * self._rate) - self.sent
            if due >= 20:
                self._backend.batch(actions(self.sent // 2, due // 2 * 2))
                self.sent += due // 2 * 2
            else:
                time.sleep(0.02)


def heap_mb(page: Page) -> float:
    """JavaScript heap of the page, after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: dict[str, Any] = session.send("Runtime.getHeapUsage")
    session.detach()
    return float(used["usedSize"]) / 1e6


def first_paint_ms(page: Page) -> float:
    """Time from the request to the first paint."""
    page.reload()
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    return float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))


def watched(url: str, seconds: float, rate: float) -> bool:
    """Measure; whether memory was flat."""
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "state.db") as (process, backend):
        backend.set_callback(url, [ENTER, LEAVE])
        for number in range(ROOMS):
            backend.room(f"r{number}")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(f"{backend.url}/console/callbacks")
            paints = [first_paint_ms(page) for _ in range(5)]
            print(f"first paint {statistics.median(paints):.0f} ms")
            load, began = Load(backend, rate), time.monotonic()
            server, script = [], []
            while (passed := time.monotonic() - began) < seconds:
                load.until(began + min(seconds, passed + EVERY_S))
                server.append(memory_mb(process))
                script.append(heap_mb(page))
                rows, shown = page.locator("a.row").count(), page.locator("#count").inner_text()
                elapsed = time.monotonic() - began
                print(
                    f"{elapsed:6.0f} s {load.sent / elapsed:6.0f}/s  serve {server[-1]:6.1f} MB"
                    f"  page {script[-1]:5.1f} MB  {rows} rows of {shown}",
                    flush=True,
                )
            browser.close()
    flat = _is_flat("serve", server)
    return _is_flat("page", script) and flat


def _is_flat(name: str, samples: list[float]) -> bool:
    early = samples[max(1, len(samples) // 5) : max(2, 2 * len(samples) // 5)] or samples[:1]
    late = samples[-max(1, len(samples) // 5) :]
    before, after = statistics.median(early), statistics.median(late)
    flat = after - before < max(MOST_GROWTH * before, MOST_GROWTH_MB)
    print(f"{name}: {before:.1f} MB, then {after:.1f} MB: {'flat' if flat else 'GROWING'}")
    return flat


def main() -> None:
    """The measurement, as asked; exit code 1 if memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=500)
    asked = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    counting = multiprocessing.Process(target=sink, args=(theirs,), daemon=True)
    counting.start()
    flat = watched(f"http://127.0.0.1:{ours.recv()}/callback", asked.seconds, asked.rate)
    counting.terminate()
    sys.exit(0 if flat else 1)


if __name__ == "__main__":
    main()
