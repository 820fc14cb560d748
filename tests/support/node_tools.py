"""Node programs with other people's parsers and validators, which read what Roomhook writes."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

__all__ = ["node_program", "read_by_node"]

_ROOT = Path(__file__).parents[2]
_PACKAGES = Path(__file__).parent / "node" / "package.json"
_FOLDER = _ROOT / "build" / "node"


def read_by_node(program: str, given: str) -> Any:
    """What *program* makes of the text *given* (in the variable ``given``): its ``return`` value.

    Skips the test where there is no node, or where its packages can't be installed.
    """
    _install()
    script = f"const given = require('fs').readFileSync(0, 'utf8');\n(async () => {{\n{program}\n}})()"
    script += ".then(made => console.log('\\u0001' + JSON.stringify(made ?? null)))"
    script += ".catch(error => { console.error(error); process.exit(1); });"
    done = subprocess.run(
        ["node", "-e", script], cwd=_FOLDER, input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("\1")[2])


def node_program(name: str) -> str:
    """The path of the program *name* of one of the packages; skips as ``read_by_node``."""
    _install()
    return str(_FOLDER / "node_modules" / ".bin" / name)


def _install() -> None:
    """Install the packages once for all test processes of this checkout."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no node with npm on this machine")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = _PACKAGES.read_text(encoding="utf-8")
        installed = _FOLDER / "installed.json"
        if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
            return
        (_FOLDER / "package.json").write_text(wanted, encoding="utf-8")
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
        done = subprocess.run(command, cwd=_FOLDER, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            pytest.skip(f"npm can't install what reads our formats: {done.stderr[-300:]}")
        installed.write_text(wanted, encoding="utf-8")
