"""Locust and ``roomhook load`` in processes of their own, as tests run them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

__all__ = [
    "ENVIRONMENT",
    "LOCUSTFILE",
    "ROOT",
    "command",
    "free_port",
    "get",
    "locust",
    "roomhook",
    "running",
    "sender_of",
    "wait_for",
]

ROOT = Path(__file__).parents[2]
LOCUSTFILE = ROOT / "loadtests" / "locustfile.py"
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("LOCUST_", "ROOMHOOK_"))}


def command(url: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--host", url, *options]


def locust(url: str, folder: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Run headless; the exit code, the verdict as JSON, and everything that was printed."""
    verdict = folder / "verdict.json"
    arguments = ("--headless", "--only-summary", "--seed", "5", "--verdict-json", str(verdict), *options)
    done = subprocess.run(
        command(url, *arguments), capture_output=True, text=True, timeout=60, env=ENVIRONMENT, check=False, cwd=folder
    )
    document: dict[str, Any] = json.loads(verdict.read_text()) if verdict.exists() else {}
    return done.returncode, document, done.stdout + done.stderr


def roomhook(url: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """``roomhook load``, with its reports in the folder ``out``."""
    return subprocess.run(
        [sys.executable, "-m", "roomhook", "load", url, "--report-dir", str(folder / "out"), *options],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=False,
        cwd=folder,
    )


@contextmanager
def running(url: str, folder: Path, *options: str, name: str = "log") -> Iterator[subprocess.Popen[bytes]]:
    """Locust in the background, what it prints in the file *name*."""
    with (
        (folder / name).open("wb") as log,
        subprocess.Popen(command(url, *options), stdout=log, stderr=log, env=ENVIRONMENT, cwd=folder) as process,
    ):
        try:
            yield process
        except BaseException:
            print((folder / name).read_text()[-4000:])  # noqa: T201 (pytest shows it beside the failure)
            raise
        finally:
            process.kill()
            process.wait()


def sender_of(pid: int) -> int:
    """The sender's process under the locust process *pid*."""
    sender: int = next(
        child.pid
        for child in psutil.Process(pid).children()
        if "roomhook.loadtests.fast_sender.process" in child.cmdline()
    )
    return sender


def wait_for(condition: Any, patience_s: float = 60.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.URLError:
        return ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
