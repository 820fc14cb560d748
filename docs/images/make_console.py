"""Makes the pictures of the console from ``roomhook demo --console``: ``python docs/images/make_console.py``.

Needs playwright and Chromium; takes a minute and a half, since the evening has to come to life.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import FloatRect, Page, sync_playwright

from roomhook.contract_tests.app_backends.server import BackendServer

HERE: Final = Path(__file__).parent
EVENING_S: Final = 70
RUN_MS: Final = 120_000
WIDTH, HEIGHT = 1280, 800


def shoot(page: Page, name: str, height: int = HEIGHT) -> None:
    """Save what is in view, of so many pixels from the top, as console-NAME.png."""
    page.wait_for_timeout(1500)
    clip: FloatRect = {"x": 0, "y": 0, "width": WIDTH, "height": height}
    page.screenshot(path=HERE / f"console-{name}.png", clip=clip)


def pictures(page: Page, console: str, faulty: BackendServer) -> None:
    """A picture of each page."""
    page.goto(console)
    shoot(page, "rooms", 590)
    page.goto(f"{console}/callbacks")
    page.locator("a.row", has_text="MemberLeave").nth(2).click()
    shoot(page, "callbacks")
    page.goto(f"{console}/settings")
    page.get_by_role("button", name="Send").click()
    page.locator(".errata summary", has_text="room-token").click()
    shoot(page, "settings")
    page.goto(f"{console}/run")
    good, probe = page.get_by_label("Callback URL").input_value(), page.get_by_label("Probe").input_value()
    page.get_by_label("Seed").fill("7")
    for url, rooms in ((faulty.url("ack.error-code"), faulty.probe("ack.error-code")), (good, probe)):
        page.get_by_label("Callback URL").fill(url)
        page.get_by_label("Probe").fill(rooms)
        page.get_by_role("button", name="Start").click()
        page.wait_for_timeout(1500)
        page.get_by_role("link", name="Open the report").wait_for(timeout=RUN_MS)
    shoot(page, "run")


def main() -> None:
    """Make all pictures."""
    command = [sys.executable, "-m", "roomhook", "demo", "--console", "--seed", "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo, BackendServer() as faulty:
        assert demo.stdout is not None
        console = demo.stdout.readline().strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.wait_for_timeout(1000 * EVENING_S)
            pictures(page, console, faulty)
            browser.close()
        demo.send_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
