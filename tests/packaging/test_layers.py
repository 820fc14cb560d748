"""The shape of the code: who may know whom, what is pure, what a module shows to others."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "simulator", "contract_tests", "loadtests", "src/roomhook")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PURE = (
    "simulator/room_backend/state/error_codes.py",
    "simulator/room_backend/state/engine.py",
    "simulator/room_backend/state/rooms.py",
    "simulator/room_backend/state/options.py",
    "simulator/room_backend/state/room_record.py",
    "simulator/room_backend/state/heartbeats.py",
    "simulator/room_backend/state/members.py",
    "simulator/room_backend/api/rest.py",
    "simulator/room_backend/api/rest_schemas.py",
    "simulator/room_backend/api/client_actions.py",
    "simulator/room_backend/api/usersig.py",
    "simulator/protocol/callback_url.py",
    "simulator/protocol/callback_request.py",
    "simulator/protocol/curl.py",
    "simulator/util/random_stream.py",
    "simulator/protocol/response_check.py",
    "simulator/rooms/packet_edits.py",
    "simulator/protocol/callback_event.py",
    "simulator/protocol/room_packets.py",
    "simulator/rooms/sample_callback.py",
    "simulator/protocol/outcomes.py",
    "simulator/protocol/packets.py",
    "simulator/rooms/people.py",
    "simulator/traffic/profiles.py",
    "simulator/transport/retry_policy.py",
    "simulator/rooms/behaviour.py",
    "simulator/rooms/room.py",
    "simulator/rooms/room_ids.py",
    "simulator/traffic/arrivals.py",
    "simulator/traffic/departures.py",
    "simulator/traffic/generator.py",
    "simulator/traffic/phases.py",
    "simulator/traffic/population.py",
    "simulator/traffic/room_group.py",
    "simulator/traffic/visits.py",
    "simulator/traffic/world.py",
    "contract_tests/harness/drafts.py",
    "contract_tests/model/register.py",
    "contract_tests/model/verdicts.py",
)
"""Modules that need no clock, no global randomness, no environment and no network: they are passed in."""
IMPURE = {"asyncio", "datetime", "os", "random", "secrets", "subprocess", "threading", "time", "uuid"}
OF_ONE_KIND = {"contract_tests/checks", "contract_tests/reports"}
HOT_PATH = next(
    paragraph
    for paragraph in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("\n- ")
    if paragraph.startswith("**The hot path may have large classes.**")
)
"""The paragraph that names the classes with more than twelve attributes, and says why."""
STATEMENTS_OF_AN_INIT = (ast.Expr, ast.ImportFrom, ast.Import)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> set[str]:
    """The modules that *tree* imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def exported(tree: ast.Module) -> list[str]:
    """What ``__all__`` says."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(one, ast.Name) and one.id == "__all__" for one in node.targets
        ):
            names: list[str] = ast.literal_eval(node.value)
            return names
    return []


def defined(tree: ast.Module) -> set[str]:
    """The names that *tree* defines at its top level, or says for the type checkers that it has."""
    found: set[str] = set()
    lazy = [one for node in tree.body if isinstance(node, ast.If) for one in node.body]
    for node in [*tree.body, *lazy]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Assign):
            found |= {one.id for one in node.targets if isinstance(one, ast.Name)}
    return found


@pytest.mark.parametrize("path", MODULES, ids=named)
class TestEveryModule:
    def test_opens_with_a_sentence(self, path: Path) -> None:
        docstring = ast.get_docstring(parsed(path))
        assert docstring
        assert docstring.split("\n\n")[0].rstrip().endswith((".", "?"))

    def test_shows_what_it_says_it_shows(self, path: Path) -> None:
        tree = parsed(path)
        names = exported(tree)
        assert len(names) == len(set(names))
        assert set(names) <= defined(tree)
        public = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not _registered(node)
            and not path.name.startswith("test_")
        }
        assert public <= set(names), "public, yet not in __all__"

    def test_stays_readable(self, path: Path) -> None:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400

    def test_keeps_its_classes_small(self, path: Path) -> None:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                assert (node.end_lineno or 0) - node.lineno < 250, node.name
                exempt = f"`{node.name}`" in HOT_PATH
                assert exempt or len(_attributes(node)) <= 12, f"{node.name} sets {sorted(_attributes(node))}"


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=named)
def test_a_folder_holds_at_most_twelve_modules_or_sixteen_of_one_kind(folder: Path) -> None:
    most = 16 if named(folder) in OF_ONE_KIND else 12
    assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= most


LAZY = ROOT / "src" / "roomhook" / "__init__.py"
"""The names that Python programs import; it imports their modules when they are asked for."""


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py" and path != LAZY], ids=named)
def test_an_init_keeps_no_state_and_imports_nothing_of_ours(path: Path) -> None:
    tree = parsed(path)
    assert all(isinstance(node, STATEMENTS_OF_AN_INIT) for node in tree.body)
    assert not any(name.startswith("roomhook") for name in imported(tree))


def test_importing_the_package_imports_nothing_of_ours_until_a_name_is_asked_for() -> None:
    program = (
        "import sys, roomhook\n"
        "assert not [one for one in sys.modules if one.startswith('roomhook.')]\n"
        "assert {getattr(roomhook, name).__name__ for name in roomhook.__all__} == set(roomhook.__all__)\n"
        "assert not hasattr(roomhook, 'other')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", [name for name in PURE if (ROOT / name).exists()])
def test_a_pure_module_reads_no_clock_no_global_randomness_and_no_environment(name: str) -> None:
    names = imported(parsed(ROOT / name)) - {"random.Random", "datetime.date"}
    assert {one for one in names if one.partition(".")[0] in IMPURE} == set()


def test_the_list_of_pure_modules_is_current() -> None:
    assert [name for name in PURE if not (ROOT / name).exists()] == []


def test_the_view_for_the_type_checkers_leads_to_every_module() -> None:
    subprocess.run(["make", "--silent", "view"], cwd=ROOT, check=True, capture_output=True)
    view = ROOT / "build" / "typing"
    seen = {path.resolve() for path in _walk(view)}
    assert set(MODULES) <= seen


def test_an_arrow_that_points_up_is_noticed(tmp_path: Path) -> None:
    package = tmp_path / "roomhook"
    for path in MODULES:  # the same modules, empty
        inside = path.relative_to(ROOT / "src" / "roomhook" if "src" in path.parts else ROOT)
        (package / inside).parent.mkdir(parents=True, exist_ok=True)
        (package / inside).touch()
    linter = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--config",
        str(ROOT / "pyproject.toml"),
        "--no-cache",
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def verdict() -> int:
        return subprocess.run(linter, cwd=tmp_path, check=False, capture_output=True, env=environment).returncode

    assert verdict() == 0
    (package / "simulator" / "bad.py").write_text("import roomhook.contract_tests\n")
    assert verdict() == 1
    (package / "simulator" / "bad.py").write_text("import locust\n")
    assert verdict() == 1


def _registered(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether a decorator hands it to a register, from where it is found."""
    names = {ast.unparse(one).partition("(")[0] for one in node.decorator_list}
    return bool(names & {"app.command", "breaks", "check", "pytest.fixture"})


def _attributes(node: ast.ClassDef) -> set[str]:
    """The attributes that ``__init__`` sets."""
    return {
        one.attr
        for function in node.body
        if isinstance(function, ast.FunctionDef) and function.name == "__init__"
        for one in ast.walk(function)
        if isinstance(one, ast.Attribute)
        and isinstance(one.ctx, ast.Store)
        and isinstance(one.value, ast.Name)
        and one.value.id == "self"
    }


def _walk(folder: Path) -> list[Path]:
    return [
        Path(parent) / name
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.endswith(".py")
    ]
