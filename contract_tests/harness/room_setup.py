"""Brings members into rooms, and waits until the probe shows what is expected."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from roomhook.contract_tests.harness.baseline import CallbackBuilder, NotJudgedError
from roomhook.contract_tests.harness.context import RunContext
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.harness.records.ledger import (
    SHARED_BY,
    EffectLedger,
    WatchedLeave,
    ahead_ms,
    entered_ms,
    happened_before,
    is_plain,
    near_twin,
    watchable,
    watched,
)
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.naming import listed
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.transport.probe import Listing, SetupError
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.packets import ENTER_COMMAND

__all__ = [
    "STATE_APART",
    "NotEnteredError",
    "bring_in",
    "populated_room",
    "prepare",
    "prepare_watched",
    "refuse_strangers",
    "settled",
    "try_lists",
]

STATE_APART: Final = "Do several processes of your app each keep a state of their own? Share it, or run one process."
"""What to look at where only some of those who entered are listed."""


class NotEnteredError(Exception):
    """Members entered, by acknowledged callbacks, and are not listed, though others before them were."""

    def __init__(self, text: str, members: set[str]) -> None:
        super().__init__(text)
        self.members = members


def refuse_strangers(settings: Settings, draft: CallbackDraft) -> None:
    """With --room or --member, the target knows only these: another room or member would prove nothing.

    Raises ``NotJudgedError`` if *draft* needs another one.
    """
    if settings.room and "RoomId" in draft.fields and not settings.enter_first:
        raise NotJudgedError("--room fixes the room, and this needs one of its own")
    listed = draft.fields.get("MemberList_Account", ())
    if settings.members and not settings.enter_first and not set(listed) <= set(settings.members):
        raise NotJudgedError("--member fixes the members, and this needs others")


def bring_in(
    run: RunContext,
    builder: CallbackBuilder,
    accounts: Sequence[str],
    room: str,
    *,
    event_time: int | None = None,
    together: bool = False,
    **fields: Any,
) -> Exchange | None:
    """Let *accounts* enter *room* in the user's way, or by one callback each; the first that failed, or None.

    *together* names all of them in one callback, if the target takes lists, and gives them one *event_time*; else each
    has the next millisecond. *fields* replace those of the packet. What fails is sent again before it counts.
    """
    if run.access.enter is not None:
        run.access.enter(room, accounts)
        return None
    failed: Exchange | None = None
    step_ms = 0 if together else 1
    for number, some in enumerate([accounts] if together and run.access.by_list else [[one] for one in accounts]):
        at = None if event_time is None else event_time + number * step_ms
        callback = builder.build_enter(some, room, event_time=at, **fields)
        exchange = run.send(callback)
        for _ in range(run.repeats):
            if exchange.acknowledged or exchange.hung:
                break
            exchange = run.send(callback)
        if not exchange.acknowledged:
            failed = failed or exchange
    return failed


def try_lists(run: RunContext, builder: CallbackBuilder) -> None:
    """Find out whether an enter that lists several brings all of them in: that saves most enters."""
    accounts, room = builder.accounts(3), builder.room()
    run.access.by_list = True
    failed = bring_in(run, builder, accounts, room, together=True)
    run.access.by_list = failed is None and settled(run, room, set(accounts)) == set(accounts)


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


def prepare_watched(
    run: RunContext, builder: CallbackBuilder, draft: CallbackDraft, *, room: str | None, requirement: str, what: str
) -> CallbackRequest:
    """As ``prepare``, for a valid leave; if effects are watched, it leaves a room with others in it.

    Plain leaves share rooms, unless *room* is given: that saves most enters, and most looks at a room.
    """
    before_own = run.access.enter is not None and happened_before(draft, run.now_ms())
    if run.ledger is None or not watchable(draft) or before_own:  # who enters in the user's way enters now
        return prepare(run, builder, draft, room=room)
    if room is None and is_plain(draft):
        taken = _member_of_shared_room(run, builder, run.ledger)
        if taken is not None:
            shared, account, staying = taken
            draft = draft.packet(RoomId=shared, MemberList_Account=[account])
            callback = builder.build(draft)
            run.ledger.watch(callback, WatchedLeave(requirement, what, draft, shared, (account,), staying))
            return callback
    ahead = ahead_ms(draft, run.now_ms())
    leave = replace(watched(builder, draft, room, requirement), what=what, ahead_ms=ahead)
    at = entered_ms(leave.draft, run.ids.next_event_time())
    failed = bring_in(run, builder, leave.people, leave.room, event_time=at, together=True)
    callback = builder.build(leave.draft)
    if failed is None:
        run.ledger.watch(callback, leave)
    return callback


def _member_of_shared_room(
    run: RunContext, builder: CallbackBuilder, ledger: EffectLedger
) -> tuple[str, str, tuple[str, ...]] | None:
    taken = ledger.next_member()
    if taken is None:
        room, (bystander, *members) = builder.room(), builder.accounts(SHARED_BY + 1)
        everybody = [bystander, *members, *(near_twin(one, members) for one in members)]
        if bring_in(run, builder, everybody, room, event_time=run.ids.next_event_time(), together=True) is not None:
            return None
        ledger.share(room, members, bystander)
        taken = ledger.next_member()
    return taken


def populated_room(
    run: RunContext, builder: CallbackBuilder, accounts: Sequence[str], *, event_time: int | None = None
) -> str:
    """A room that the probe lists *accounts* in.

    Raises ``NotJudgedError`` for a set-up that does not get there, and ``NotEnteredError`` if it has got there before.
    """
    room = builder.room()
    failed = bring_in(run, builder, accounts, room, event_time=event_time, together=True)
    own = builder.people if run.settings.room else None
    builder.people.clear()  # who stayed behind in a room that the user named counts no more
    builder.people.update(accounts)
    members = settled(run, room, set(accounts), own=own, quick=run.access.by_list)
    if run.access.by_list and not members >= set(accounts):
        failed = bring_in(run, builder, accounts, room, event_time=event_time)
        members = settled(run, room, set(accounts), own=own)
    if members >= set(accounts):
        run.access.proven = True
        return room
    found = f"the probe {_found(members)} in {room} after {listed(accounts)} entered"
    why = f" ({ENTER_COMMAND} was not acknowledged: {failed.judgement.breaches[0].actual})" if failed else ""
    if run.access.proven and failed is None and not run.settings.members:  # theirs may have left ahead of the clock
        raise NotEnteredError(found, members)
    if not run.access.proven:
        remedy = "; see --probe and --enter-command"
        if failed is None and members & set(accounts):
            remedy = f". {STATE_APART}"
        elif not run.settings.enter_first:
            remedy += ", and --enter-first if a leave of strangers stops your app"
        run.access.set_up_failed(f"{found}{why}{remedy}")
    raise NotJudgedError(run.access.failure or f"{found}{why}")


def _found(members: set[str]) -> str:
    missing = isinstance(members, Listing) and members.missing
    return f"lists {listed(members)}{' (it answers HTTP 404)' if missing else ''}"


def settled(
    run: RunContext,
    room: str,
    expected: set[str],
    *,
    among: set[str] | None = None,
    own: set[str] | None = None,
    until: float | None = None,
    quick: bool = False,
) -> set[str]:
    """Who is in *room*, as soon as that is *expected*, or when the time to settle is over.

    Only those of *among* count, or else *own* and those who are expected, if given.

    *until*, on the monotonic clock, is the end for several rooms that settle side by side. *quick* waits only as long
    as effects have taken so far, with a margin: for a first look, which a patient one follows before anybody is blamed.
    """
    access = run.access
    assert access.probe is not None
    began = time.monotonic()
    patience_s = min(run.settings.settle_s, access.usual_s) if quick else run.settings.settle_s
    end = began + patience_s if until is None else until
    pause_s = 0.01
    while True:
        try:
            members = access.probe(room)
        except SetupError as error:
            if among is None:  # else the room has an unusual name, for which the probe may have no way to ask
                access.set_up_failed(str(error))
            raise NotJudgedError(str(error)) from None
        those = among if own is None or among is not None else own | expected
        if those is not None:
            members = members.among(those) if isinstance(members, Listing) else members & those
        now = time.monotonic()
        if members == expected or now >= end:
            access.took(now - began, came=members == expected)
            return members
        run.pause(pause_s)
        pause_s = min(pause_s * 2, 0.2)
