"""Brings members into rooms, and waits until the probe shows what is expected."""

from __future__ import annotations

import time
from collections.abc import Sequence

from roomhook.contract_tests.harness.baseline import CallbackBuilder, NotJudgedError
from roomhook.contract_tests.harness.context import RunContext
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.transport.probe import SetupError
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.packets import ENTER_COMMAND

__all__ = ["bring_in", "populated_room", "prepare", "settled"]


def bring_in(
    run: RunContext, builder: CallbackBuilder, accounts: Sequence[str], room: str, *, event_time: int | None = None
) -> Exchange | None:
    """Let *accounts* enter *room* in the user's way, or by one callback each; the first that failed, or None."""
    if run.access.enter is not None:
        run.access.enter(room, accounts)
        return None
    entering = [builder.build_enter([one], room, event_time=event_time) for one in accounts]
    exchanges = [run.send(callback) for callback in entering]
    return next((exchange for exchange in exchanges if not exchange.acknowledged), None)


def prepare(
    run: RunContext, builder: CallbackBuilder, draft: CallbackDraft, *, room: str | None = None
) -> CallbackRequest:
    """*draft* as a callback (of *room*, if given), after its members have entered if the user wants that."""
    if not (run.settings.enter_first and draft.is_leave):
        return builder.build(draft, room=room)
    named = draft.fields.get("RoomId")
    room = named if isinstance(named, str) else room or builder.room()
    if "MemberList_Account" not in draft.fields:
        builder.start_over()
        draft = draft.packet(MemberList_Account=[builder.account()])
    members = draft.fields["MemberList_Account"]
    if isinstance(members, list):
        bring_in(run, builder, [one for one in members if isinstance(one, str)], room)
    return builder.build(draft, room=room)


def populated_room(
    run: RunContext, builder: CallbackBuilder, accounts: Sequence[str], *, event_time: int | None = None
) -> str:
    """A room that the probe lists *accounts* in; raises ``NotJudgedError`` for a set-up that does not get there."""
    room = builder.room()
    failed = bring_in(run, builder, accounts, room, event_time=event_time)
    members = settled(run, room, set(accounts))
    if members >= set(accounts):
        return room
    listed = f"the probe lists {', '.join(sorted(members)) or 'nobody'} in {room} after {', '.join(accounts)} entered"
    why = f" ({ENTER_COMMAND} was not acknowledged: {failed.judgement.breaches[0].actual})" if failed else ""
    run.access.set_up_failed(f"{listed}{why}; see --probe and --enter-command")
    raise NotJudgedError(run.access.failure)


def settled(run: RunContext, room: str, expected: set[str]) -> set[str]:
    """Who is in *room*, as soon as that is *expected*, or when the time to settle is over."""
    assert run.access.probe is not None
    end = time.monotonic() + run.settings.settle_s
    pause_s = 0.01
    while True:
        try:
            members = run.access.probe(room)
        except SetupError as error:
            run.access.set_up_failed(str(error))
            raise NotJudgedError(str(error)) from None
        if members == expected or time.monotonic() >= end:
            return members
        run.pause(pause_s)
        pause_s = min(pause_s * 2, 0.2)
