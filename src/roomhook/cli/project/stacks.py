"""What kind of app a folder holds: how it starts, and where its callback and its list of members are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

__all__ = ["Stack", "detect"]


@dataclass(frozen=True, slots=True)
class Stack:
    """An app: ``start`` is a command with ``{port}`` (or that reads PORT), ``install`` gets its dependencies.

    ``path`` is the route of the callback; ``rooms`` the route that lists a room's members, with ``{RoomId}``;
    ``found`` is the file that gave it away.
    """

    name: str
    start: str
    found: str
    install: str = ""
    path: str = "/callback"
    rooms: str = ""
    sdkappid: int | None = None


_SKIPPED: Final = frozenset(
    {"node_modules", "vendor", "dist", "build", "target", "tests", "test", "venv", "site-packages"}
)
_SOURCES: Final = {".py", ".js", ".mjs", ".cjs", ".ts", ".go", ".java", ".kt", ".php", ".rb", ".rs"}
_PHP: Final = "php -S 127.0.0.1:{{port}} {}"
_MOST_FILES: Final = 200
_MOST_BYTES: Final = 200_000
_ASGI: Final = re.compile(r"^(\w+)\s*(?::\s*\w+\s*)?=\s*(FastAPI|Starlette|Litestar)\(", re.MULTILINE)
_WSGI: Final = re.compile(r"^(application)\s*=", re.MULTILINE)
_FLASK: Final = re.compile(r"^(\w+)\s*=\s*Flask\(", re.MULTILINE)
_FACTORY: Final = re.compile(
    r"^def (?P<name>(?:create|make|get|build)_app)\((?P<given>[^)]*)\)[^\n]*:\n(?:[ \t].*\n|\n)*?"
    r".*\b(?P<stack>FastAPI|Starlette|Litestar|Flask)\(",
    re.MULTILINE,
)
"""A function that makes the app."""
_SERVER: Final = re.compile(r"HTTPServer\(|\bserve_forever\(|\buvicorn\.run\(|\bweb\.run_app\(")
_NODE: Final = ("@nestjs/core", "express", "koa", "fastify", "hono")
_ROUTE: Final = re.compile(
    r"(?:\b(?P<owner>\w+)\.|[.@]|\b)(?:post|Post|PostMapping|RequestMapping|route|all|HandleFunc|Handle|path|re_path|Route)"
    r"""\(\s*["'`](?:POST )?(?P<route>/?[\w\-./]+)["'`]"""
)
_LISTING: Final = re.compile(
    r"(?:\b(?P<owner>\w+)\.|[.@]|\b)(?:get|Get|GetMapping|route|HandleFunc|path|Route)"
    r"""\(\s*["'`](?:GET )?(?P<route>/?[\w\-./]*(?:\{[\w:]+\}|<[\w:]+>|:\w+)[\w\-./]*)["'`]"""
)
_OWN_PREFIX: Final = (
    r"""\b{}\s*(?::\s*\w+\s*)?=\s*(?:Blueprint|APIRouter)\([^)]*\b(?:url_)?prefix\s*=\s*["'](/[^"']*)["']"""
)
_MOUNT: Final = re.compile(
    r"""\b(?:register_blueprint|include_router)\(\s*(?P<what>[\w.]+)[^)]*\b(?:url_)?prefix\s*=\s*["'](?P<prefix>/[^"']*)["']"""
    r"""|\b\w+\.use\(\s*["'`](?P<path>/[^"'`]+)["'`]\s*,\s*(?:require\(\s*["'`][^"'`]*?)?(?P<router>[\w.]+)"""
)
"""Where a blueprint or router gets the path in front of its routes."""
_PREFIX: Final = re.compile(r"""["'`](/(?:rooms?|members)/)["'`]""")
_CALLBACK: Final = re.compile(r"callback|trtc|hook|leave", re.IGNORECASE)
_ROOM: Final = re.compile(r"room|member", re.IGNORECASE)
_SDKAPPID: Final = re.compile(r"sdk_?app_?id\b[^\n0-9]{0,40}?\b([1-9][0-9]{8,11})\b", re.IGNORECASE)


def detect(folder: Path) -> Stack | None:
    """The app in *folder*, or None if nothing there looks like one."""
    sources = list(_sources(folder))
    found = _python(folder, sources) or _node(folder) or _others(folder)
    if found is None:
        return None
    text = "\n".join(source for _, source in sources)
    routes = [one for one in _ROUTE.finditer(text) if _CALLBACK.search(one["route"])]
    ids = _SDKAPPID.search(text)
    return replace(
        found,
        path=_whole(routes[0], text) if routes else found.path,
        rooms=_listing(text),
        sdkappid=int(ids[1]) if ids else None,
    )


def _sources(folder: Path) -> Iterator[tuple[Path, str]]:
    """Source files with their text, those near the top first."""
    found: list[Path] = []
    waiting = [folder]
    while waiting and len(found) < _MOST_FILES:
        current = waiting.pop(0)
        try:
            entries = sorted(current.iterdir())
        except OSError:
            continue
        found += [one for one in entries if one.suffix in _SOURCES and one.is_file()]
        waiting += [
            one
            for one in entries
            if one.is_dir() and not one.is_symlink() and one.name not in _SKIPPED and not one.name.startswith(".")
        ]
    for path in found[:_MOST_FILES]:
        yield path.relative_to(folder), _text(path)


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return ""


def _python(folder: Path, sources: list[tuple[Path, str]]) -> Stack | None:
    install = next(
        (
            f"pip install {how}"
            for name, how in (("requirements.txt", "-r requirements.txt"), ("pyproject.toml", "."))
            if (folder / name).is_file()
        ),
        "",
    )
    if (folder / "manage.py").is_file():
        return Stack("Django", "python manage.py runserver --noreload 127.0.0.1:{port}", "manage.py", install)
    python = [(path, text) for path, text in sources if path.suffix == ".py"]
    gunicorn = "gunicorn" in _text(folder / "requirements.txt")
    for path, text in python:
        module = ".".join(path.with_suffix("").parts).removesuffix(".__init__").removeprefix("src.")
        if match := _ASGI.search(text):
            return Stack(match[2], f"uvicorn {module}:{match[1]} --port {{port}}", str(path), install)
        if made := _factory(text, module, gunicorn=gunicorn):
            return Stack(*made, str(path), install)
        if match := _FLASK.search(text) or _WSGI.search(text):
            name = "Flask" if _FLASK.search(text) else "Django" if "django" in text else "WSGI app"
            started = f"flask --app {module}:{match[1]} run --port {{port}}"
            if name != "Flask" or gunicorn:
                started = f"gunicorn --threads 8 -b 127.0.0.1:{{port}} {module}:{match[1]}"
            return Stack(name, started, str(path), install)
    for path, text in python:
        if _SERVER.search(text):
            return Stack("Python", f"python {path} {{port}}", str(path), install)
    return None


def _factory(text: str, module: str, *, gunicorn: bool) -> tuple[str, str] | None:
    """The stack, and how it starts, of a function in *text* that makes the app and needs no argument."""
    for found in _FACTORY.finditer(text):
        if any(one.strip() and "=" not in one for one in found["given"].split(",")):
            continue
        made = f"{module}:{found['name']}"
        if found["stack"] != "Flask":
            return found["stack"], f"uvicorn --factory {made} --port {{port}}"
        started = f"gunicorn --threads 8 -b 127.0.0.1:{{port}} '{made}()'" if gunicorn else ""
        return "Flask", started or f"flask --app {made} run --port {{port}}"
    return None


def _node(folder: Path) -> Stack | None:
    try:
        package = json.loads(_text(folder / "package.json") or "null")
    except ValueError:
        package = None
    if not isinstance(package, dict):
        return None
    wanted = package.get("dependencies")
    name = next((one for one in _NODE if isinstance(wanted, dict) and one in wanted), "Node")
    scripts = package.get("scripts")
    main = package.get("main")
    start = "npm start" if isinstance(scripts, dict) and "start" in scripts else f"node {main or _main(folder)}"
    install = "npm ci" if (folder / "package-lock.json").is_file() else "npm install"
    return Stack(
        {"@nestjs/core": "NestJS", "Node": "Node"}.get(name, name.capitalize()), start, "package.json", install
    )


def _main(folder: Path) -> str:
    names = ("index.js", "server.js", "app.js", "main.js", "index.mjs", "server.mjs")
    return next((one for one in names if (folder / one).is_file()), "index.js")


def _others(folder: Path) -> Stack | None:
    gradle = "./gradlew bootRun --args=--server.port={port}"
    web = "public" if (folder / "public").is_dir() else "."
    known = (
        ("go.mod", "Go", "go run ."),
        ("Cargo.toml", "Rust", "cargo run"),
        ("pom.xml", "Spring Boot", "mvn spring-boot:run -Dspring-boot.run.arguments=--server.port={port}"),
        ("build.gradle", "Spring Boot", gradle),
        ("build.gradle.kts", "Spring Boot", gradle),
        ("config/routes.rb", "Rails", "bin/rails server -p {port}"),
        ("composer.json", "PHP", f"php -S 127.0.0.1:{{port}} -t {web}"),
        ("index.php", "PHP", f"php -S 127.0.0.1:{{port}} -t {web}"),
    )
    for file, name, start in known:
        if (folder / file).is_file():
            return Stack(name, start, file)
    alone = (("go", "Go", "go run {} {{port}}"), ("java", "Java", "java {} {{port}}"), ("php", "PHP", _PHP))
    for suffix, name, start in alone:
        files = sorted(one.name for one in folder.glob(f"*.{suffix}"))
        if len(files) == 1:
            return Stack(name, start.format(files[0]), files[0])
    return None


def _listing(text: str) -> str:
    """The route that lists the members of a room, with ``{RoomId}``; empty if none is seen."""
    found = [one for one in _LISTING.finditer(text) if _ROOM.search(one["route"])]
    if found:
        return re.sub(r"\{[\w:]+\}|<[\w:]+>|:\w+", "{RoomId}", _whole(found[0], text))
    prefix = _PREFIX.search(text)
    return f"{prefix[1]}{{RoomId}}" if prefix else ""


def _whole(found: re.Match[str], text: str) -> str:
    """The route *found* with what its blueprint or router has in front."""
    route, owner = found["route"], found["owner"]
    path = route if route.startswith("/") else f"/{route}"
    if owner is None or owner == "app":
        return path
    own = re.search(_OWN_PREFIX.format(owner), text)
    mounts = [((one["what"] or one["router"]), (one["prefix"] or one["path"])) for one in _MOUNT.finditer(text)]
    named = [prefix for what, prefix in mounts if owner in what.split(".")]
    prefixes = named or list({prefix for _, prefix in mounts})
    mounted = prefixes[0] if len(prefixes) == 1 else ""
    replaced = own is not None and bool(mounted) and "register_blueprint" in text
    return f"{mounted.rstrip('/')}{own[1].rstrip('/') if own and not replaced else ''}{path}"
