"""Validates options before the run: when locust starts, and when its web form is submitted."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
from locust.env import Environment
from locust.runners import MasterRunner

from roomhook.errors import ConfigurationError, RoomhookError
from roomhook.loadtests.workload.callback_stream import callbacks
from roomhook.loadtests.workload.options import settings_from, submitted
from roomhook.loadtests.workload.worker_rooms import RoomShare
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.transport.allowed_hosts import require_allowed
from roomhook.simulator.util.limits import MOST

__all__ = ["guard_form", "refuse_start", "validate_options"]

_USAGE: Final = 2
_SWARM: Final = "locust.swarm"
"""Locust's name of the view that receives its form."""


def validate_options(environment: Environment, runner: Any) -> None:
    """Raise ``ConfigurationError`` for options with which a run could not start or finish."""
    options: Any = environment.parsed_options
    if (options.num_users or 0) > MOST:
        raise ConfigurationError(f"--users {options.num_users} is out of range: use {MOST:,} at most")
    for option in ("--verdict-html", "--verdict-json", "--verdict-junit"):
        _require_writable(option, getattr(options, option[2:].replace("-", "_")), make=True)
    if options.processes or not isinstance(runner, MasterRunner):
        _require_writable("--attempts", options.attempts)  # else its workers write it, wherever they are
    if environment.host or options.headless or options.autostart:
        _require_runnable(options, environment.host, max(options.processes or 1, options.expect_workers or 1))


def refuse_start(error: RoomhookError, runner: Any) -> NoReturn:
    """Print the error and stop this locust and the workers that it started."""
    sys.stderr.write(f"roomhook: {error}\n")
    sys.stderr.flush()
    if isinstance(runner, MasterRunner):
        options: Any = runner.environment.parsed_options
        if options.processes:
            psutil: Any = importlib.import_module("psutil")  # which locust needs; it has no types
            for worker in psutil.Process().children():
                worker.terminate()  # one that has not reached its master yet would wait for it
        runner.quit()
    sys.exit(_USAGE)


def guard_form(environment: Environment, web_ui: Any) -> None:
    """Validate locust's web form: on an error the form shows it, and no run starts."""
    start: Callable[[], Any] = web_ui.app.view_functions[_SWARM]

    def guarded() -> Any:
        from flask import jsonify, request  # noqa: PLC0415 (there is no request to ask for before)

        runner: Any = environment.runner
        workers = runner.worker_count if isinstance(runner, MasterRunner) else 1
        try:
            before: Any = environment.parsed_options
            options = submitted(before, request.form)
            _require_runnable(options, request.form.get("host") or environment.host, max(1, workers))
        except RoomhookError as error:
            return jsonify({"success": False, "message": str(error), "host": environment.host})
        return start()

    web_ui.app.view_functions[_SWARM] = web_ui.auth_required_if_enabled(guarded)


def _require_runnable(options: Namespace, host: str | None, workers: int) -> None:
    settings = settings_from(options, host)
    require_allowed(CallbackUrl.parse(settings.url), options.allow_host)
    callbacks(msgspec.structs.replace(settings, share=RoomShare(parts=workers)))


def _require_writable(option: str, name: str | None, *, make: bool = False) -> None:
    """Raise ``ConfigurationError`` if the file cannot be written; *make* creates its folder."""
    if not name:
        return
    path = Path(name)
    try:
        if make:
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            with path.open("ab"):
                return
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        why = error.strerror or os.strerror(error.errno or 0)
        raise ConfigurationError(f"{option} {name} cannot be written: {why}; choose a writable folder") from None
