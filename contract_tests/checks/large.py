"""Requirements on valid packets that are large: every documented maximum at once, and a crowd that leaves together."""

from __future__ import annotations

from typing import Final

from roomhook.contract_tests.checks.packets import dumped
from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.case import Case

__all__: list[str] = []

_CROWD: Final = 293
"""A prime below the 300 of the vendor's sample: no work in pieces comes out even."""
_REASON: Final = "网络断开已离开这个会议室" * 27 + "再见再见再见再见再"
"""1000 bytes at most in UTF-8; twice that where each character is written as an escape."""


@check("packet.longest")
def all_maxima(case: Case) -> None:
    r"""About 3 kB: 20 accounts, the longest ids, and the longest Reason as ``\u`` escapes."""
    for one in ("members.twenty", "reason.long", "reason.escapes", "id.user-max", "id.room-max"):
        case.needs(one)
    draft = case.leave(
        RoomId=case.room().ljust(48, "x")[:48],
        MemberList_Account=[account.ljust(32, "x")[:32] for account in case.accounts(20)],
        Reason=_REASON,
    )
    case.acknowledges(draft.sent_as(body=dumped(ensure_ascii=True)), note="a packet with all documented maxima")


@check("members.crowd")
def crowd(case: Case) -> None:
    """Nearly as many accounts as the room of the vendor's own sample holds."""
    case.needs("members.twenty")
    case.acknowledges(case.leave(MemberList_Account=case.accounts(_CROWD)), note=f"a packet with {_CROWD} accounts")
