"""The pytest plugin: ``--room-*`` options, and the contract suite as one test a requirement.

Installed as an entry point it is loaded by every pytest run, so it imports nothing heavy and does nothing unless asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from roomhook.simulator.util.defaults import DEADLINE_MS, SDKAPPID

if TYPE_CHECKING:
    from roomhook.contract_tests.api.room_backend import RoomBackend
    from roomhook.contract_tests.pytest_support.callbacks import RoomCallbacks
    from roomhook.contract_tests.pytest_support.session import PytestRun

__all__ = [
    "assert_conforms",
    "contract_key",
    "pytest_addoption",
    "pytest_collection",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "room_backend",
    "room_callbacks",
]

contract_key: pytest.StashKey[PytestRun] = pytest.StashKey()
"""Where a session keeps the contract that it holds its target to."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the suite; they all start with ``--room-``, since locust's plugin claims ``--host``."""
    group = parser.getgroup(
        "roomhook", "Roomhook: contract tests of an App backend (pytest --pyargs roomhook.contract_tests)"
    )
    add = group.addoption
    add("--room-target", metavar="URL", help="your App backend's callback URL")
    add("--room-sdkappid", type=int, default=SDKAPPID, metavar="N", help="its SDKAppID (default: %(default)s)")
    add("--room-token", metavar="TOKEN", help="sign callbacks with this token (better: ROOMHOOK_TOKEN)")
    add(
        "--room-deadline",
        type=float,
        default=DEADLINE_MS / 1000,
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
    add("--room-fuzz", type=int, default=0, metavar="N", help="judge fuzz.* too, with N generated packets each")
    add("--room-known", metavar="FILE", help="tolerate the failures that this TOML file lists: id, reason, until")
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


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Refuse bad options of the suite before anything is collected, where pytest shows that as one line."""
    config = session.config
    if config.getoption("--room-target") or any("roomhook.contract_tests" in argument for argument in config.args):
        from roomhook.contract_tests.pytest_support.session import PytestRun, settings_from  # noqa: PLC0415 (as below)

        PytestRun(settings_from(config))


@pytest.fixture
def room_callbacks() -> Iterator[RoomCallbacks]:
    """Fire leave, kicked, expired and enter callbacks at a URL, or at an ASGI or WSGI app in this process."""
    from roomhook.contract_tests.pytest_support.callbacks import RoomCallbacks  # noqa: PLC0415 (only those who ask pay for it)

    with ExitStack() as stack:
        yield RoomCallbacks(stack)


@pytest.fixture
def room_backend(request: pytest.FixtureRequest) -> Iterator[RoomBackend]:
    """A mock Room backend in this process, with a virtual clock that begins now.

    ``--room-sdkappid`` and ``--room-token`` (or ROOMHOOK_TOKEN) are its app's.
    """
    import os  # noqa: PLC0415 (as above)

    from roomhook.contract_tests.api.room_backend import RoomBackend  # noqa: PLC0415

    option = request.config.getoption
    token = option("--room-token") or os.environ.get("ROOMHOOK_TOKEN") or None
    sdkappid = int(option("--room-sdkappid") or SDKAPPID)
    with RoomBackend(sdkappid=sdkappid, token=token) as backend:
        yield backend


@pytest.fixture
def assert_conforms(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Hold an App backend, by URL or as an app, against the whole contract.

    A fixture ``room_members(room_id) -> set[str]`` of the suite, if there is one, is the probe; a fixture
    ``room_enter(room_id, accounts)`` brings people in.
    """
    from roomhook.contract_tests.pytest_support.callbacks import assert_conforms as hold  # noqa: PLC0415

    functions: dict[str, Any] = {}
    for option, fixture in (("probe", "room_members"), ("enter", "room_enter")):
        with suppress(pytest.FixtureLookupError):
            functions[option] = request.getfixturevalue(fixture)
    return lambda url_or_app, **options: hold(url_or_app, **{**functions, **options})


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
