"""Makes the pictures of the README from real runs: ``python docs/images/make.py`` in the repository's root.

Needs Chromium for the picture of the HTML report.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

HERE: Final = Path(__file__).parent
COLUMNS: Final = 92
ORIGIN: Final = "http://127.0.0.1:8000"
CHECK: Final = ("check", f"{ORIGIN}/callback", "--probe", f"{ORIGIN}/callback/rooms/{{RoomId}}", "--seed", "7")
LIGHT: Final = TerminalTheme(
    (255, 255, 255),
    (36, 41, 47),
    [
        (36, 41, 47),
        (207, 34, 46),
        (17, 99, 41),
        (154, 103, 0),
        (9, 105, 218),
        (130, 80, 223),
        (27, 124, 131),
        (87, 96, 106),
    ],
)


def main() -> None:
    """Run the suite against a backend with one defect, and draw what it prints and its HTML report."""
    roomhook = str(Path(sys.executable).with_name("roomhook"))
    with tempfile.TemporaryDirectory() as folder:
        backend = subprocess.Popen([roomhook, "backend", "--broken", "effect.expired"], stdout=subprocess.PIPE)
        try:
            assert backend.stdout is not None
            backend.stdout.readline()
            shown = on_a_terminal([roomhook, *CHECK, "--report", "html"], folder)
        finally:
            backend.terminate()
            backend.wait()
        draw(f"$ roomhook {CHECK[0]} {CHECK[1]} \\\n      --probe '{CHECK[3]}'\n{shown}")
        screenshot(Path(folder) / "roomhook-report" / "roomhook.html")


def on_a_terminal(command: list[str], folder: str) -> str:
    """What *command* prints on a terminal of ``COLUMNS`` columns."""
    terminal, end = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key not in {"CI", "NO_COLOR"}}
    environment |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    process = subprocess.Popen(command, stdout=end, stderr=subprocess.DEVNULL, cwd=folder, env=environment)
    os.close(end)
    found = b""
    try:
        while part := os.read(terminal, 65536):
            found += part
    except OSError:  # the other end is closed
        pass
    process.wait()
    return found.decode().replace("\r\n", "\n")


def draw(text: str) -> None:
    """Write *text* as a terminal, for light and dark pages."""
    for name, theme in (("light", LIGHT), ("dark", SVG_EXPORT_THEME)):
        console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
        console.print(Text.from_ansi(text.rstrip()))
        drawn = console.export_svg(title="roomhook check", theme=theme, unique_id="roomhook")
        drawn = re.sub(r"\s*@font-face \{.*?\}\n", "", drawn, flags=re.DOTALL)  # no font from elsewhere
        (HERE / f"check-{name}.svg").write_text(drawn, encoding="utf-8")


def screenshot(page: Path) -> None:
    """Write a picture of *page*."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium: the picture of the report stays as it is")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1000,760"]
    picture = HERE / "report.png"
    subprocess.run([chromium, *options, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    main()
