"""Requirements on members of one room who leave and enter at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from roomhook.contract_tests.checks.http import BurstRoom
from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.effects import blame_state, blame_unlisted, deliver, leave_draft
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.simulator.protocol.callback_request import CallbackRequest

__all__: list[str] = []

_LEAVING: Final = 6
_ROUNDS: Final = 2
_ENTERED_TOGETHER: Final = 25


@check("effect.parallel-leaves", "effect.parallel-enter")
def at_once(case: Case) -> None:
    """Six of eight leave one room at the same moment; or four leave while four others enter."""
    case.needs("effect.leave")
    case.needs("http.parallel")
    if case.run.settings.members:
        raise NotJudgedError("needs members of its own")
    entering = case.requirement.id == "effect.parallel-enter"
    if entering:
        case.needs("effect.parallel-leaves")
        if case.run.access.enter is not None:
            raise NotJudgedError("needs members who enter by callbacks")
    for _ in range(_ROUNDS):
        _round(case, entering=entering)
        if case.findings:
            return


def _round(case: Case, *, entering: bool) -> None:
    leaving, staying, coming = case.accounts(_LEAVING), case.accounts(2), case.accounts(_LEAVING if entering else 0)
    room = case.populated_room([*leaving, *staying])
    leaves = [case.build(leave_draft(case, room, [one])) for one in leaving]
    enters = [case.build_enter([one], room) for one in coming]
    both = [one for pair in zip(leaves, enters, strict=True) for one in pair] if entering else leaves
    exchanges = _delivered(case, both)
    expected = {*staying, *coming}
    members = case.settled(room, expected)
    if members != expected:
        what = f"{_LEAVING} left" + (f" and {len(coming)} entered" if entering else "")
        blame_state(case, room, exchanges[0], expected, members, f"after {what} at the same moment")


def _delivered(case: Case, callbacks: Sequence[CallbackRequest]) -> Sequence[Exchange]:
    """Send all at once; what is not acknowledged is sent again alone, as a retry would be."""
    exchanges = case.run.send_together(callbacks, patience_ms=case.run.patience_ms(len(callbacks)))
    return [one if one.acknowledged else deliver(case, one.callback) for one in exchanges]


@check("effect.burst")
def burst(case: Case) -> None:
    """The two hundred leaves of http.burst, which are of one room, have emptied it but for those who stay."""
    case.needs("effect.parallel-leaves")
    case.needs("http.burst")
    burst_room = case.run.kept(BurstRoom)
    room, staying = burst_room.room, set(burst_room.staying)
    if not room:
        raise NotJudgedError("http.burst has not sent leaves of members who had entered")
    members = case.settled(room, staying)
    if members != staying or burst_room.unlisted:
        everybody, crowd = case.accounts(len(burst_room.leaving) + len(staying)), case.room()
        some = [everybody[first : first + _ENTERED_TOGETHER] for first in range(0, len(everybody), _ENTERED_TOGETHER)]
        entered = not any(case.bring_in(each, crowd, together=True) for each in some)
        if entered and blame_unlisted(case, crowd, everybody):
            return
    if members != staying:
        blame_state(case, room, None, staying, members, f"after {len(burst_room.leaving)} left one room together")
