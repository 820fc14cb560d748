"""The template engine as every page uses it: escaped, strict, and with a policy that lets nothing else in."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from roomhook.pages.rendering import render

PAGE = """\
{% extends "base.html" %}
{% block title %}{{ name }}{% endblock %}
{% block body %}
<p>{{ name }}</p><p>{{ code | prose }}</p><pre>{{ line | breakable }}</pre>
{% endblock %}
"""
GIVEN = {"name": "<b>&", "code": "`<i>` is <i>", "line": '?a=1&b=2,"c"'}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "pages_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "page.html").write_text(PAGE)
    (folder / "page.js").write_text("1 < 2;")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("roomhook.pages.rendering.environment", _fresh())
    importlib.invalidate_caches()
    sys.modules.pop(folder.name, None)
    return folder.name


def _fresh() -> object:
    from roomhook.pages import rendering

    return rendering.environment.__wrapped__


def test_what_a_page_is_given_stays_text(package: str) -> None:
    page = render(package, "page.html", GIVEN)
    assert "<p>&lt;b&gt;&amp;</p><p><code>&lt;i&gt;</code> is &lt;i&gt;</p>" in page
    assert "<pre>?a=1<wbr>&amp;b=2,<wbr>&#34;c&#34;</pre>" in page
    assert "<title>&lt;b&gt;&amp; · Roomhook</title>" in page


def test_a_page_without_what_its_template_names_is_an_error(package: str) -> None:
    with pytest.raises(UndefinedError, match="code"):
        render(package, "page.html", {"name": "", "line": ""})


def test_the_policy_lets_in_the_style_and_the_script_of_the_page_alone(package: str) -> None:
    plain, scripted, connected = (
        re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0]
        for page in (
            render(package, "page.html", GIVEN),
            render(package, "page.html", GIVEN, script="page.js"),
            render(package, "page.html", GIVEN, script="page.js", connect=True),
        )
    )
    assert plain.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "script-src" not in plain
    assert "connect-src" not in plain + scripted
    assert "; script-src 'sha256-" in scripted
    assert "; connect-src 'self'; " in connected
    assert "<script>\n1 < 2;</script>" in render(package, "page.html", GIVEN, script="page.js")
