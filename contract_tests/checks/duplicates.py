"""Requirements on callbacks that arrive more than once, as retries do."""

from __future__ import annotations

from roomhook.contract_tests.checks.http import judge_together
from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.case import Case

__all__: list[str] = []


@check("duplicate.ack")
def twice(case: Case) -> None:
    """The same bytes twice: a retry must be acknowledged like the first."""
    for _ in range(2):
        callback = case.prepare_valid()
        first, second = case.send_valid(callback), case.send_valid(callback)
        if second.acknowledged:
            return
    note = "the second of two equal callbacks" if first.acknowledged else "a callback sent twice"
    case.blame_unacknowledged(second, note)


@check("duplicate.parallel")
def four_at_once(case: Case) -> None:
    """The same bytes four times at once: a retry may overtake the first."""
    case.needs("duplicate.ack")
    case.needs("http.parallel")
    judge_together(case, lambda: [case.prepare_valid()] * 4, "of four equal callbacks at once", deadline=False)
