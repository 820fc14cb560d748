"""The page of contract runs: a form, verdicts as they come, the report, and the runs of this session compared."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from roomhook.errors import RoomhookError
from roomhook.simulator.console.site import Fields, Site
from roomhook.simulator.room_backend.state.error_codes import BackendError

__all__ = ["CaseVerdict", "ContractOptions", "ContractPage", "ContractReport", "ContractRunner"]

_MOST_RUNS: Final = 20
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


class ContractOptions(NamedTuple):
    """The options of a run; "" and () mean the defaults."""

    target: str
    sdkappid: int
    probe: str = ""
    token: str = ""
    only: tuple[str, ...] = ()
    strict: bool = False


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
"""Runs the suite in the calling thread and gives each verdict as it comes; raises ``RoomhookError``."""


@dataclass
class _Run:
    number: int
    options: ContractOptions
    began: float
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

    def count(self, verdict: str) -> int:
        return sum(case.verdict == verdict for case in self.cases)

    @property
    def failed(self) -> set[str]:
        return {case.id for case in self.cases if case.verdict == "fail"}


class ContractPage:
    """Runs the contract suite by *runner*, one run at a time, under ``/console/run``.

    *check_url* raises ``BackendError`` for a target that may not be tested, *changed* tells that there is news.
    """

    def __init__(
        self,
        site: Site,
        runner: ContractRunner,
        *,
        sdkappid: int,
        check_url: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._site = site
        self._runner = runner
        self._sdkappid = sdkappid
        self._check_url = check_url
        self._changed = changed
        self._runs: list[_Run] = []
        self._task: asyncio.Task[None] | None = None

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
        content = {"problem": problem, "sdkappid": self._sdkappid}
        return self._site.page(request, "run.html", self._content() | content)

    def _content(self) -> dict[str, object]:
        runs = list(reversed(self._runs))
        rows = [(run, runs[place] if place < len(runs) else None) for place, run in enumerate(runs, 1)]
        return {"run": runs[0] if runs else None, "runs": rows, "last": runs[0].options if runs else None}

    async def _start(self, request: Request, fields: Fields) -> Response:
        one = {name: values[-1].strip() for name, values in fields.items()}
        number = one.get("sdkappid", "")
        problem = ""
        if self._runs and self._runs[-1].running:
            problem = "a run is under way"
        elif not _NUMBER.fullmatch(number):
            problem = "the SDKAppID is a number, e.g. 1400000001"
        options = ContractOptions(
            one.get("target", ""),
            int(number) if _NUMBER.fullmatch(number) else 0,
            one.get("probe", ""),
            one.get("token", ""),
            tuple(part.strip() for part in one.get("only", "").split(",") if part.strip()),
            "strict" in one,
        )
        try:
            for url in (options.target, options.probe.replace("{RoomId}", "r")):
                if url or url is options.target:
                    self._check_url(url)
        except BackendError as error:
            problem = problem or error.info
        if not problem:
            run = _Run(len(self._runs) + 1, options, time.time())
            self._runs.append(run)
            self._task = asyncio.get_running_loop().create_task(self._play(run))
        if request.headers.get("hx-request") != "true":
            return self._shown(request, problem)
        self._changed()
        note = problem or f"Run {len(self._runs)} has started."
        return self._site.page(request, "result.html", {"note": note, "curl_line": "", "failed": bool(problem)})

    async def _play(self, run: _Run) -> None:
        loop = asyncio.get_running_loop()
        began = time.monotonic()

        def judged(case: CaseVerdict) -> None:
            run.cases.append(case)
            loop.call_soon_threadsafe(self._changed)

        try:
            run.report = await asyncio.to_thread(self._runner, run.options, judged)
        except RoomhookError as error:
            run.problem = str(error)
        except Exception as error:  # noqa: BLE001 (a run's end is shown, whatever it is)
            run.problem = f"the run broke off: {type(error).__name__}: {error}"
        run.seconds = time.monotonic() - began
        for old in self._runs[:-_MOST_RUNS]:
            old.report = None if old.report is None else old.report._replace(html="")
        self._changed()

    async def _report(self, request: Request) -> Response:
        """The HTML report, which brings its own policy."""
        number = request.path_params["number"]
        run = next((one for one in self._runs if one.number == number), None)
        if run is None or run.report is None or not run.report.html:
            return PlainTextResponse("There is no such report in this session.", 404)
        name = f'attachment; filename="roomhook-{number}.html"'
        headers = {"Content-Disposition": name} if "download" in request.query_params else {}
        return HTMLResponse(run.report.html, headers={**headers, "Cache-Control": "no-store"})
