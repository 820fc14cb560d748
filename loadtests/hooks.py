"""Connects a load test to locust: validates the options, selects users and shape, and listens to locust's events."""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

import gevent
from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from roomhook.errors import RoomhookError
from roomhook.loadtests.results.thresholds import parse_threshold
from roomhook.loadtests.session.distributed import coordinate
from roomhook.loadtests.session.finish import conclude, extend_web_report
from roomhook.loadtests.session.interrupt import end_in_order
from roomhook.loadtests.session.session import LoadSession, register_session
from roomhook.loadtests.session.shape_selection import select_shape
from roomhook.loadtests.session.user_selection import choose_users
from roomhook.loadtests.session.validation import guard_form, refuse_start, validate_options

_signal_handlers: Final[WeakKeyDictionary[Environment, object]] = WeakKeyDictionary()
"""Signal handlers by environment: gevent drops a handler without a reference."""


def _on_init(environment: Environment, runner: Any, web_ui: Any, **_: Any) -> None:
    options = environment.parsed_options
    if options is None or not hasattr(options, "callback_profile"):
        return
    gevent.get_hub().loop.update_now()  # else what imports have taken is missing from --run-time
    if isinstance(runner, WorkerRunner):
        session = register_session(environment, LoadSession(environment, ()))
        if options.processes:
            options.json = options.json_file = None  # the master's: locust leaves them in the processes it forks
    else:
        try:
            thresholds = tuple(map(parse_threshold, options.fail_if))
            session = register_session(environment, LoadSession(environment, thresholds))
            validate_options(environment, runner)
            session.shape = select_shape(session)
        except RoomhookError as error:
            refuse_start(error, runner)
        choose_users(environment)
    if session.shape is not None:
        environment.shape_class = session.shape
        session.shape.runner = runner
    coordinate(session, runner)
    _signal_handlers[environment] = end_in_order(session)
    if web_ui is not None:
        guard_form(environment, web_ui)
        extend_web_report(session, web_ui)
    if not isinstance(runner, WorkerRunner):
        conclude(session)
    gevent.get_hub().loop.update_now()  # else --run-time would count from the start of the imports, seconds ago


_init: Any = events.init
_init.add_listener(_on_init)
