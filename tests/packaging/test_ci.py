"""``.ci/run``: installs what it may, says which tests it can't run, and makes test-all."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALWAYS_THERE = ("bash", "dirname", "env")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The only folder on the PATH: what the script itself takes, and programs that write down how they are called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ALWAYS_THERE:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def pretend(folder: Path, name: str, does: str = "") -> None:
    path = folder / name
    path.write_text(f'#!{shutil.which("bash")}\necho "{name} $*" >>"{folder.parent}/calls"\n{does}\n')
    path.chmod(0o755)


def run(folder: Path) -> tuple[list[str], str]:
    """What was called, in order, and what was said."""
    done = subprocess.run(
        [ROOT / ".ci" / "run"], env={"PATH": str(folder)}, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return (folder.parent / "calls").read_text().splitlines(), done.stderr


def test_root_gets_chromium_and_node_from_debian_before_the_tests(programs: Path) -> None:
    pretend(programs, "id", "echo 0")
    pretend(programs, "apt-get")
    pretend(programs, "make")
    calls, said = run(programs)
    assert [call for call in calls if call.startswith("apt-get")] == [
        "apt-get update -qq",
        "apt-get install -qq -y --no-install-recommends chromium nodejs",
    ]
    assert calls[-1] == "make test-all"
    assert "Installing chromium nodejs" in said


def test_other_users_are_told_which_tests_are_skipped(programs: Path) -> None:
    pretend(programs, "id", "echo 1000")
    pretend(programs, "apt-get")
    pretend(programs, "make")
    pretend(programs, "php")
    calls, said = run(programs)
    assert calls == ["id -u", "make test-all"]
    assert "no chromium: tests of HTML pages are skipped" in said
    assert "no node: tests and examples that need it are skipped" in said
    assert "no php" not in said


def test_an_installation_that_fails_does_not_keep_the_tests_from_running(programs: Path) -> None:
    pretend(programs, "id", "echo 0")
    pretend(programs, "apt-get", "exit 100")
    pretend(programs, "make")
    calls, said = run(programs)
    assert calls[-1] == "make test-all"
    assert "apt-get could not install chromium nodejs" in said


def test_nothing_is_installed_where_everything_is_there(programs: Path) -> None:
    for name in ("chromium", "node", "npm", "java", "php", "go", "curl", "id", "apt-get", "make"):
        pretend(programs, name)
    calls, said = run(programs)
    assert calls == ["make test-all"]
    assert said == ""


def test_it_is_a_program() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
