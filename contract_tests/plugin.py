"""The pytest plugin: ``--room-*`` options, and the contract suite as one test a requirement.

Installed as an entry point it is loaded by every pytest run, so it imports nothing heavy and does nothing unless asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from roomhook.contract_tests.contract import Contract

__all__ = ["contract_key", "pytest_addoption", "pytest_sessionfinish", "pytest_terminal_summary"]

contract_key: pytest.StashKey[Contract] = pytest.StashKey()
"""Where a session keeps the contract that it holds its target to."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the suite; they all start with ``--room-``, since locust's plugin claims ``--host``."""
    group = parser.getgroup(
        "roomhook", "Roomhook: contract tests of an App backend (pytest --pyargs roomhook.contract_tests)"
    )
    add = group.addoption
    add("--room-target", metavar="URL", help="your App backend's callback URL")
    add("--room-sdkappid", type=int, default=1400000001, metavar="N", help="its SDKAppID (default: %(default)s)")
    add("--room-token", metavar="TOKEN", help="sign callbacks with this token (better: ROOMHOOK_TOKEN)")
    add(
        "--room-deadline",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="how late an answer may be (default: %(default)s)",
    )
    add("--room-strict", action="store_true", help="SHOULD findings fail too")
    add(
        "--room-refusal",
        choices=("explicit", "silent"),
        default="explicit",
        help="how the target refuses foreign callbacks",
    )
    add("--room-only", action="append", default=[], metavar="ID", help="judge only these: ids, globs, groups")
    add("--room-exclude", action="append", default=[], metavar="ID", help="leave these out")
    add("--room-seed", type=int, metavar="N", help="repeat the random choices of an earlier run")
    add("--room-header", action="append", default=[], metavar="'NAME: VALUE'", help="a header for a gateway in front")
    add("--room-cacert", metavar="FILE", help="a PEM file with the CA of the target's certificate")
    add("--room-insecure", action="store_true", help="accept any certificate")
    add("--room-cert", metavar="FILE", help="a PEM file with our own certificate and key")
    add("--room-proxy", metavar="URL", help="send through this proxy")
    add("--room-wait-for", type=float, default=0.0, metavar="SECONDS", help="wait for a target that is still starting")
    add("--room-enter-first", action="store_true", help="send Room.CallbackAfterMemberEnter before each case")
    add("--room-room", metavar="ID", help="use this existing room")
    add("--room-member", action="append", default=[], metavar="ID", help="use this existing member")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what a run of the suite found besides failures."""
    contract = config.stash.get(contract_key, None)
    if contract is not None:
        terminalreporter.section("roomhook")
        for line in contract.summary_lines():
            terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run of the suite in which nothing was judged is no success."""
    contract = session.config.stash.get(contract_key, None)
    if contract is not None and exitstatus == pytest.ExitCode.OK and not contract.judged_any:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
