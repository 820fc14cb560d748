"""End of a load test: verdicts, exit code, reports, and our section of the HTML."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import gevent
from locust.html import get_html_report
from locust.runners import MasterRunner
from locust.stats import CSV_STATS_INTERVAL_SEC

from roomhook.loadtests.results.html_section import insert_section
from roomhook.loadtests.results.progress import INTERRUPTED, PROGRESS_FD, LoadProgress
from roomhook.loadtests.results.stats import LoadStats
from roomhook.loadtests.results.summary import LoadSummary, document, junit, table
from roomhook.loadtests.results.thresholds import check_thresholds
from roomhook.loadtests.session.progress_reporter import tell, tell_progress
from roomhook.loadtests.session.session import LoadSession
from roomhook.loadtests.workload.settings import LoadSettings
from roomhook.simulator.protocol.callback_request import masked_url

__all__ = ["conclude", "extend_web_report"]

_log = logging.getLogger("roomhook")
_LOST: Final = 4
_UNWRITABLE: Final = 2
_CSV_S: Final = CSV_STATS_INTERVAL_SEC + 0.2
_COUNTED: Final = {
    True: "from the intended moment of sending (open loop)",
    False: "from the actual moment of sending (closed loop)",
}


def conclude(session: LoadSession) -> None:
    """Judge *session* when locust quits, and report progress until then."""
    concluded: list[LoadSummary] = []
    descriptor = int(os.environ[PROGRESS_FD]) if PROGRESS_FD in os.environ else None

    def quitting(**_: Any) -> None:
        runner: Any = session.environment.runner
        runner.quit() if isinstance(runner, MasterRunner) else runner.stop()
        if session.options.csv_prefix:
            gevent.sleep(_CSV_S)  # locust's writer runs once more, so that the last figures are the totals
        conclusion = _conclusion_of(session)
        if session.run.lost or session.thresholds:
            session.environment.process_exit_code = conclusion.exit_code
        concluded.append(_written(session, conclusion))

    def quit_(**_: Any) -> None:
        if concluded:
            text = table(concluded[-1])
            stream = sys.stderr if session.options.json else sys.stdout  # which is locust's JSON then, all of it
            stream.write(text + "\n")
            stream.flush()
            _extend_file(session, concluded[-1])
            if descriptor is not None:
                with suppress(BrokenPipeError):
                    tell(descriptor, LoadProgress(table=text))

    events: Any = session.environment.events
    events.quitting.add_listener(quitting)
    events.quit.add_listener(quit_)
    if descriptor is not None:
        gevent.spawn(tell_progress, session, descriptor)


def _conclusion_of(session: LoadSession) -> LoadSummary:
    """Result of *session* so far."""
    figures = session.total()
    verdicts = check_thresholds(session.thresholds, figures) if session.run.verdicts is None else session.run.verdicts
    code = 1 if any(one.broken for one in verdicts) or not figures.requests else 0
    if session.run.interrupted and PROGRESS_FD in os.environ:
        code = INTERRUPTED
    settings = session.known
    return LoadSummary(
        figures=figures,
        verdicts=verdicts,
        exit_code=_LOST if session.run.lost else code,
        asked=dict(session.run.asked) if settings is not None and settings.rate else {},
        lost=tuple(session.run.lost),
        notes=(*session.run.notes, *_remarks(session, figures)),
        facts={} if settings is None else _facts(session, settings),
    )


def _facts(session: LoadSession, settings: LoadSettings) -> dict[str, Any]:
    """The setup of the run; the options may have changed since its start."""
    environment = session.environment
    shape: Any = environment.shape_class
    users = environment.user_classes
    opened = bool(settings.rate) and all(getattr(one, "open_loop", False) for one in users)
    return {
        "target": masked_url(settings.url),
        "sdkappid": settings.sdkappid,
        "seed": settings.seed,
        "profile": settings.profile,
        "shape": "none" if shape is None else session.options.shape if shape is session.shape else type(shape).__name__,
        "users": [one.__name__ for one in users],
        "callbacks_per_user_per_s": settings.rate,
        "counted": _COUNTED[opened],
    }


def _remarks(session: LoadSession, figures: LoadStats) -> Iterator[str]:
    if session.run.interrupted and session.options.run_time:
        yield "interrupted early; figures and verdicts cover the time until then"
    if not figures.requests:
        yield "nothing was sent"


def extend_web_report(session: LoadSession, web_ui: Any) -> None:
    """Add our section to the report that locust's web UI offers for download."""

    def extend(response: Any) -> Any:
        from flask import request  # noqa: PLC0415 (there is no request to ask for before)

        if request.path.endswith("/stats/report") and response.status_code == 200:
            response.direct_passthrough = False
            response.set_data(insert_section(response.get_data(as_text=True), _conclusion_of(session)))
        return response

    web_ui.app.after_request(extend)


def _extend_file(session: LoadSession, conclusion: LoadSummary) -> None:
    name = session.options.html_file
    if name and Path(name).exists():
        path = Path(name)
        path.write_text(insert_section(path.read_text(encoding="utf-8"), conclusion), encoding="utf-8")


def _written(session: LoadSession, conclusion: LoadSummary) -> LoadSummary:
    """Write the reports; returns *conclusion* with a note for each that failed, which makes the exit code 2."""
    options = session.options
    reports = ((options.verdict_json, document), (options.verdict_junit, junit), (options.verdict_html, _page(session)))
    problems: list[str] = []
    for name, content in reports:
        if name:
            path = Path(name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content(conclusion))
            except OSError as error:
                problems.append(f"{path.name} can't be written: {error.strerror}")
                _log.error("%s can't be written: %s", path, error)
                if path.is_file():
                    path.unlink()  # half a report could be taken for a whole one
    if not problems:
        return conclusion
    session.environment.process_exit_code = _UNWRITABLE
    return replace(conclusion, lost=(*conclusion.lost, *problems))


def _page(session: LoadSession) -> Callable[[LoadSummary], bytes]:
    """The function that makes locust's HTML report with our section."""
    make: Any = get_html_report  # it has no types

    def page(conclusion: LoadSummary) -> bytes:
        return insert_section(make(session.environment, show_download_link=False), conclusion).encode()

    return page
