"""Each example, started as its README.md says, is clean under a strict run, with a token and without."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import pytest

from roomhook.contract_tests.model.register import Level, load_register

pytestmark = pytest.mark.long

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
START: Final = re.compile(r"^Start: `(.+)`$", re.MULTILINE)
HOWTO: Final = EXAMPLES.parent / "docs" / "howto-write-an-app-backend.md"
SNIPPET: Final = re.compile(r"^<!-- (\S+) -->\n```\w+\n(.+?)^```$", re.MULTILINE | re.DOTALL)
PROVE: Final = re.compile(r"^```sh\n(roomhook check .+?)\n```$", re.MULTILINE | re.DOTALL)

Command = Callable[[Path], str | None]
"""What a stack lacks in its folder, or None when it is complete."""


def modules(*names: str) -> Command:
    return lambda _: next(
        (f"no {name}: pip install {name}" for name in names if not importlib.util.find_spec(name)), None
    )


def programs(*names: str) -> Command:
    return lambda _: next((f"no {name} on this machine" for name in names if not shutil.which(name)), None)


def php(_: Path) -> str | None:
    if not shutil.which("php"):
        return "no php on this machine"
    return None if "pdo_sqlite" in output("php", "-m") else "php has no pdo_sqlite: apt-get install php-sqlite3"


def java(_: Path) -> str | None:
    if not shutil.which("java"):
        return "no java on this machine"
    version = re.search(r'version "(\d+)', output("java", "-version"))
    return None if version and int(version[1]) >= 17 else "java is older than 17"


def npm(folder: Path) -> str | None:
    lack = programs("node", "npm")(folder)
    if lack or (folder / "node_modules").exists():
        return lack
    installed = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, check=False, timeout=90
    )
    return None if installed.returncode == 0 else f"npm ci failed: {installed.stderr.strip()[-200:]}"


def output(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr


NEEDS: Final[dict[str, Command]] = {
    "django": modules("django", "gunicorn"),
    "express": npm,
    "fastapi": modules("fastapi", "sqlalchemy", "uvicorn"),
    "flask": modules("flask", "gunicorn"),
    "go": programs("go"),
    "jdk": java,
    "node-http": programs("node"),
    "php": php,
}

STACKS: Final = sorted(NEEDS)

NOTED: Final = {"url.https", "sign.upper", "ack.cold-start"}
NOTED_OF: Final = {"django": {"http.chunked"}, "php": {"http.split-head"}}
"""What a strict run may remark on, all of it INFO; each README.md explains its own. A busy machine starts cold."""

IMPORTS: Final = ("import ", "from ", '\t"')
LONGEST: Final = {"jdk": 145}
"""In lines, imports apart; the JDK has no JSON parser, as its README.md says."""


def readme(stack: str) -> str:
    return (EXAMPLES / stack / "README.md").read_text()


def start(stack: str) -> str:
    found = START.search(readme(stack))
    assert found, f"examples/{stack}/README.md has no line Start: `...`"
    return found[1]


def prove(stack: str) -> str:
    found = PROVE.search(readme(stack))
    assert found, f"examples/{stack}/README.md has no roomhook check in a block of its own"
    return found[1]


@pytest.fixture
def folder(stack: str, tmp_path: Path, pytestconfig: pytest.Config) -> Path:
    """Where *stack* is started: a copy, so that the working tree stays as it is."""
    if stack != "express":
        return Path(shutil.copytree(EXAMPLES / stack, tmp_path / stack))
    cache = pytestconfig.cache
    assert cache is not None
    kept = cache.mkdir("express")  # npm ci once a machine, not once a test
    shutil.copytree(EXAMPLES / stack, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    return kept


def checked(stack: str, folder: Path, tmp_path: Path, token: str, *options: str) -> dict[str, Any]:
    """The report of the README's own proof, run in *folder*, with *options* besides."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    database = folder / f"rooms-{len(token)}-{sum(map(len, options))}.db"
    env = {**os.environ, "PATH": path, "ROOMHOOK_TOKEN": token, "DATABASE": str(database), "SDKAPPID": "1400000001"}
    env["TMPDIR"] = str(tmp_path)  # what is killed cleans nothing up
    ran = subprocess.run(
        " ".join([prove(stack), *options, "--format json"]),
        shell=True,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ran.stdout, ran.stderr
    report: dict[str, Any] = json.loads(ran.stdout)
    blamed = [
        f"{one['id']}: {one['message']}; {one['actual']['text']}"
        for one in report["findings"]
        if one["verdict"] == "fail"
    ]
    assert (blamed, ran.returncode) == ([], 0), ran.stderr
    return report


def ids(report: dict[str, Any], verdict: str) -> set[str]:
    return {one["id"] for one in report["requirements"] if one["verdict"] == verdict}


def _group(requirement: str) -> str:
    return requirement if requirement == "effect.sign" else requirement.partition(".")[0]


@pytest.mark.examples
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "stack", [pytest.param(one, marks=() if one == "fastapi" else pytest.mark.exhaustive) for one in STACKS]
)
def test_example_is_clean_under_a_strict_run(
    stack: str, folder: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    lack = NEEDS[stack](folder)
    if lack:
        pytest.skip(lack)

    runs = {("a token of its own", ""): {"tls"}, ("", "--only ack,type,url,app-id"): set()}
    if pytestconfig.getoption("--exhaustive"):
        runs["", "--exclude http"] = {"sign", "effect.sign", "tls"}  # connections are the same with a token
    with ThreadPoolExecutor() as pool:
        reports = pool.map(lambda run: checked(stack, folder, tmp_path, *run), runs)
    for report, unjudged in zip(reports, runs.values(), strict=True):
        assert ids(report, "info") <= NOTED | NOTED_OF.get(stack, set())
        assert {_group(one) for one in ids(report, "not-judged")} == unjudged


def test_every_app_backend_of_the_examples_is_started() -> None:
    started = [path.parent.name for path in EXAMPLES.glob("*/README.md") if START.search(path.read_text())]

    assert sorted(started) == STACKS


@pytest.mark.parametrize("stack", STACKS)
def test_example_is_one_file_that_starts_with_the_command_that_is_proven(stack: str) -> None:
    sources = [
        path.name for path in (EXAMPLES / stack).iterdir() if path.suffix in {".py", ".js", ".java", ".php", ".go"}
    ]

    assert len(sources) == 1
    assert f"--exec '{start(stack).replace('8000', '{port}')}'" in prove(stack)


@pytest.mark.parametrize("stack", STACKS)
def test_example_is_short_enough_to_be_read_at_once(stack: str) -> None:
    (source,) = (EXAMPLES / stack).glob("[aA]pp.*")
    lines = [line for line in source.read_text().splitlines() if line.strip() and not line.startswith(IMPORTS)]

    assert len(lines) <= LONGEST.get(stack, 90)


@pytest.mark.parametrize("stack", STACKS)
def test_example_imports_nothing_of_roomhook(stack: str) -> None:
    (source,) = (path for path in (EXAMPLES / stack).glob("[aA]pp.*"))

    assert "roomhook" not in source.read_text()


def test_every_snippet_of_the_how_to_is_cut_from_a_file_that_is_tested() -> None:
    howto = HOWTO.read_text()
    snippets = SNIPPET.findall(howto)

    assert howto.count("```") == 2 * len(snippets) > 0
    assert [path for path, text in snippets if text not in (EXAMPLES.parent / path).read_text()] == []


def test_how_to_names_only_requirements_that_exist_and_each_must_and_should() -> None:
    register = load_register()
    groups = {one.partition(".")[0] for one in register}
    names = re.findall(r"`([a-z-]+\.[a-z0-9.-]+\*?)`", HOWTO.read_text())
    named = {one for one in names if one.partition(".")[0] in groups}
    told = {id_ for id_ in register if any(fnmatchcase(id_, one) for one in named)}

    assert {one for one in named if not any(fnmatchcase(id_, one) for id_ in register)} == set()
    assert {one for one in named if one.endswith("*") and one.count(".") < 2} == set(), "a whole group tells nothing"
    assert {id_ for id_, one in register.items() if one.level is not Level.INFO} - told == set()
