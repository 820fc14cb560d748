"""What people get for their own pytest suites: fixtures, examples that show them, and peace without them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inner_pytest import PYTEST

from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.pytest_support.callbacks import RoomCallbacks, assert_conforms

pytestmark = pytest.mark.long

EXAMPLES = Path(__file__).parents[3] / "examples" / "pytest"


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PYTEST, "--rootdir", str(folder), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    "options",
    [pytest.param((), id="alone"), pytest.param(("-n", "2"), id="under xdist", marks=pytest.mark.exhaustive)],
)
def test_examples_pass_as_they_stand(tmp_path: Path, options: tuple[str, ...]) -> None:
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)

    done = run_pytest(tmp_path, *options)

    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout


def test_suite_that_does_not_use_the_plugin_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_own.py").write_text(
        "import sys\n"
        "def test_own():\n"
        "    ours = {one for one in sys.modules if one.startswith('roomhook')}\n"
        "    light = {'roomhook', 'roomhook.contract_tests', 'roomhook.contract_tests.plugin', 'roomhook.simulator'}\n"
        "    assert ours <= {*light, 'roomhook.simulator.util', 'roomhook.simulator.util.defaults'}\n"
        "    assert not {'requests', 'uvicorn', 'gevent', 'hypothesis.strategies'} & set(sys.modules)\n"
    )

    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # others' plugins import what they like
    done = run_pytest(tmp_path, "-p", "roomhook.contract_tests.plugin")

    assert done.returncode == 0, done.stdout
    assert "roomhook" not in done.stdout


def test_every_option_of_the_plugin_starts_with_room(tmp_path: Path) -> None:
    shown = run_pytest(tmp_path, "--help").stdout
    group = shown[shown.index("Roomhook: contract tests") :].split("\n\n")[0]
    options = [word for line in group.splitlines() for word in line.split()[:1] if word.startswith("--")]

    assert options
    assert all(one.startswith("--room-") for one in options)


def test_broken_backend_fails_with_the_whole_report(assert_conforms: Callable[..., None]) -> None:
    with BackendServer() as server, pytest.raises(AssertionError) as failure:
        assert_conforms(server.url("type.kicked"), only=["type"])

    assert "FAIL  type.kicked (MUST)" in str(failure.value)
    assert "curl" in str(failure.value)


def test_should_findings_fail_only_when_strict() -> None:
    with BackendServer() as server:
        assert_conforms(server.url("type.unknown"), only=["type"])
        with pytest.raises(AssertionError, match=r"type\.unknown"):
            assert_conforms(server.url("type.unknown"), only=["type"], strict=True)


def test_fired_tells_in_one_line_what_came_of_it(room_callbacks: RoomCallbacks) -> None:
    with BackendServer() as server:
        fired = room_callbacks(server.url("ack.error-code")).leave(room="standup", member="ann")

    assert not fired.acknowledged
    assert fired.status == 200
    assert [one.requirement for one in fired.findings] == ["ack.error-code"]
    assert "ack.error-code" in repr(fired)
    assert "curl" in repr(fired)


def test_asgi_app_that_does_not_start_is_said_so(room_callbacks: RoomCallbacks) -> None:
    async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(Exception, match="does not start"):
        room_callbacks(app)
