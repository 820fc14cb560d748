"""The GitHub Action, the GitLab component and the pre-commit hooks: checked by public tools, run as a runner would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from shlex import quote
from typing import Any

import pytest
import yaml
from node_tools import node_program

ROOT = Path(__file__).parents[2]
PARTS = ("src", "schemas", "simulator", "contract_tests", "loadtests")
BACKEND = f"{quote(sys.executable)} -m roomhook backend --listen 127.0.0.1:{{port}}"
REFERENCE = "http://127.0.0.1:{port}/reference"

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


def run(
    *command: str | Path, cwd: Path, env: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "ROOMHOOK", "GITHUB"))}
    done = subprocess.run(
        command, cwd=cwd, check=False, capture_output=True, text=True, timeout=300, env={**plain, **(env or {})}
    )
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the package is built from, so that building it leaves this checkout as it is."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in PARTS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "action.yml"):
        shutil.copy(ROOT / name, folder)
    return folder


class Runner:
    """Runs the shell steps of a composite action: bash as GitHub's runner calls it, and the variables that it sets."""

    def __init__(self, action: Path, temp: Path) -> None:
        self.steps: list[dict[str, Any]] = yaml.safe_load((action / "action.yml").read_text())["runs"]["steps"]
        self.inputs = yaml.safe_load((action / "action.yml").read_text())["inputs"]
        self.temp = temp
        self.workspace = temp / "workspace"
        self.workspace.mkdir()
        self.env = {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(action),
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(temp / "output"),
            "GITHUB_STEP_SUMMARY": str(temp / "summary.md"),
            "RUNNER_TEMP": str(temp),
            "RUNNER_OS": "Linux",
        }

    def step(self, name: str, **given: str) -> subprocess.CompletedProcess[str]:
        (step,) = (one for one in self.steps if one.get("id") == name)
        values = {f"inputs.{key}": str(about["default"]) for key, about in self.inputs.items()}
        values |= {f"inputs.{key.replace('_', '-')}": value for key, value in given.items()}
        values |= {"runner.temp": str(self.temp), "steps.python.outputs.python-path": sys.executable}

        def filled(text: str) -> str:
            return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: values[found[1]], text)

        script = self.temp / f"{name}.sh"
        script.write_text(filled(step["run"]))
        env = {key: filled(text) for key, text in step.get("env", {}).items()}
        (self.temp / "output").write_text("")
        return run(
            *("bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)),
            cwd=self.workspace, env={**self.env, **env}, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def runner(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    found = Runner(checkout, tmp_path_factory.mktemp("runner"))
    for name in ("key", "install"):
        done = found.step(name)
        assert done.returncode == 0, done.stderr
    return found


def test_the_action_is_valid() -> None:
    run(node_program("action-validator"), "action.yml", cwd=ROOT)


def test_every_step_of_the_action_that_a_runner_skips_or_runs_is_named_by_a_version() -> None:
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    assert all(re.search(r"@v\d+$", step["uses"]) for step in steps if "uses" in step)
    assert all(step["shell"] == "bash" for step in steps if "run" in step)
    assert not any("${{" in step["run"] for step in steps if "run" in step), "an input would be run as code"


@pytest.mark.exhaustive
def test_the_action_passes_an_app_that_conforms(runner: Runner) -> None:
    done = runner.step("check", url=REFERENCE, exec=BACKEND, options="--only ack.* --seed 7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (runner.temp / "output").read_text() == "exit-code=0\n"
    assert "Conforms" in (runner.temp / "summary.md").read_text() or (runner.temp / "summary.md").stat().st_size > 100
    reports = {one.name for one in (runner.workspace / "roomhook-report").iterdir()}
    assert reports == {"roomhook.json", "roomhook-junit.xml", "roomhook.html", "roomhook.sarif"}


@pytest.mark.exhaustive
def test_the_action_fails_with_annotations_where_the_app_does_not_conform(runner: Runner) -> None:
    url = "http://127.0.0.1:{port}/ack.error-code"
    done = runner.step(
        "check",
        url=url,
        exec=f"{BACKEND} --broken ack.error-code",
        options="--only ack.*",
        report_dir="out",
        token="t0",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert (runner.temp / "output").read_text() == "exit-code=1\n"
    assert "::error" in done.stdout
    assert (runner.workspace / "out" / "roomhook.sarif").exists()


@pytest.mark.exhaustive
def test_the_gitlab_component_runs_in_gitlabs_order(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    shutil.copy(ROOT / "templates" / "check.yml", tmp_path / "templates")
    inputs = {"exec": BACKEND, "url": REFERENCE, "package": str(checkout), "options": "--only ack.*"}
    recipe = {"include": [{"local": "templates/check.yml", "inputs": inputs}]}
    (tmp_path / ".gitlab-ci.yml").write_text(yaml.safe_dump(recipe))
    run("git", "init", "-q", ".", cwd=tmp_path)
    run("git", "remote", "add", "origin", "git@gitlab.example:group/app.git", cwd=tmp_path)
    run("git", "add", "-A", cwd=tmp_path)
    run("git", "-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-qm", "app", cwd=tmp_path)
    expanded = run(node_program("gitlab-ci-local"), "--preview", "--home", tmp_path, cwd=tmp_path).stdout
    job = yaml.safe_load(expanded[expanded.index("---") :])["roomhook-check"]
    project = {"CI_PROJECT_DIR": str(tmp_path), "GITLAB_CI": "true", "CI": "true"}
    env = {name: value.replace("$CI_PROJECT_DIR", str(tmp_path)) for name, value in job["variables"].items()}
    script = "\n".join(["set -eo pipefail", *job["before_script"], *job["script"]])
    done = run("bash", "-c", script, cwd=tmp_path, env={**project, **env}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CONFORMS" in done.stdout
    assert (tmp_path / job["artifacts"]["reports"]["junit"]).exists()


def test_the_hooks_refuse_a_packet_that_is_not_as_documented(tmp_path: Path) -> None:
    manifest = ROOT / ".pre-commit-hooks.yaml"
    program = str(Path(sys.executable).with_name("pre-commit"))
    run(program, "validate-manifest", str(manifest), cwd=tmp_path)
    hooks = [{**hook, "language": "system"} for hook in yaml.safe_load(manifest.read_text())]
    config = {"repos": [{"repo": "local", "hooks": hooks}]}
    (tmp_path / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    samples = ROOT / "schemas" / "examples"
    shutil.copy(samples / "valid" / "leave" / "page-sample.json", tmp_path / "leave-1.json")
    shutil.copy(samples / "valid" / "leave" / "twenty-members-kicked.json", tmp_path / "leave-2.json")
    shutil.copy(samples / "valid" / "enter" / "documented-sample.json", tmp_path / "enter.json")
    run("git", "init", "-q", ".", cwd=tmp_path)
    run("git", "add", "-A", cwd=tmp_path)
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PRE_COMMIT_HOME": str(tmp_path / "home"),
    }
    passed = run(program, "run", "--all-files", cwd=tmp_path, env=env)
    assert passed.stdout.count("Passed") == 2
    shutil.copy(samples / "invalid" / "leave" / "room-id-missing.json", tmp_path / "leave-2.json")
    run("git", "add", "-A", cwd=tmp_path)
    refused = run(program, "run", "--all-files", cwd=tmp_path, env=env, check=False)
    assert refused.returncode == 1
    assert re.search(r"leave-2\.json: .*RoomId", refused.stdout)
    assert "leave-1.json: matches leave" in refused.stdout
