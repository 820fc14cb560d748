"""Builds, sends and judges callbacks for one requirement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from roomhook.contract_tests.harness import room_setup
from roomhook.contract_tests.harness.baseline import NotJudgedError, TargetLostError
from roomhook.contract_tests.harness.context import RunContext
from roomhook.contract_tests.harness.crash import CRASH_HINT, crash_of
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.harness.hints import hint_for
from roomhook.contract_tests.harness.records.observations import Observation
from roomhook.contract_tests.harness.target_health import verify_target_alive
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.naming import listed
from roomhook.contract_tests.model.register import Level, Requirement, load_register
from roomhook.contract_tests.model.verdicts import CaseJudged, Finding, Verdict
from roomhook.contract_tests.transport.client import KeptConnection
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.response_check import Violation, check_response

__all__ = ["Case", "Judge", "passes", "taken_as_valid"]

Judge = Callable[[Requirement], CaseJudged]
"""Gives the verdict on another requirement, on which a case builds."""


class Case:
    """One requirement's turn: its rooms and members are its own, so that suites can run at once against one target."""

    def __init__(self, run: RunContext, requirement: Requirement, judge: Judge) -> None:
        self.run = run
        self.requirement = requirement
        self.findings: list[Finding] = []
        self.judge = judge
        self._builder = run.builder(requirement.id)

    # Building

    def leave(self, **fields: Any) -> CallbackDraft:
        """The baseline callback with *fields* of its packet replaced, added or (``ABSENT``) dropped."""
        return CallbackDraft(fields)

    def account(self) -> str:
        """A new UserID."""
        return self._builder.account()

    def accounts(self, count: int) -> list[str]:
        """*count* different UserIDs."""
        return self._builder.accounts(count)

    def room(self) -> str:
        """A new RoomId that carries the run and the case, or the one that the user named."""
        return self._builder.room()

    def build(self, draft: CallbackDraft, *, room: str | None = None) -> CallbackRequest:
        """*draft* as a callback of a room of its own (or *room*), at the present time."""
        return self._builder.build(draft, room=room)

    def build_enter(self, accounts: Sequence[str], room: str, *, event_time: int | None = None) -> CallbackRequest:
        """Room.CallbackAfterMemberEnter for *accounts*; *event_time* in ms, default now."""
        return self._builder.build_enter(accounts, room, event_time=event_time)

    def prepare(self, draft: CallbackDraft, *, room: str | None = None) -> CallbackRequest:
        """*draft* as a callback (of *room*, if given), after its members have entered if the user wants that."""
        return room_setup.prepare(self.run, self._builder, draft, room=room)

    def prepare_valid(
        self, draft: CallbackDraft | None = None, *, room: str | None = None, note: str = ""
    ) -> CallbackRequest:
        """As ``prepare``, for a valid leave (the baseline, if none is given), whose effect is watched."""
        draft, requirement = draft or self.leave(), self.requirement.id
        return room_setup.prepare_watched(self.run, self._builder, draft, room=room, requirement=requirement, what=note)

    # Sending

    def send(
        self,
        what: CallbackDraft | CallbackRequest,
        *,
        connection: KeptConnection | None = None,
        patience_ms: float | None = None,
        room: str | None = None,
    ) -> Exchange:
        """Send one callback (of *room*, for a draft that names none), on a fresh connection unless one is given."""
        callback = self.prepare(what, room=room) if isinstance(what, CallbackDraft) else what
        return self.run.send(callback, connection=connection, patience_ms=patience_ms)

    def send_valid(
        self, what: CallbackDraft | CallbackRequest, *, connection: KeptConnection | None = None, note: str = ""
    ) -> Exchange:
        """As ``send``, for a callback that counts into the summary of valid ones, and whose effect is watched."""
        callback = self.prepare_valid(what, note=note) if isinstance(what, CallbackDraft) else what
        exchange = self.send(callback, connection=connection)
        if self.requirement.level is not Level.INFO:  # what nobody owes does not count
            self.run.count_valid(exchange)
        return exchange

    # Rooms

    def bring_in(
        self,
        accounts: Sequence[str],
        room: str,
        *,
        event_time: int | None = None,
        together: bool = False,
        **fields: Any,
    ) -> Exchange | None:
        """As ``room_setup.bring_in``: let *accounts* enter *room*; the first callback that failed, or None."""
        options: dict[str, Any] = {"event_time": event_time, "together": together, **fields}
        return room_setup.bring_in(self.run, self._builder, accounts, room, **options)

    def populated_room(self, accounts: Sequence[str], *, event_time: int | None = None) -> str:
        """A room that the probe lists *accounts* in; raises ``NotJudgedError`` for a set-up that does not get there.

        Where others were listed before, those who are not are a finding.
        """
        try:
            return room_setup.populated_room(self.run, self._builder, accounts, event_time=event_time)
        except room_setup.NotEnteredError as error:
            breach = Violation("", f"{listed(accounts)} in the room", f"{listed(error.members)} in the room")
            self.blame(None, str(error), breach, hint=room_setup.STATE_APART if error.members else "")
            raise NotJudgedError(str(error)) from None

    def settled(
        self,
        room: str,
        expected: set[str],
        *,
        among: set[str] | None = None,
        until: float | None = None,
        quick: bool = False,
    ) -> set[str]:
        """As ``room_setup.settled``: who is in *room* (in one of the user's, only people of this case count)."""
        own = self._builder.people if self.run.settings.room else None
        return room_setup.settled(self.run, room, expected, among=among, own=own, until=until, quick=quick)

    # Judging

    def needs(self, requirement: str) -> None:
        """Stop here if *requirement*, on which this one builds, does not hold."""
        judged = self.judge(load_register()[requirement])
        if judged.verdict is Verdict.NOT_JUDGED:
            raise NotJudgedError(judged.reason)
        if judged.findings and judged.verdict is not Verdict.INFO:
            raise NotJudgedError(f"skipped because {requirement} failed")

    def acknowledges(
        self, draft: CallbackDraft, *, connection: KeptConnection | None = None, note: str = ""
    ) -> Exchange:
        """A valid callback must be acknowledged; what fails once only is blamed on the answer, not on this case."""
        room_setup.refuse_strangers(self.run.settings, draft)
        exchange = self.send_valid(draft, connection=connection, note=note)
        if exchange.acknowledged:
            self._watch_margin(draft, exchange)
            return exchange
        departs = draft != CallbackDraft()
        if departs and exchange.hung:
            verify_target_alive(self.run)
        for _ in range(self.run.repeats):
            again = self.send_valid(draft, note=note)
            if again.acknowledged:
                self.run.flaky.add(exchange)
                return again
        if self.run.lost:
            raise TargetLostError(self.run.lost)
        if departs:
            verify_target_alive(self.run)
        self.blame_unacknowledged(exchange, note)
        return exchange

    def blame_unacknowledged(self, exchange: Exchange, note: str = "") -> None:
        """Add the finding for a valid callback that was not acknowledged."""
        breach = exchange.judgement.breaches[0]
        self.blame(
            exchange,
            f"{note or 'a valid callback'} was not acknowledged",
            breach,
            cause=breach.requirement,
            hint=hint_for(exchange, self.run.settings, every=False),
        )

    def survives(self, draft: CallbackDraft, what: str, *, watched: str = "") -> Exchange:
        """*draft* must be answered, and without a crash; any other answer will do.

        *watched* names a leave that need not be acknowledged, but that must be applied if it is.
        """
        exchange = self._patiently(draft, watched=watched)
        if exchange.hung:
            verify_target_alive(self.run)
            self.blame(
                exchange, f"{what} got no answer", Violation("", "any answer below 500", exchange.detail or "none")
            )
        else:
            self.blame_crash(exchange, what)
        return exchange

    def rejects(self, draft: CallbackDraft, what: str) -> Exchange:
        """*draft* is no valid callback: both ActionStatus OK and a crash fail."""
        exchange = self._patiently(draft)
        if taken_as_valid(exchange):
            expected = "anything but ActionStatus OK and ErrorCode 0"
            self.blame(exchange, f"{what} was acknowledged", Violation("", expected, "HTTP 200 with ActionStatus OK"))
        else:
            self.blame_crash(exchange, what)
        return exchange

    def tells_if_acknowledged(self, draft: CallbackDraft, what: str) -> Exchange:
        """Note it if *draft*, which is no valid callback, is acknowledged; every other answer will do."""
        exchange = self.send(draft)
        if taken_as_valid(exchange):
            expected = "a refusal, or an acknowledgement that you mean"
            self.blame(exchange, f"{what} was acknowledged", Violation("", expected, "HTTP 200 with ActionStatus OK"))
        return exchange

    def blame(
        self,
        exchange: Exchange | None,
        message: str,
        breach: Violation,
        *,
        cause: str | None = None,
        hint: str = "",
        aside: str = "",
        sent_by: tuple[str, ...] = (),
        series: str = "",
    ) -> None:
        """Add a finding."""
        self.findings.append(
            Finding(
                requirement=self.requirement,
                message=message,
                expected=breach.expected,
                actual=breach.actual,
                exchange=exchange,
                path=breach.path,
                cause=cause,
                hint=hint,
                aside=aside,
                sent_by=sent_by,
                series=series,
            )
        )

    def note(self, message: str, *, expected: str, actual: str) -> None:
        """Add a finding that no exchange shows."""
        self.blame(None, message, Violation("", expected, actual))

    def _watch_margin(self, draft: CallbackDraft, exchange: Exchange) -> None:
        """Note an answer that took over half the deadline, if it does so three times alone."""
        margin_ms = self.run.settings.deadline_ms / 2
        if exchange.elapsed_ms <= margin_ms or self.run.observations.seen("ack.margin"):
            return
        for _ in range(2):
            if self.send_valid(draft).elapsed_ms <= margin_ms:
                return
        within, took = f"within {margin_ms:g} ms", f"{exchange.elapsed_ms:.0f} ms"
        seen = Observation("an answer takes over half the deadline", within, took, exchange)
        self.run.observations.add("ack.margin", seen)

    def _patiently(self, draft: CallbackDraft, *, watched: str = "") -> Exchange:
        """Send, and again without an answer or after a server error: once proves nothing."""
        exchange = self.send(self.prepare_valid(draft, note=watched) if watched else draft)
        for _ in range(self.run.repeats - 1):
            if not (exchange.hung or exchange.cut_off or exchange.server_error):
                break
            exchange = self.send(draft)
        return exchange

    def blame_crash(self, exchange: Exchange, what: str) -> None:
        """Add the finding for a handler that crashed on *what*, if it did."""
        breach = crash_of(self.run, exchange)
        if breach is not None:
            verify_target_alive(self.run)
            seen = "got a server error" if exchange.answer is not None else "got no answer"
            self.blame(exchange, f"{what} {seen}", breach, hint=CRASH_HINT)


def passes(case: Case, requirement: str) -> bool:
    """Whether *requirement*, on which a part of *case* builds, has been judged and holds."""
    return case.judge(load_register()[requirement]).verdict is Verdict.PASS


def taken_as_valid(exchange: Exchange) -> bool:
    """Whether the response is HTTP 200 with ActionStatus OK, on time or late."""
    return exchange.answer is not None and not check_response(exchange.answer, deadline_ms=float("inf")).refused
