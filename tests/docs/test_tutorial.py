"""The tutorial and the CI recipes work as they stand: their files are written and their commands are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest

pytestmark = [pytest.mark.long, pytest.mark.exhaustive]

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ROOMHOOK_", "GITHUB_"))}
    return subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def blocks() -> Iterator[tuple[list[str], str]]:
    for match in FENCE.finditer((DOCS / "tutorial.md").read_text(encoding="utf-8")):
        yield match["info"].split(), match["text"]


def green_app(folder: Path) -> None:
    (folder / "app.py").write_text([text for info, text in blocks() if info == ["python", "app.py"]][-1])


def test_tutorial_goes_from_red_to_green_as_it_says(tmp_path: Path) -> None:
    codes = []
    for info, text in blocks():
        if info[0] == "python":
            (tmp_path / info[1]).write_text(text)
        elif info[0] == "sh" and "skip" not in info:
            done = run(text, tmp_path)
            expected = next((int(word.removeprefix("exit=")) for word in info if word.startswith("exit=")), 0)
            assert done.returncode == expected, f"{text}\n{done.stdout}\n{done.stderr}"
            codes.append(expected)

    assert codes == [1, 0, 1, 0, 0]


def test_red_app_fails_for_what_the_tutorial_names(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(next(text for info, text in blocks() if info == ["python", "app.py"]))

    done = run(
        "roomhook check --exec 'python app.py {port}' 'http://127.0.0.1:{port}/callback'"
        " --probe 'http://127.0.0.1:{port}/rooms/{RoomId}' --only app-id.wrong,effect.all-members,bad.truncated",
        tmp_path,
    )

    assert "FAIL  app-id.wrong" in done.stdout
    assert "FAIL  effect.all-members" in done.stdout


def commands(recipe: str) -> list[str]:
    """The lines of a recipe that run roomhook, without what the pipeline's own format puts before them."""
    lines = (DOCS / "ci" / recipe).read_text(encoding="utf-8").splitlines()
    return [line.strip().removeprefix("- ") for line in lines if re.match(r"\s*(- )?roomhook check ", line)]


@pytest.mark.parametrize("recipe", ["github-actions.yml", "gitlab-ci.yml", "Jenkinsfile", "check.sh"])
def test_recipe_leaves_a_report_where_its_pipeline_looks_for_it(recipe: str, tmp_path: Path) -> None:
    green_app(tmp_path)
    (command,) = commands(recipe)

    done = run(command + " --only ack,type", tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "roomhook-report" / "roomhook-junit.xml").is_file()


def test_shell_recipe_passes_on_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import sys; sys.exit('no database')")

    done = run(quote(str(DOCS / "ci" / "check.sh")), tmp_path)

    assert done.returncode == 3
    assert "no database" in done.stdout
