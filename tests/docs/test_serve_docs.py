"""The tutorial and the reference of the mock Room backend: what they show works, what they list is all there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from inner_pytest import PYTEST

from roomhook.cli.main import command_line
from roomhook.contract_tests.api.room_backend import RoomBackend
from roomhook.schemas import errata
from roomhook.simulator.room_backend.api.openapi import document
from roomhook.simulator.room_backend.state.error_codes import MEANINGS, Code

pytestmark = pytest.mark.long

DOCS = Path(__file__).parents[2] / "docs"
TUTORIAL = (DOCS / "tutorial-serve.md").read_text(encoding="utf-8")
REFERENCE = (DOCS / "reference-serve.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)
    return str(found)


def options() -> dict[str, str]:
    group = command_line()
    command = group.get_command(group.make_context("roomhook", [], resilient_parsing=True), "serve")
    assert command is not None
    return {option: getattr(parameter, "help", "") for parameter in command.params for option in parameter.opts}


@pytest.fixture
def backend() -> Iterator[RoomBackend]:
    with RoomBackend(start_ms=1_700_000_000_000) as running:
        yield running


def run(backend: RoomBackend, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "BACKEND": backend.url},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_every_path_action_option_and_code_is_in_the_reference() -> None:
    for path in document()["paths"]:
        name = path.removeprefix("/sim/")
        assert f"`{path}`" in REFERENCE or f" {path}`" in REFERENCE or f"`{name}`" in REFERENCE, path
    for code in set(Code) - {Code.OK}:
        assert f"| {int(code)} | {MEANINGS[code]} |" in REFERENCE
    told = REFERENCE + TUTORIAL
    for option in options():
        assert f"`{option}`" in told or f"{option} " in told or option == "--help", option


def test_every_option_that_the_docs_name_exists() -> None:
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", REFERENCE + TUTORIAL))
    assert mentioned - {"--openapi", "--room-sdkappid"} <= set(options())


def test_every_erratum_that_is_named_is_in_the_register_and_leads_back() -> None:
    entries = {one.id: one for one in errata.load().errata}
    for option, name in re.findall(r"\| `(--[a-z-]+)` \| ([a-z-]+) \|", REFERENCE):
        assert f"Erratum {name}." in options()[option]
        assert f"roomhook serve {option}" in entries[name].touches.options


def test_the_python_of_the_tutorial_passes(tmp_path: Path) -> None:
    (tmp_path / "test_tutorial_serve.py").write_text(block("python"), encoding="utf-8")
    command = [*PYTEST, "-p", "roomhook.contract_tests.plugin"]
    quick = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=quick, capture_output=True, text=True, timeout=100, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_the_node_of_the_tutorial_works(backend: RoomBackend, tmp_path: Path) -> None:
    (tmp_path / "expiry.mjs").write_text(block("js"), encoding="utf-8")
    done = run(backend, tmp_path, "node", "expiry.mjs")
    assert done.stdout == "arrived\n", done.stderr
    assert backend.room("from-node").members == []


@pytest.mark.exhaustive
@pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK is installed")
def test_the_java_of_the_tutorial_works(backend: RoomBackend, tmp_path: Path) -> None:
    (tmp_path / "Expiry.java").write_text(block("java"), encoding="utf-8")
    done = run(backend, tmp_path, "java", "Expiry.java")
    assert '"settled":true' in done.stdout, done.stderr
    assert backend.room("from-java").members == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_lines_of_the_tutorial_work(backend: RoomBackend, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)
    calls = "\n".join(one for one in blocks if "curl" in one).replace("http://127.0.0.1:8090", backend.url)
    done = run(backend, tmp_path, "bash", "-euc", calls)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"ErrorCode":0') == 2
    assert "FAIL" not in done.stdout
    assert backend.room("r1").members == []


def test_the_recipe_for_ci_works(tmp_path: Path) -> None:
    (recipe,) = re.findall(r"^```sh\n(roomhook serve --listen.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)
    (tmp_path / "run-your-tests").write_text('#!/bin/sh\necho "$BACKEND"\n', encoding="utf-8")
    (tmp_path / "run-your-tests").chmod(0o755)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", recipe + "wait %1\n"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("http://127.0.0.1:"), done.stderr
    assert done.returncode == 0, done.stderr
