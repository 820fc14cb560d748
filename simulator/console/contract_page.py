"""The page of contract runs: a form, live verdicts, the report, and a comparison of the runs of this session."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from roomhook.errors import RoomhookError
from roomhook.simulator.console.site import Fields, Site
from roomhook.simulator.protocol.callback_request import masked_url
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code

__all__ = ["CaseVerdict", "ContractOptions", "ContractPage", "ContractReport", "ContractRunner"]

_MOST_RUNS: Final = 20
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
_SECONDS: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")
_SEED: Final = re.compile(r"[0-9]{1,9}")
_LONGEST_DEADLINE_S: Final = 60
_REPORT_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'none'",
}
"""Beside the policy that the report brings."""


class ContractOptions(NamedTuple):
    """The options of a run; "" and () mean the defaults."""

    target: str
    sdkappid: int
    probe: str = ""
    token: str = ""
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    strict: bool = False
    deadline_s: float = 2.0
    seed: int | None = None


class CaseVerdict(NamedTuple):
    """A requirement that was judged; ``verdict`` is pass, fail, warn, known, info or not-judged."""

    id: str
    group: str
    text: str
    verdict: str
    reason: str


class ContractReport(NamedTuple):
    """The end of a run: its verdict in words, whether the target conforms, and the HTML report."""

    verdict: str
    conforms: bool
    html: str


ContractRunner = Callable[[ContractOptions, Callable[[CaseVerdict], None]], ContractReport]
"""Runs the suite in the calling thread and passes on each verdict at once; raises ``RoomhookError``."""


@dataclass
class _Run:
    number: int
    options: ContractOptions
    cases: list[CaseVerdict] = field(default_factory=list)
    report: ContractReport | None = None
    problem: str = ""
    seconds: float = 0.0

    @property
    def running(self) -> bool:
        return self.report is None and not self.problem

    @property
    def groups(self) -> dict[str, list[CaseVerdict]]:
        found: dict[str, list[CaseVerdict]] = {}
        for case in self.cases:
            found.setdefault(case.group, []).append(case)
        return found

    def end(self, report: ContractReport | None, problem: str, seconds: float) -> None:
        """Store the result of the run."""
        self.report, self.problem, self.seconds = report, problem, seconds

    @property
    def target(self) -> str:
        return masked_url(self.options.target)

    def count(self, verdict: str) -> int:
        return sum(case.verdict == verdict for case in self.cases)

    @property
    def failed(self) -> list[str]:
        return [case.id for case in self.cases if case.verdict == "fail"]

    def failed_unlike(self, other: _Run) -> list[str]:
        """The requirements that fail here and were judged in *other* without failing."""
        judged = {case.id for case in other.cases if case.verdict in {"pass", "fail", "warn", "info", "known"}}
        return [one for one in self.failed if one in judged and one not in other.failed]


class ContractPage:
    """Runs the contract suite by *runner*, one run at a time, under ``/console/run``.

    *suggested* fills the first form, *check_url* raises ``BackendError`` for a target that may not be tested, *changed*
    tells that there is news.
    """

    def __init__(
        self,
        site: Site,
        runner: ContractRunner,
        *,
        suggested: Callable[[], ContractOptions],
        check_url: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._site = site
        self._runner = runner
        self._suggested = suggested
        self._check_url = check_url
        self._changed = changed
        self._runs: list[_Run] = []

    def routes(self) -> list[Route]:
        """The page, its progress, and the reports."""
        return [
            Route("/console/run", self._page),
            Route("/console/run/progress", self._progress),
            Route("/console/run/start", self._site.writing(self._start), methods=["POST"]),
            Route("/console/run/{number:int}/report", self._report),
        ]

    async def _page(self, request: Request) -> Response:
        return self._shown(request, "")

    async def _progress(self, request: Request) -> Response:
        return self._site.page(request, "run_progress.html", self._content())

    def _shown(self, request: Request, problem: str) -> Response:
        filled = _masked(self._runs[-1].options if self._runs else self._suggested())
        content = {"problem": problem, "filled": filled}
        return self._site.page(request, "run.html", self._content() | content)

    def _content(self) -> dict[str, object]:
        runs = list(reversed(self._runs))
        rows = [(run, runs[place] if place < len(runs) else None) for place, run in enumerate(runs, 1)]
        return {"run": runs[0] if runs else None, "runs": rows}

    async def _start(self, request: Request, fields: Fields) -> Response:
        problem = ""
        try:
            given = _options({name: values[-1].strip() for name, values in fields.items()})
            self._begin(given if not self._runs else _unmasked(given, self._runs[-1].options))
        except BackendError as error:
            problem = error.info
        if request.headers.get("hx-request") != "true":
            return self._shown(request, problem)
        self._changed()
        note = problem or f"Run {len(self._runs)} has started."
        return self._site.page(request, "result.html", {"note": note, "curl_line": "", "failed": bool(problem)})

    def _begin(self, options: ContractOptions) -> None:
        """Start a run with *options*; raises ``BackendError`` if one is running, or a URL is not allowed."""
        if self._runs and self._runs[-1].running:
            raise BackendError(Code.CONFLICT, "a run is under way: start the next one when it has ended")
        self._check_url(options.target)
        if options.probe:
            self._check_url(options.probe.replace("{RoomId}", "r"))
        run = _Run(len(self._runs) + 1, options)
        self._runs.append(run)
        loop = asyncio.get_running_loop()
        # A thread that the end of the process does not wait for.
        threading.Thread(target=self._play, args=(run, loop), name="roomhook-contract-run", daemon=True).start()

    def _play(self, run: _Run, loop: asyncio.AbstractEventLoop) -> None:
        """Run the suite in a separate thread."""
        began = time.monotonic()
        report: ContractReport | None = None
        problem = ""
        try:
            report = self._runner(run.options, lambda case: self._tell(loop, run.cases.append, case))
        except RoomhookError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 (a run's end is shown, whatever it is)
            problem = f"the run broke off: {type(error).__name__}: {error}"
        self._tell(loop, run.end, report, problem, time.monotonic() - began)

    def _tell(self, loop: asyncio.AbstractEventLoop, change: Callable[..., object], *values: object) -> None:
        """Call *change* on *loop*, and update the pages."""

        def changed() -> None:
            change(*values)
            for old in self._runs[:-_MOST_RUNS]:
                old.report = None if old.report is None else old.report._replace(html="")
            self._changed()

        with suppress(RuntimeError):  # the server has stopped
            loop.call_soon_threadsafe(changed)

    async def _report(self, request: Request) -> Response:
        """The HTML report, which brings its own policy."""
        number = request.path_params["number"]
        run = next((one for one in self._runs if one.number == number), None)
        if run is None or run.report is None or not run.report.html:
            return PlainTextResponse("There is no such report in this session.", 404)
        name = f'attachment; filename="roomhook-{number}.html"'
        headers = {"Content-Disposition": name} if "download" in request.query_params else {}
        return HTMLResponse(run.report.html, headers={**headers, **_REPORT_HEADERS})


def _options(given: Mapping[str, str]) -> ContractOptions:
    """The options in a form; raises ``BackendError``."""
    number, deadline, seed = (given.get(name, "") for name in ("sdkappid", "deadline", "seed"))
    if not _NUMBER.fullmatch(number):
        raise BackendError(Code.BAD_PARAMETER, "the SDKAppID is a number, e.g. 1400000001")
    if deadline and not (_SECONDS.fullmatch(deadline) and 0 < float(deadline) <= _LONGEST_DEADLINE_S):
        raise BackendError(Code.BAD_PARAMETER, f"the deadline is a number of seconds up to {_LONGEST_DEADLINE_S}")
    if seed and not _SEED.fullmatch(seed):
        raise BackendError(Code.BAD_PARAMETER, "the seed is a whole number, e.g. 7")
    return ContractOptions(
        given.get("target", ""),
        int(number),
        given.get("probe", ""),
        given.get("token", ""),
        _listed(given.get("only", "")),
        _listed(given.get("exclude", "")),
        "strict" in given,
        float(deadline or 2),
        int(seed) if seed else None,
    )


def _masked(options: ContractOptions) -> ContractOptions:
    """*options* for display, without secrets."""
    return options._replace(token="", target=masked_url(options.target), probe=masked_url(options.probe))


def _unmasked(given: ContractOptions, before: ContractOptions) -> ContractOptions:
    """*given*, with the secrets of the run *before* in place of masked ones."""
    shown = _masked(before)
    return given._replace(
        target=before.target if given.target == shown.target else given.target,
        probe=before.probe if given.probe == shown.probe else given.probe,
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
