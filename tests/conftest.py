"""What all tests share: property tests draw the same examples every time and untimed; golden files hold whole texts.

In parallel, long tests start first. Nothing that a test starts or makes outlives the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from default_signals import stop_ignoring_signals
from hypothesis import HealthCheck, settings
from left_behind import nothing_left_behind

stop_ignoring_signals()
settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

TOGETHER = (
    "tests/contract_tests/app_backends/test_broken_backends.py",
    "tests/contract_tests/fuzzing/test_fuzz_packets.py::test_a_valid_packet",
    "tests/loadtests/test_load_engines.py",
    "tests/loadtests/test_load_locust.py::TestRuns",
    "tests/loadtests/test_load_refusals.py",
    "tests/contract_tests/reports/test_report_pages.py",
    "tests/packaging/test_layers.py",
    "tests/packaging/test_wheel.py",
    "tests/simulator/console/test_console_pages.py",
    "tests/pages/test_pages_fit.py",
    "tests/pipelines/test_pipelines.py::test_the_action",
    "tests/pipelines/test_containers.py",
    "tests/docs/test_site.py",
)
"""Tests that share what takes long to make, by how their ids begin: every process would make it anew."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the files in tests/golden as they come out")
    parser.addoption(
        "--exhaustive", action="store_true", help="run also what starts many programs or takes long: make test-all does"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as there are processors, since tests wait half of their time."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out one test after the other, in order, and what is in TOGETHER to one process."""
    from xdist.scheduler import LoadScopeScheduling

    class OneByOne(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
        def _split_scope(self, nodeid: str) -> str:
            return next((one for one in TOGETHER if nodeid.startswith(one)), nodeid)

    return OneByOne(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--exhaustive"):
        left_out = [one for one in items if one.get_closest_marker("exhaustive") or one.get_closest_marker("alone")]
        spared = set(left_out)
        items[:] = [one for one in items if one not in spared]
        config.hook.pytest_deselected(items=left_out)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_behind(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with nothing_left_behind(pytestconfig.rootpath, tmp_path_factory.mktemp("t")):
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the file of that name in tests/golden; ``pytest --update-golden`` writes it instead."""

    def check(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"there is no golden file {name}; pytest --update-golden writes it"
        assert text == path.read_text(encoding="utf-8")

    return check
