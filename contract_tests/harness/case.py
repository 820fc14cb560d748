"""What a check can do: build departures from the baseline, send them, and judge the answers in the register's terms."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from roomhook.contract_tests.harness.drafts import ABSENT, CallbackDraft
from roomhook.contract_tests.harness.hints import hint_for
from roomhook.contract_tests.harness.observations import Observation
from roomhook.contract_tests.model.register import Requirement, load_register
from roomhook.contract_tests.model.verdicts import Finding, Verdict
from roomhook.contract_tests.transport.client import Connection, Exchange
from roomhook.contract_tests.transport.concurrent import send_by_threads, send_together
from roomhook.contract_tests.transport.probe import SetupError
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.packets import ENTER_COMMAND, LEAVE_COMMAND
from roomhook.simulator.protocol.response_check import Violation, check_response

if TYPE_CHECKING:
    from roomhook.contract_tests.engine.suite import SuiteRun

__all__ = ["Case", "NotJudgedError", "TargetLostError", "is_connection_loss", "is_server_error", "taken_as_valid"]


class NotJudgedError(Exception):
    """Raised by a check that can't judge; the text says why."""


class TargetLostError(Exception):
    """The target hangs or is gone, so that nothing more can be judged."""


class Case:
    """One requirement's turn: its rooms and members are its own, so that suites can run at once against one target."""

    def __init__(self, run: SuiteRun, requirement: Requirement) -> None:
        self.run = run
        self.requirement = requirement
        self.findings: list[Finding] = []
        self._accounts = 0

    # Building

    def leave(self, **fields: Any) -> CallbackDraft:
        """The baseline callback with *fields* of its packet replaced, added or (``ABSENT``) dropped."""
        return CallbackDraft(fields)

    def account(self) -> str:
        """A new UserID: letters and digits, as LIMITS has it."""
        self._accounts += 1
        members = self.run.settings.members
        if members:
            if self._accounts > len(members):
                raise NotJudgedError(f"needs {self._accounts} members; --member names {len(members)}")
            return members[self._accounts - 1]
        return f"u{self.run.id}{self.run.next_number():05d}"

    def accounts(self, count: int) -> list[str]:
        """*count* different UserIDs."""
        return [self.account() for _ in range(count)]

    def room(self) -> str:
        """A new RoomId that carries the run and the case, or the one that the user named."""
        return self.run.settings.room or self.run.next_room(self.requirement.id)

    def build(self, draft: CallbackDraft, *, room: str | None = None) -> CallbackRequest:
        """*draft* as a callback of a room of its own (or *room*), at the present time."""
        run = self.run
        self._accounts = 0
        member = draft.fields.get("MemberList_Account") or [self.account()]
        packet = {
            "CallbackCommand": LEAVE_COMMAND,
            "Operator_Account": member[0]
            if isinstance(member, list) and isinstance(member[0], str)
            else self.account(),
            "RoomId": room or self.room(),
            "MemberCount": 19,
            "Type": "Leave",
            "MemberList_Account": member,
            "Reason": "left the room",
            "EventTime": run.next_event_time(),
        }
        return draft.build(
            run.url,
            packet,
            sdkappid=run.settings.sdkappid,
            token=run.settings.token,
            client_ip=run.client_ip,
            now_s=run.target_time(),
        )

    def build_enter(self, accounts: Sequence[str], room: str, *, event_time: int | None = None) -> CallbackRequest:
        """Room.CallbackAfterMemberEnter for *accounts* (protocol.md 3.2); *event_time* in ms, default now."""
        fields = {
            "CallbackCommand": ENTER_COMMAND,
            "Type": "Enter",
            "MemberList_Account": list(accounts),
            "Reason": ABSENT,
        }
        times = {} if event_time is None else {"EventTime": event_time}
        return self.build(CallbackDraft({**fields, **times}, {"CallbackCommand": ENTER_COMMAND}), room=room)

    # Sending

    def send(
        self,
        what: CallbackDraft | CallbackRequest,
        *,
        connection: Connection | None = None,
        patience_ms: float | None = None,
        room: str | None = None,
    ) -> Exchange:
        """Send one callback (of *room*, for a draft that names none), on a fresh connection unless one is given."""
        callback = self.prepare(what, room=room) if isinstance(what, CallbackDraft) else what
        return self.run.send(callback, connection=connection, patience_ms=patience_ms)

    def together(
        self, callbacks: Sequence[CallbackRequest], *, patience_ms: float, lenient: bool = False
    ) -> list[Exchange]:
        """Send all *callbacks* at once, each on a connection of its own; the answers in the same order.

        *lenient* reads answers as generously as those to lone callbacks are read, and sends less at one moment.
        """
        if self.run.settings.proxy:
            raise NotJudgedError("callbacks that must arrive together can't go through --proxy")
        send = send_by_threads if lenient else send_together
        exchanges = send(self.run.line.client, self.run.settings, callbacks, give_up_ms=patience_ms)
        for exchange in exchanges:
            self.run.observe(exchange)
        return exchanges

    def bring_in(self, accounts: Sequence[str], room: str, *, event_time: int | None = None) -> Exchange | None:
        """Let *accounts* enter *room* in the user's way, or by one callback each; the first that failed, or None."""
        if self.run.enter is not None:
            self.run.enter(room, accounts)
            return None
        exchanges = [self.send(self.build_enter([one], room, event_time=event_time)) for one in accounts]
        return next((exchange for exchange in exchanges if not exchange.acknowledged), None)

    def prepare(self, draft: CallbackDraft, *, room: str | None = None) -> CallbackRequest:
        """*draft* as a callback (of *room*, if given), after its members have entered if the user wants that."""
        if not (self.run.settings.enter_first and draft.is_leave):
            return self.build(draft, room=room)
        named = draft.fields.get("RoomId")
        room = named if isinstance(named, str) else room or self.room()
        if "MemberList_Account" not in draft.fields:
            self._accounts = 0
            draft = draft.packet(MemberList_Account=[self.account()])
        members = draft.fields["MemberList_Account"]
        if isinstance(members, list):
            self.bring_in([one for one in members if isinstance(one, str)], room)
        return self.build(draft, room=room)

    # Effects

    def needs(self, requirement: str) -> None:
        """Stop here if *requirement*, on which this one builds, does not hold."""
        judged = self.run.judge(load_register()[requirement])
        if judged.verdict is Verdict.NOT_JUDGED:
            raise NotJudgedError(judged.reason)
        if judged.findings and judged.verdict is not Verdict.INFO:
            raise NotJudgedError(f"{requirement} comes first")

    def populated_room(self, accounts: Sequence[str], *, event_time: int | None = None) -> str:
        """A room that the probe lists *accounts* in; raises ``NotJudgedError`` for a set-up that does not get there."""
        room = self.room()
        failed = self.bring_in(accounts, room, event_time=event_time)
        members = self.settled(room, set(accounts))
        if members >= set(accounts):
            return room
        listed = (
            f"the probe lists {', '.join(sorted(members)) or 'nobody'} in {room} after {', '.join(accounts)} entered"
        )
        why = f" ({ENTER_COMMAND} was not acknowledged: {failed.judgement.breaches[0].actual})" if failed else ""
        self.run.set_up_failed(f"{listed}{why}; see --probe and --enter-command")
        raise NotJudgedError(self.run.setup_failure)

    def settled(self, room: str, expected: set[str]) -> set[str]:
        """Who is in *room*, as soon as that is *expected*, or when the time to settle is over."""
        run = self.run
        assert run.probe is not None
        end = time.monotonic() + run.settings.settle_s
        pause_s = 0.01
        while True:
            try:
                members = run.probe(room)
            except SetupError as error:
                run.set_up_failed(str(error))
                raise NotJudgedError(str(error)) from None
            if members == expected or time.monotonic() >= end:
                return members
            run.pause(pause_s)
            pause_s = min(pause_s * 2, 0.2)

    # Judging

    def acknowledges(self, draft: CallbackDraft, *, connection: Connection | None = None, note: str = "") -> Exchange:
        """A valid callback must be acknowledged; what fails once only is blamed on the answer, not on this case."""
        self._refuse_strangers(draft)
        exchange = self._valid(draft, connection)
        if exchange.acknowledged:
            self._watch_margin(draft, exchange)
            return exchange
        departs = draft != CallbackDraft()
        if departs and exchange.hung:
            self.run.verify_target_alive()
        for _ in range(self.run.repeats):
            if self.run.lost:
                break
            again = self._valid(draft, None)
            if again.acknowledged:
                self.run.saw_flaky(exchange)
                return again
        if self.run.lost and self.run.opened:
            raise TargetLostError(self.run.lost)
        if departs:
            self.run.verify_target_alive()
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

    def refuses(self, draft: CallbackDraft, what: str, *, server_error_ok: bool = True) -> Exchange:
        """*draft* must not get a clean OK; the documents do not say how to refuse, so every other answer will do."""
        silent = self.run.settings.refusal == "silent"
        exchange = self._ignored(draft, what) if silent else self.send(draft)
        if exchange.hung:
            self.send(self.leave())  # tells a target that ignores a foreign callback from one that hangs
        if taken_as_valid(exchange) and not silent:
            self.blame(
                exchange,
                f"{what} was acknowledged",
                Violation("", "anything but HTTP 200 with ActionStatus OK and ErrorCode 0", "a clean OK"),
                aside="If your backend drops such a callback and answers OK on purpose, say --refusal silent.",
            )
        elif not server_error_ok:
            self._blame_server_error(exchange, what)
        return exchange

    def refuses_known(self, draft: CallbackDraft, what: str) -> None:
        """Unless a finding says so already, *draft* must be refused even over the body of an acknowledged callback.

        A target that looks for duplicates, or into a cache, before it looks who is calling shows here only. One that
        refuses silently does not: it may well answer OK, and the event has happened.
        """
        if self.findings or self.run.settings.refusal == "silent":
            return
        known = self.send(self.leave())
        self.run.count_valid(known)
        if known.acknowledged and known.callback.body is not None:
            self.refuses(draft.sent_as(body=known.callback.body), what)

    def _ignored(self, draft: CallbackDraft, what: str) -> Exchange:
        """A target that refuses silently must not act on *draft*, as the probe tells."""
        if self.run.probe is None:
            raise NotJudgedError("--refusal silent: only a probe can tell (--probe)")
        self.needs("effect.leave")
        account, witness, other = self.accounts(3)
        room = self.populated_room([account, witness, other])
        in_room = {"RoomId": room, "MemberList_Account": [account], "Operator_Account": account}
        exchange = self.send(self.build(draft.packet(**{**in_room, **draft.fields})))
        self.send(self.build(self.leave(RoomId=room, MemberList_Account=[witness])))  # tells when both are through
        members = self.settled(room, {account, other})
        if account not in members:
            breach = Violation(
                "", f"{account} still in the room", f"{', '.join(sorted(members)) or 'nobody'} in the room"
            )
            self.blame(exchange, f"{what} was acted upon: {account} is gone from {room}", breach)
        return exchange

    def survives(self, draft: CallbackDraft, what: str) -> Exchange:
        """*draft* must be answered, and not by a server error; any other answer will do."""
        exchange = self._patiently(draft)
        if exchange.hung:
            self.run.verify_target_alive()
            self.blame(
                exchange, f"{what} got no answer", Violation("", "any answer below 500", exchange.detail or "none")
            )
        else:
            self._blame_server_error(exchange, what)
        return exchange

    def rejects(self, draft: CallbackDraft, what: str) -> Exchange:
        """*draft* is no valid callback: neither a clean OK nor a server error will do."""
        exchange = self._patiently(draft)
        if taken_as_valid(exchange):
            self.blame(
                exchange,
                f"{what} was acknowledged",
                Violation("", "no clean OK: the event is lost silently", "a clean OK"),
            )
        else:
            self._blame_server_error(exchange, what)
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
            )
        )

    def need_explicit_refusal(self) -> None:
        """Stop here if the target refuses silently: its answer tells nothing."""
        if self.run.settings.refusal == "silent":
            raise NotJudgedError("--refusal silent: the answer tells nothing")

    def note(self, message: str, *, expected: str, actual: str) -> None:
        """Add a finding that no exchange shows."""
        self.blame(None, message, Violation("", expected, actual))

    def _refuse_strangers(self, draft: CallbackDraft) -> None:
        """With --room or --member, the target knows only these: another room or member would prove nothing."""
        settings = self.run.settings
        if settings.room and "RoomId" in draft.fields and not settings.enter_first:
            raise NotJudgedError("--room fixes the room, and this needs one of its own")
        listed = draft.fields.get("MemberList_Account", ())
        if settings.members and not settings.enter_first and not set(listed) <= set(settings.members):
            raise NotJudgedError("--member fixes the members, and this needs others")

    def _watch_margin(self, draft: CallbackDraft, exchange: Exchange) -> None:
        """Note an answer that took over half the deadline, if it does so three times alone."""
        margin_ms = self.run.settings.deadline_ms / 2
        if exchange.elapsed_ms <= margin_ms or self.run.observations.seen("ack.margin"):
            return
        for _ in range(2):
            if self._valid(draft, None).elapsed_ms <= margin_ms:
                return
        seen = Observation(
            "an answer takes over half the deadline",
            f"within {margin_ms:g} ms",
            f"{exchange.elapsed_ms:.0f} ms",
            exchange,
        )
        self.run.observations.add("ack.margin", seen)

    def _valid(self, draft: CallbackDraft, connection: Connection | None) -> Exchange:
        exchange = self.send(draft, connection=connection)
        self.run.count_valid(exchange)
        return exchange

    def _patiently(self, draft: CallbackDraft) -> Exchange:
        """Send, and again if the answer hangs or is a server error: once proves nothing."""
        exchange = self.send(draft)
        for _ in range(self.run.repeats - 1):
            if not (exchange.hung or is_server_error(exchange)):
                break
            exchange = self.send(draft)
        return exchange

    def _blame_server_error(self, exchange: Exchange, what: str) -> None:
        if is_server_error(exchange):
            self.run.verify_target_alive()
            self.blame(
                exchange, f"{what} got a server error", Violation("", "any answer below 500", f"HTTP {exchange.status}")
            )


def taken_as_valid(exchange: Exchange) -> bool:
    """Whether the answer is a clean OK, however late it came."""
    return exchange.answer is not None and not check_response(exchange.answer, deadline_ms=float("inf")).refused


def is_server_error(exchange: Exchange) -> bool:
    """Whether the answer is a 5xx."""
    return exchange.status is not None and exchange.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def is_connection_loss(exchange: Exchange) -> bool:
    """Whether the connection ended before any byte of an answer."""
    return exchange.outcome in {DeliveryOutcome.RESET, DeliveryOutcome.CLOSED}
