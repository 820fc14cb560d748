"""Requirements that only generated packets can judge; Hypothesis is imported only for those who ask for them."""

from __future__ import annotations

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.case import Case

__all__: list[str] = []


@check("fuzz.valid")
def valid(case: Case) -> None:
    """Generated callbacks that the documents allow."""
    from roomhook.contract_tests.fuzzing.fuzzer import fuzz_valid  # noqa: PLC0415

    fuzz_valid(case)


@check("fuzz.near-miss")
def near_miss(case: Case) -> None:
    """Generated packets that the schema of what must be accepted forbids."""
    from roomhook.contract_tests.fuzzing.fuzzer import fuzz_near_misses  # noqa: PLC0415

    fuzz_near_misses(case)
