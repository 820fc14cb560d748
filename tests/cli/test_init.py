"""What ``roomhook init`` finds in a folder, writes, and leaves alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from roomhook.cli.main import main
from roomhook.cli.project.files import RECIPES, Pipeline

ROOT = Path(__file__).parents[2]
FOUND = {
    "fastapi": ("FastAPI", "uvicorn app:app --port {port}"),
    "flask": ("Flask", "gunicorn --threads 8 -b 127.0.0.1:{port} app:app"),
    "django": ("Django", "gunicorn --threads 8 -b 127.0.0.1:{port} app:application"),
    "express": ("Express", "node app.js"),
    "node-http": ("Node", "node app.js"),
    "go": ("Go", "go run app.go {port}"),
    "jdk": ("Java", "java App.java {port}"),
    "php": ("PHP", "php -S 127.0.0.1:{port} app.php"),
}


FACTORY = "def create_app(test=None):\n    app = Flask(__name__)\n    return app\n\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def initialised(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[dict[str, Any], str]:
    """The file that is written, and what is said."""
    assert main(["init", *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return tomllib.loads(Path("roomhook.toml").read_text(encoding="utf-8")), out


@pytest.mark.parametrize("example", FOUND)
def test_each_example_is_recognised_with_its_callback_and_its_probe(
    capsys: pytest.CaptureFixture[str], folder: Path, example: str
) -> None:
    shutil.copytree(ROOT / "examples" / example, folder, dirs_exist_ok=True)
    written, said = initialised(capsys)
    name, start = FOUND[example]
    assert said.startswith(f"found {name} (")
    assert written["check"] == {
        "exec": start,
        "url": "http://127.0.0.1:{port}/callback",
        "probe": "http://127.0.0.1:{port}/rooms/{RoomId}",
    }
    assert written["sdkappid"] == 1400000001
    assert "roomhook check" in said


@pytest.mark.parametrize(
    ("files", "start"),
    [
        ({"manage.py": ""}, "python manage.py runserver --noreload 127.0.0.1:{port}"),
        ({"src/shop/web.py": "api: FastAPI = FastAPI()\n"}, "uvicorn shop.web:api --port {port}"),
        ({"wsgi.py": "server = Flask(__name__)\n"}, "flask --app wsgi:server run --port {port}"),
        ({"rooms/__init__.py": FACTORY}, "flask --app rooms:create_app run --port {port}"),
        (
            {"rooms/__init__.py": FACTORY, "requirements.txt": "gunicorn"},
            "gunicorn --threads 8 -b 127.0.0.1:{port} 'rooms:create_app()'",
        ),
        ({"main.py": FACTORY.replace("Flask", "FastAPI")}, "uvicorn --factory main:create_app --port {port}"),
        (
            {"main.py": FACTORY.replace("test=None", "settings") + "app = Flask(x)"},
            "flask --app main:app run --port {port}",
        ),
        ({"package.json": '{"dependencies":{"hono":"4"},"scripts":{"start":"x"}}'}, "npm start"),
        ({"package.json": '{"main":"dist/main.js"}'}, "node dist/main.js"),
        ({"go.mod": "module x"}, "go run ."),
        ({"Cargo.toml": ""}, "cargo run"),
        ({"pom.xml": ""}, "mvn spring-boot:run -Dspring-boot.run.arguments=--server.port={port}"),
        ({"build.gradle.kts": ""}, "./gradlew bootRun --args=--server.port={port}"),
        ({"config/routes.rb": ""}, "bin/rails server -p {port}"),
        ({"composer.json": "{}", "public/index.php": ""}, "php -S 127.0.0.1:{port} -t public"),
        ({"node_modules/x/app.py": "app = FastAPI()", "server.py": "HTTPServer(a, b)"}, "python server.py {port}"),
    ],
)
def test_common_layouts_are_started_as_their_tools_do(
    capsys: pytest.CaptureFixture[str], folder: Path, files: dict[str, str], start: str
) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    assert initialised(capsys)[0]["check"]["exec"] == start


def test_the_route_and_the_sdkappid_are_read_from_the_source(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "main.py").write_text(
        'SDK_APP_ID = "1600012345"\napp = FastAPI()\n@app.post("/login")\n@app.post("/trtc/events")\n'
        '@app.get("/users/{id}")\n@app.get("/api/rooms/{room_id}/members")\n'
    )
    written, said = initialised(capsys)
    assert written["sdkappid"] == 1600012345
    assert written["check"]["url"] == "http://127.0.0.1:{port}/trtc/events"
    assert written["check"]["probe"] == "http://127.0.0.1:{port}/api/rooms/{RoomId}/members"
    assert "set sdkappid" not in said


@pytest.mark.parametrize(
    ("start", "route", "mount"),
    [
        ("app = Flask(__name__)", "@bp.route('/hook')", "app.register_blueprint(bp, url_prefix='/api/v1')"),
        ("app = Flask(__name__)", "bp = Blueprint('a', x, url_prefix='/api/v1')\n@bp.post('/hook')", ""),
        (
            "app = Flask(__name__)",
            "bp = Blueprint('a', x, url_prefix='/no')\n@bp.post('/hook')",
            "app.register_blueprint(hooks.bp, url_prefix='/api/v1')",
        ),
        (
            "app = FastAPI()",
            "router = APIRouter(prefix='/v1')\n@router.post('/hook')",
            "app.include_router(hooks.router, prefix='/api')",
        ),
        ("app = FastAPI()", "@app.post('/api/v1/hook')", "app.include_router(users, prefix='/users')"),
    ],
)
def test_a_route_has_what_its_blueprint_or_router_has_in_front(
    capsys: pytest.CaptureFixture[str], folder: Path, start: str, route: str, mount: str
) -> None:
    (folder / "main.py").write_text(f"{start}\n{mount}\n")
    (folder / "routes.py").write_text(f"{route}\n")
    assert initialised(capsys)[0]["check"]["url"] == "http://127.0.0.1:{port}/api/v1/hook"


def test_a_route_of_an_express_router_has_where_it_is_used_in_front(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "package.json").write_text('{"dependencies":{"express":"4"}}')
    (folder / "index.js").write_text("app.use(json())\napp.use('/api', require('./hooks'))\n")
    (folder / "hooks.js").write_text("router.post('/hook', f)\nrouter.get('/rooms/:id', g)\n")
    check = initialised(capsys)[0]["check"]
    assert check["url"] == "http://127.0.0.1:{port}/api/hook"
    assert check["probe"] == "http://127.0.0.1:{port}/api/rooms/{RoomId}"


def test_an_empty_folder_gets_a_file_to_fill_in(capsys: pytest.CaptureFixture[str]) -> None:
    written, said = initialised(capsys)
    assert written == {"sdkappid": 1400000001, "check": {"url": "http://127.0.0.1:8000/callback"}}
    assert "found no app" in said
    assert "set sdkappid" in said
    assert main(["check", "--list"]) == 0


def test_what_exists_is_kept(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "roomhook.toml").write_text("seed = 7\n")
    (folder / "Jenkinsfile").write_text("mine")
    written, said = initialised(capsys, "--ci", "jenkins,gitlab")
    assert written == {"seed": 7}
    assert (folder / "Jenkinsfile").read_text() == "mine"
    assert "kept roomhook.toml" in said
    assert "kept Jenkinsfile" in said
    assert (folder / ".gitlab-ci.yml").is_file()


@pytest.mark.parametrize("pipeline", Pipeline)
def test_a_recipe_runs_check_with_the_options_of_the_file(
    capsys: pytest.CaptureFixture[str], folder: Path, pipeline: Pipeline
) -> None:
    shutil.copytree(ROOT / "examples" / "fastapi", folder, dirs_exist_ok=True)
    initialised(capsys, "--ci", pipeline.value)
    text = (folder / RECIPES[pipeline]).read_text(encoding="utf-8")
    assert "git+https://git.example.com/" in text
    assert "pip install -r requirements.txt" in text
    assert "\n" in text
    assert text.count("roomhook check --report junit,html") == 1


def test_a_folder_that_cannot_be_written_is_one_line(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / ".github").write_text("")
    assert main(["init", "--ci", "github"]) == 2
    assert capsys.readouterr().err.startswith("roomhook: .github/workflows/callbacks.yml can't be written: ")


def test_the_schema_of_the_file_accepts_what_init_writes_and_names_what_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["schema", "config"]) == 0
    schema = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    written, _ = initialised(capsys)
    good = {"format": "json", "check": {"report": ["junit", "html"], "only": "ack", "fuzz": 3, "strict": True}}
    for document in (written, good, {"fire": {"room": 12, "member": ["a", 2]}, "serve": {"room-type": "Meeting"}}):
        assert list(validator.iter_errors(document)) == []
    wrong: tuple[Any, ...] = ({"chekc": {}}, {"check": {"onyl": "x"}}, {"check": {"fuzz": -1}}, {"seed": "x"})
    for document in wrong:
        assert not validator.is_valid(document)


def test_completion_offers_commands_and_choices() -> None:
    for words, wanted in (("roomhook ch", "check"), ("roomhook check --refusal si", "silent"), ("roomhook in", "init")):
        done = subprocess.run(
            [sys.executable, "-m", "roomhook"],
            env={"_ROOMHOOK_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.split() == [wanted], done.stderr
