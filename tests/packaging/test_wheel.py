"""The built wheel: what is in it, and that it works where no checkout is."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "roomhook": "src/roomhook",
    "roomhook/schemas": "schemas",
    "roomhook/simulator": "simulator",
    "roomhook/contract_tests": "contract_tests",
    "roomhook/loadtests": "loadtests",
}
IN_A_PROGRAM = """\
from roomhook.simulator.protocol.callback_url import CallbackUrl, parameters
from roomhook.simulator.protocol.packets import CheckOutMethod, LeavePacket, encode

packet = LeavePacket(
    operator_account="user1",
    room_id="rid-123",
    member_count=20,
    type="Leave",
    member_list_account=("user1",),
    reason="",
    event_time=1670574414123,
)
body: bytes = encode(packet)
url: str = CallbackUrl.parse("http://127.0.0.1:8000").with_parameters(
    parameters(sdkappid=1400000001, command=packet.callback_command, client_ip="127.0.0.1", platform="iOS")
)
wrong: int = encode(packet)
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


def run(*arguments: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A program in *cwd*, with nothing of ours in its environment."""
    ours = ("PYTHON", "PYTEST", "ROOMHOOK")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(arguments, cwd=cwd, check=False, capture_output=True, text=True, timeout=120, env=env)
    assert not check or done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="module")
def wheel(outside: Path) -> Path:
    """Built by way of the source distribution, with everything that setuptools writes kept out of the checkout."""
    (outside / "setup.cfg").write_text(f"[build]\nbuild_base = {outside}/build\n[egg_info]\negg_base = {outside}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIST_EXTRA_CONFIG", str(outside / "setup.cfg"))
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", outside / "dist", ROOT, cwd=outside)
    (built,) = (outside / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, outside: Path) -> Path:
    """The folder of programs of a new environment that holds the wheel, and what it asks for from PyPI."""
    venv.create(outside / "venv")
    programs = outside / "venv" / "bin"
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        programs / "python",
        "--disable-pip-version-check",
        "install",
    ]
    run(*pip, "--no-compile", "--quiet", wheel, cwd=outside)
    return programs


@pytest.mark.exhaustive
def test_every_file_of_the_folders_is_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    expected = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for package, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names))
    found = {name for name in names if ".dist-info/" not in name}
    assert sorted(expected - found) == [], "missing: see packages, package-dir and package-data in pyproject.toml"
    assert sorted(found - expected) == [], "surplus"


@pytest.mark.exhaustive
def test_the_wheel_carries_licence_and_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (licence,) = (name for name in names if name.endswith("licenses/LICENSE"))
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        text = archive.read(metadata).decode()
    assert "roomhook/py.typed" in names
    assert "License-Expression: Apache-2.0" in text
    assert "Provides-Extra: load" in text


def test_every_subpackage_is_named_in_pyproject() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    on_disk = {
        ".".join([package.replace("/", "."), *path.parent.relative_to(ROOT / folder).parts])
        for package, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert on_disk == set(tool["packages"])
    assert tool["package-dir"] == {package.replace("/", "."): folder for package, folder in FOLDERS.items()}


@pytest.mark.exhaustive
def test_the_command_works_outside_the_checkout(installed: Path, outside: Path) -> None:
    assert "\n  check " in run(installed / "roomhook", "--help", cwd=outside).stdout
    assert run(installed / "python", "-m", "roomhook", "--version", cwd=outside).stdout.startswith("roomhook ")
    assert '"$id"' in run(installed / "roomhook", "schema", "leave", cwd=outside).stdout
    assert '"info"' in run(installed / "roomhook", "schema", "--postman", cwd=outside).stdout
    shown = run(installed / "roomhook", "fire", "leave", "http://127.0.0.1:9/", "--dry-run", cwd=outside).stdout
    assert shown.startswith("POST /?SdkAppid=1400000001&")


@pytest.mark.exhaustive
def test_the_demo_works_outside_the_checkout(installed: Path, outside: Path) -> None:
    run(installed / "roomhook", "demo", cwd=outside)


@pytest.mark.exhaustive
def test_the_suite_works_outside_the_checkout(installed: Path, outside: Path) -> None:
    with subprocess.Popen(
        [installed / "roomhook", "backend", "--listen", "127.0.0.1:0"],
        cwd=outside,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as backend:
        assert backend.stdout
        url = backend.stdout.readline().strip()
        try:
            only = ("--sdkappid", "1400000001", "--only", "ack.*", "--report", "html,har")
            run(installed / "roomhook", "check", url, *only, cwd=outside)
            assert "<h1>Conforms</h1>" in (outside / "roomhook-report" / "roomhook.html").read_text()
            options = ["-p", "no:cacheprovider", "--room-target", url, "--room-sdkappid", "1400000001"]
            run(installed / "python", "-m", "pytest", "--pyargs", "roomhook.contract_tests", *options, cwd=outside)
        finally:
            backend.terminate()


@pytest.mark.exhaustive
def test_a_program_that_uses_the_wheel_is_type_checked(installed: Path, outside: Path) -> None:
    (outside / "program.py").write_text(IN_A_PROGRAM)
    mypy = Path(sys.executable).with_name("mypy")
    checked = run(mypy, "--strict", "--python-executable", installed / "python", "program.py", cwd=outside, check=False)
    complaints = [line for line in checked.stdout.splitlines() if ": error:" in line]
    assert len(complaints) == 1, checked.stdout
    assert 'expression has type "bytes", variable has type "int"' in complaints[0]
