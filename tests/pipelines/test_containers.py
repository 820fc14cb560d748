"""Dockerfile and compose.yaml: passed by public linters, and their commands run in a clean folder.

No image is built: there is no container engine here. What a build would copy is copied, what it would run is run, with
the image's absolute paths moved into the folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from node_tools import node_program

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.long, pytest.mark.timeout(500)]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return found


@dataclass(frozen=True)
class Image:
    """The folder that stands for the root of the image, and the environment that ENV makes."""

    root: Path
    env: dict[str, str]

    def moved(self, text: str) -> str:
        return re.sub(r"(?<![\w.])/(opt/roomhook|build|work)\b", rf"{self.root}/\1", text)

    def run(self, *command: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.root / "work",
            env=self.env,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            **more,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    @contextmanager
    def started(self, command: list[str], **env: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(command, cwd=self.root / "work", env={**self.env, **env}, text=True) as process:
            try:
                yield process
            finally:
                process.terminate()
                assert process.wait(20) in {0, 130, 143, -15}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    root = tmp_path_factory.mktemp("image")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYT", "ROOMHOOK", "VIRTUAL"))}
    found = Image(root, {**plain, "PATH": f"{Path(sys.executable).parent}:{plain['PATH']}"})
    for name in ("opt", "work", "build"):
        (root / name).mkdir()
    folder = root
    for name, arguments in instructions():
        if name == "WORKDIR":
            folder = Path(found.moved(arguments))
        elif name == "COPY" and not arguments.startswith("--from"):
            *sources, target = arguments.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                    shutil.copytree(ROOT / source, folder / target, ignore=ignored)
                else:
                    shutil.copy(ROOT / source, folder / target)
        elif name == "RUN":
            command = re.sub(r"-[og] \d+ ", "", found.moved(arguments))
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=folder,
                env=found.env,
                check=False,
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    env = dict(one.split("=", 1) for kind, text in instructions() if kind == "ENV" for one in text.split())
    path = found.moved(env["PATH"]).replace("$PATH", plain["PATH"])
    return Image(root, {**plain, **env, "PATH": path, "HOME": str(root / "work")})


@pytest.fixture
def ports() -> dict[str, str]:
    """For each port that the files name, a free one."""
    found: dict[str, str] = {}
    with ExitStack() as stack:
        for name in ("8000", "8090", "9000"):
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            found[name] = str(listening.getsockname()[1])
    return found


def here(words: list[str], ports: dict[str, str]) -> list[str]:
    """*words* for this machine: loopback alone, free ports, and no names of services."""
    text = json.dumps(words).replace("0.0.0.0", "127.0.0.1").replace("://app:", "://127.0.0.1:")
    for name, port in ports.items():
        text = re.sub(rf"(?<=[:\s]){name}\b", port, text)
    moved: list[str] = json.loads(text)
    return moved


def wait_until_healthy(image: Image, test: list[str], ports: dict[str, str]) -> None:
    end = time.monotonic() + 60
    while image.run(*here(test, ports), check=False).returncode:
        assert time.monotonic() < end, f"{test} never passed"
        time.sleep(0.1)


@pytest.mark.exhaustive
def test_both_files_pass_their_linters() -> None:
    for program, file in (("dockerfilelint", "Dockerfile"), ("dclint", "compose.yaml")):
        done = subprocess.run([node_program(program), file], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_image_is_slim_runs_as_nobody_special_and_says_whether_it_is_well() -> None:
    kinds = dict(instructions())
    bases = [text for kind, text in instructions() if kind == "FROM"]
    assert [base.partition(" ")[0] for base in bases] == ["python:3.12-slim"] * 2
    assert kinds["USER"] == "10001:10001"
    assert "HEALTHCHECK" in kinds


def test_everything_that_is_copied_is_let_through_to_the_build() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        Path(source).name
        for kind, text in instructions()
        if kind == "COPY" and not text.startswith("--from")
        for source in text.split()[:-1]
    }
    assert allowed == copied


@pytest.mark.exhaustive
def test_the_default_command_serves_and_passes_its_healthcheck(image: Image, ports: dict[str, str]) -> None:
    kinds = dict(instructions())
    command = json.loads(kinds["ENTRYPOINT"]) + here(json.loads(kinds["CMD"]), ports)
    with image.started(command, ROOMHOOK_AUTH="t0ken"):
        test: list[str] = json.loads(kinds["HEALTHCHECK"].partition("CMD ")[2])
        wait_until_healthy(image, [one.replace(", 8090)", f", {ports['8090']})") for one in test], ports)


@pytest.mark.exhaustive
def test_the_services_start_and_the_check_passes(image: Image, ports: dict[str, str]) -> None:
    commands = {
        name: ["roomhook", *here([image.moved(word) for word in one["command"]], ports)]
        for name, one in services().items()
    }
    tests = {
        name: [
            word.replace("8000", ports["8000"]).replace("9000", ports["9000"])
            for word in one["healthcheck"]["test"][1:]
        ]
        for name, one in services().items()
        if "healthcheck" in one
    }
    with image.started(commands["app"]), image.started(commands["listen"]):
        for test in tests.values():
            wait_until_healthy(image, test, {})
        with image.started(commands["serve"], ROOMHOOK_AUTH="t0ken"):
            assert "CONFORMS" in image.run(*commands["check"]).stdout
    assert (image.root / "work" / "arrived.db").exists()


def test_nobody_is_let_in_without_a_token_beyond_loopback() -> None:
    needed = services()["serve"]["environment"]["ROOMHOOK_AUTH"]
    assert needed.startswith("${ROOMHOOK_AUTH:?")
    published = [port for one in services().values() for port in one.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
