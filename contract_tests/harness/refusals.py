"""Judges whether a callback is refused: by its answer, or by the probe where the target refuses silently."""

from __future__ import annotations

from typing import Final

from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case, taken_as_valid
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.naming import listed
from roomhook.simulator.protocol.response_check import Violation

__all__ = ["need_explicit_refusal", "refuses", "refuses_known"]

_AFTER_ITS_LIKE: Final = "after the same packet was acknowledged under the right URL"
_IN_A_ROOM: Final = "with another callback about a room, whose members the probe lists afterwards"


def refuses(case: Case, draft: CallbackDraft, what: str, *, server_error_ok: bool = True, series: str = "") -> Exchange:
    """*draft* must not get ActionStatus OK; the documents do not say how to refuse, so every other response passes.

    *series* says what was sent before, if that matters.
    """
    silent = case.run.settings.refusal == "silent"
    exchange = _ignored(case, draft, what) if silent else case.send(draft)
    if exchange.hung:
        case.send(case.leave())  # tells a target that ignores a foreign callback from one that hangs
    if taken_as_valid(exchange) and not silent:
        case.blame(
            exchange,
            f"{what} was acknowledged",
            Violation("", "anything but ActionStatus OK and ErrorCode 0", "HTTP 200 with ActionStatus OK"),
            aside="If your backend drops such a callback and answers OK on purpose, say --refusal silent.",
            series=series,
        )
    elif not server_error_ok:
        case.blame_crash(exchange, what)
    return exchange


def refuses_known(case: Case, draft: CallbackDraft, what: str) -> None:
    """Unless a finding says so already, *draft* must be refused even over the body of an acknowledged callback.

    A target that looks for duplicates, or into a cache, before it looks who is calling shows here only. One that
    refuses silently does not: it may well answer OK, and the event has happened.
    """
    if case.findings or case.run.settings.refusal == "silent":
        return
    known = case.send_valid(case.leave())
    if known.acknowledged and known.callback.body is not None:
        refuses(case, draft.sent_as(body=known.callback.body), what, series=_AFTER_ITS_LIKE)


def _ignored(case: Case, draft: CallbackDraft, what: str) -> Exchange:
    """A target that refuses silently must not act on *draft*, as the probe tells."""
    if case.run.access.probe is None:
        raise NotJudgedError("--refusal silent: only a probe can tell (--probe)")
    case.needs("effect.leave")
    account, witness, other = case.accounts(3)
    room = case.populated_room([account, witness, other])
    in_room = {"RoomId": room, "MemberList_Account": [account], "Operator_Account": account}
    exchange = case.send(case.build(draft.packet(**{**in_room, **draft.fields})))
    case.send(case.build(case.leave(RoomId=room, MemberList_Account=[witness])))  # tells when both are through
    members = case.settled(room, {account, other})
    if account not in members:
        breach = Violation("", f"{account} still in the room", f"{listed(members)} in the room")
        case.blame(exchange, f"{what} was acted upon: {account} is gone from {room}", breach, series=_IN_A_ROOM)
    return exchange


def need_explicit_refusal(case: Case) -> None:
    """Stop here if the target refuses silently: its answer tells nothing."""
    if case.run.settings.refusal == "silent":
        raise NotJudgedError("--refusal silent: the answer tells nothing")
