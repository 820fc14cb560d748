"""Defects that show to a rare order of events, a rare count or a rare list, in App backends that else are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import MemberEvent
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished


def found(variant: Variant, *only: str) -> dict[str, list[str]]:
    """The messages of what a run over *only* these finds, by requirement."""
    with listening(variant) as url:
        settings = Settings(url, SDKAPPID, settle_s=0.1, only=only)
        run = SuiteRun(settings, probe=lambda room: set(variant.members(room)), sleep=lambda _: None)
        finished = list(run.events())[-1]
    assert isinstance(finished, RunFinished)
    return {case.requirement.id: [one.message for one in case.findings] for case in finished.cases if case.findings}


class EmptiesOn(Variant):
    """Empties the room before an event that *clears* it."""

    def __init__(self, clears: Callable[[MemberEvent], bool]) -> None:
        super().__init__()
        self.clears = clears

    async def apply(self, event: MemberEvent) -> None:
        if self.clears(event):
            self.presence.leave(event.room_id, self.members(event.room_id), event.event_time)
        await super().apply(event)


COUNTS: Final = {
    "was kicked with MemberCount 0": lambda event: event.type == "Kicked" and event.member_count == 0,
    "dropped out with MemberCount 0": lambda event: event.type == "Expired" and event.member_count == 0,
    "entered with MemberCount 1": lambda event: event.type == "Enter" and event.member_count == 1,
}


@pytest.mark.parametrize("what", COUNTS)
def test_no_kick_expiry_or_enter_empties_the_room_by_its_count(what: str) -> None:
    messages = found(EmptiesOn(COUNTS[what]), "effect.count")["effect.count"]
    assert len(messages) == 1
    assert what in messages[0]
