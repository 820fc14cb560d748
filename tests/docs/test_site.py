"""``make docs``: the site builds without a broken link, loads nothing from elsewhere, and has a search that finds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from roomhook.cli.main import COMMANDS
from roomhook.contract_tests.model.register import load_register

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.long, pytest.mark.exhaustive]


def build(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    mkdocs = str(Path(sys.executable).with_name("mkdocs"))
    command = [mkdocs, "build", "--strict", "--config-file", str(config), "--site-dir", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "site" / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_requirement_and_command_is_in_the_site(site: Path) -> None:
    pages = {path.parent.relative_to(site).as_posix() for path in site.rglob("index.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= pages
    assert {f"requirements/{one}" for one in load_register()} <= pages
    assert {f"cli/{name}" for name in COMMANDS} <= pages
    assert {".", "errata", "changelog", "architecture", "examples", "ci"} <= pages


def test_the_search_finds_a_requirement_and_an_option(site: Path) -> None:
    found = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    places = {one["location"].partition("#")[0] for one in found if "--probe-pointer" in one["text"]}
    assert "cli/check/" in places
    assert any(one["title"] == "ack.error-code" for one in found)


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loading = re.compile(
        r'<(?:script|img|link rel="(?:stylesheet|icon|preconnect)")[^>]*(?:src|href)="(https?://[^"]+)"'
    )
    pages = [path.read_text(encoding="utf-8") for path in site.rglob("*.html")]
    assert [address for page in pages for address in loading.findall(page)] == []


def test_no_page_shows_the_source_of_a_block_table_or_list(site: Path) -> None:
    code = re.compile(r"<pre\b.*?</pre>|<code\b.*?</code>|<script\b.*?</script>", re.DOTALL)
    source = re.compile(r"```|\|---|\*\*\w|\]\(|^- ", re.MULTILINE)
    pages = {path: code.sub("", path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    shown = {path.parent.name: source.findall(article(page)) for path, page in pages.items()}
    assert {name: found for name, found in shown.items() if found} == {}


def article(page: str) -> str:
    """What a page is about, without navigation and footer."""
    return page.partition("<article")[2].partition("</article>")[0]


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    docs, config = tmp_path / "docs", tmp_path / "mkdocs.yml"
    docs.mkdir()
    config.write_text(f"INHERIT: {ROOT / 'site' / 'mkdocs.yml'}\ndocs_dir: {docs}\nhooks: []\nplugins: []\n")
    (docs / "index.md").write_text("# Front\n\n[a page](other.md)\n")
    (docs / "other.md").write_text("# Other\n")
    assert build(config, tmp_path / "out").returncode == 0
    (docs / "other.md").write_text("# Other\n\n[nowhere](no-such-page.md)\n")
    done = build(config, tmp_path / "out")
    assert done.returncode == 1
    assert "no-such-page.md" in done.stderr
