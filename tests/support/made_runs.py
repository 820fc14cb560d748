"""Runs made by hand, the same bytes every time: what reports are tested on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.register import Level, Requirement
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import (
    CaseJudged,
    Finding,
    RunEvent,
    RunFinished,
    RunOutcome,
    RunStarted,
    Summary,
    Verdict,
)
from roomhook.contract_tests.reports.run_report import RunReport, report_of
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.outcomes import DeliveryOutcome as Ending
from roomhook.simulator.protocol.response_check import Response

__all__ = [
    "BACKEND",
    "SECRETS",
    "document",
    "ended_early",
    "events",
    "failing",
    "interrupted",
    "nothing_ran",
    "passing",
    "unreachable",
]

SECRETS = ("sesame-in-the-url", "sesame-in-a-header")
"""What no report may show."""

BACKEND = Settings(
    target=f"http://127.0.0.1:8000/callback?token={SECRETS[0]}",
    seed=42,
    headers=(("Authorization", f"Bearer {SECRETS[1]}"),),
)

Run = tuple[RunStarted, RunFinished]

_BEGAN = 1795425000.0
_HEADERS = (("content-type", "application/json"), ("server", "uvicorn"))


def requirement(identity: str, level: Level, text: str, *source: str) -> Requirement:
    """A requirement that stays as it is when the register's wording changes."""
    fix = f"Mend {identity}: look at the handler, not at the test."
    return Requirement(identity, level, text, "It matters.", "One callback.", fix, source or ("page",))


STATUS = requirement(
    "ack.status", Level.MUST, "The App backend answers a valid callback with exactly HTTP 200.", "OV-CHAT"
)
CODE = requirement(
    "ack.error-code", Level.MUST, "The App backend's answer has `ErrorCode`, an integer.", "page", "protocol.md 1.3"
)
CONTENT = requirement(
    "ack.content-type", Level.SHOULD, "The App backend labels its answer application/json.", "practice"
)
EXTRA = requirement(
    "ack.extra", Level.INFO, "The App backend may add members of its own to its answer; they are named."
)
LEAVE = requirement(
    "type.leave", Level.MUST, "The App backend acknowledges a member who left by choice (Type `Leave`)."
)
KICKED = requirement(
    "type.kicked", Level.MUST, "The App backend acknowledges a member who was kicked out (Type `Kicked`)."
)
EXPIRED = requirement("type.expired", Level.MUST, "The App backend acknowledges a member whose heartbeat expired.")
SCALAR = requirement(
    "bad.scalar", Level.SHOULD, "The App backend neither acknowledges a bare number nor answers it with 5xx."
)
LONG = requirement("reason.long", Level.SHOULD, "The App backend acknowledges a Reason of 1000 bytes.", "REST-KICK")
VALID = requirement(
    "sign.valid", Level.MUST, "The App backend acknowledges a correct Sign and RequestTime.", "protocol.md 1.5"
)
STALE = requirement("sign.stale", Level.SHOULD, "The App backend refuses a RequestTime more than 60 s off.", "OV-LIVE")


def exchange(
    kind: str, status: int, body: str, *, sent: bytes | None = None, label: str = "application/json"
) -> Exchange:
    """A callback of Type *kind* (or with the body *sent*) and its answer."""
    packet = (
        sent
        if sent is not None
        else (
            f'{{"CallbackCommand":"Room.CallbackAfterMemberLeave","Type":"{kind}","MemberList_Account":["user1"],"EventTime":1670574414123}}'
        ).encode()
    )
    url = f"{BACKEND.target}&SdkAppid=1400000001&CallbackCommand=Room.CallbackAfterMemberLeave&contenttype=json"
    answer = Response(status, (("content-type", label), *_HEADERS[1:]), body.encode(), 3.25)
    outcome = Ending.DELIVERED if status == 200 else Ending.HTTP_STATUS
    return Exchange(CallbackRequest(url, packet), answer, outcome, "", 3.25, 2000)


def passed(one: Requirement) -> CaseJudged:
    """It was kept."""
    return CaseJudged(one, Verdict.PASS, duration_ms=1.25)


def found(one: Requirement, verdict: Verdict, *findings: Finding, reason: str = "") -> CaseJudged:
    """It was not."""
    return CaseJudged(one, verdict, findings, reason, duration_ms=4.5)


def skipped(one: Requirement) -> CaseJudged:
    """It could not be judged."""
    return CaseJudged(one, Verdict.NOT_JUDGED, reason="no token given (ROOMHOOK_TOKEN)")


_SERVER_ERROR = "KeyError: 'Reason'\n  File \"app.py\", line 7"


def _crash(one: Requirement, kind: str) -> Finding:
    return Finding(
        one,
        "a valid callback was not acknowledged",
        "HTTP 200",
        "HTTP 500",
        exchange(kind, 500, _SERVER_ERROR, label="text/plain"),
        cause="ack.status",
        hint="Look into the log of your backend.",
    )


def _findings(*, strict: bool) -> dict[str, CaseJudged]:
    should = Verdict.FAIL if strict else Verdict.WARN
    quoted = exchange("Leave", 200, '{"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": "0", "RequestId": "b7f1"}')
    code = Finding(
        CODE, "a valid callback was not acknowledged", "an integer", '"0"', quoted, "$.ErrorCode", CODE.id, count=3
    )
    markup = exchange("Leave", 200, "<script>alert(1)</script>`", sent=b"\x80\x00 it's raw", label="text/html")
    content = Finding(CONTENT, "an answer is not labelled JSON", "application/json", "text/html", markup)
    extra = Finding(EXTRA, "an answer has members of its own (allowed)", "the three documented", "RequestId", quoted)
    scalar = Finding(
        SCALAR,
        "a body of one number was acknowledged",
        "anything but HTTP 200 with ActionStatus OK",
        "HTTP 200 with ActionStatus OK",
        exchange("", 200, "{}", sent=b"42"),
    )
    return {
        CODE.id: found(CODE, Verdict.FAIL, code),
        CONTENT.id: found(CONTENT, should, content),
        EXTRA.id: found(EXTRA, Verdict.INFO, extra),
        KICKED.id: found(KICKED, Verdict.FAIL, _crash(KICKED, "Kicked")),
        EXPIRED.id: found(EXPIRED, Verdict.FAIL, _crash(EXPIRED, "Expired")),
        SCALAR.id: found(SCALAR, should, scalar),
        LONG.id: found(
            LONG,
            Verdict.KNOWN,
            replace(_crash(LONG, "Leave"), cause=None),
            reason="the column is widened in sprint 12 (until 2026-12-31)",
        ),
    }


_ALL = (STATUS, CODE, CONTENT, EXTRA, LEAVE, KICKED, EXPIRED, LONG, SCALAR, VALID, STALE)


def failing(*, strict: bool = False) -> Run:
    """A run with every verdict: pass, fail, warn, known, info and not judged."""
    special = _findings(strict=strict)
    cases = tuple(special.get(one.id) or (skipped(one) if one.group == "sign" else passed(one)) for one in _ALL)
    summary = Summary(RunOutcome.VIOLATES, 20, 17, 14, 15, 18, {"http-status": 3})
    return RunStarted(replace(BACKEND, strict=strict), _BEGAN, len(cases)), RunFinished(summary, cases, 1.84)


def passing() -> Run:
    """A run with nothing to complain about."""
    cases = tuple(skipped(one) if one.group == "sign" else passed(one) for one in _ALL)
    summary = Summary(RunOutcome.CONFORMS, 20, 20, 20, 20, 20)
    return RunStarted(BACKEND, _BEGAN, len(cases)), RunFinished(summary, cases, 1.2)


def unreachable() -> Run:
    """A run against nobody."""
    detail = f"{BACKEND.target} refused the connection (Connection refused)"
    return RunStarted(BACKEND, _BEGAN, len(_ALL)), RunFinished(Summary(RunOutcome.UNREACHABLE, detail=detail), (), 0.02)


def nothing_ran() -> Run:
    """A run in which no requirement could be judged."""
    cases = (skipped(VALID), skipped(STALE))
    detail = "nothing could be judged: no token given (ROOMHOOK_TOKEN)"
    summary = Summary(RunOutcome.NOTHING_RAN, 4, 4, 4, 4, 4, detail=detail)
    return RunStarted(BACKEND, _BEGAN, 2), RunFinished(summary, cases, 0.1)


def ended_early() -> Run:
    """A run whose target went away; the engine blames ack.status for it after all cases have been told."""
    gone = Finding(
        STATUS, "the target accepts no connections any more", "HTTP 200", "it refused the connection", cause=STATUS.id
    )
    lost = "the target accepts no connections any more"
    cases = (found(STATUS, Verdict.FAIL, gone), passed(LEAVE), CaseJudged(KICKED, Verdict.NOT_JUDGED, reason=lost))
    summary = Summary(RunOutcome.VIOLATES, 3, 2, 2, 2, 2, {"refused": 1}, lost)
    return RunStarted(BACKEND, _BEGAN, 3), RunFinished(summary, cases, 2.3)


def interrupted() -> Run:
    """A run that somebody stopped; all that was sent was answered well."""
    cases = (passed(STATUS), passed(LEAVE), CaseJudged(KICKED, Verdict.NOT_JUDGED, reason="stopped by Ctrl-C"))
    summary = Summary(RunOutcome.INTERRUPTED, 3, 3, 3, 3, 3, detail="stopped by Ctrl-C, so this is a part of a run")
    return RunStarted(BACKEND, _BEGAN, 3), RunFinished(summary, cases, 0.4)


def document(run: Run) -> RunReport:
    """The report of a run as data."""
    return report_of(*run, version="0.1.0")


def events(run: Run) -> tuple[RunEvent, ...]:
    """The run as the engine tells it."""
    started, finished = run
    return started, *finished.cases, finished


def saved(report: RunReport, path: Path) -> Path:
    """*report* as JSON in the file at *path*, made with its folders."""
    from roomhook.contract_tests.reports import json_report

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json_report.render(report), encoding="utf-8")
    return path
