"""The contract suite as pytest runs it: one test a requirement, named by its id."""

from __future__ import annotations

import pytest

from roomhook.contract_tests.model.register import Requirement
from roomhook.contract_tests.model.verdicts import Verdict
from roomhook.contract_tests.plugin import contract_key
from roomhook.contract_tests.pytest_support.session import PytestRun, failure_text, settings_from


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each selected requirement, in the order in which they are best judged."""
    stash = metafunc.config.stash
    if contract_key not in stash:
        stash[contract_key] = PytestRun(settings_from(metafunc.config))
    requirements = stash[contract_key].requirements
    metafunc.parametrize("requirement", requirements, ids=[one.id for one in requirements])


def test_requirement(requirement: Requirement, pytestconfig: pytest.Config) -> None:
    """Fail for a finding that fails the run, expect-fail for a SHOULD or a known failure, skip what is not judged."""
    judged = pytestconfig.stash[contract_key].judge(requirement)
    if judged.verdict is Verdict.NOT_JUDGED:
        pytest.skip(judged.reason)
    if judged.verdict is Verdict.FAIL:
        pytest.fail(failure_text(judged), pytrace=False)
    if judged.verdict is Verdict.KNOWN:
        pytest.xfail(judged.reason)
    if judged.verdict is Verdict.WARN:
        pytest.xfail(judged.findings[0].message)
