"""Renders HTML pages from Jinja2 templates: self-contained files that load nothing, and everything escaped."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["environment", "render"]

_SHARED: Final = "roomhook.pages"


def render(
    package: str, template: str, content: Mapping[str, object], *, script: str = "", connect: bool = False
) -> str:
    """The page that *template*, a file of *package*, makes of *content*.

    The template extends ``base.html`` and imports macros from ``parts.html`` and ``charts.html``. *script* names a
    file of *package* that is put into the page. A section for somebody else's page extends nothing, and puts ``style``
    into a shadow root of its own. The page's policy forbids any other script, any other style and any
    request, except requests to its own server with *connect*.
    """
    code = _text(package, script) if script else ""
    style = _text(_SHARED, "style.css")
    policy = ["default-src 'none'", "img-src data:", f"style-src {_hash(style)}"]
    policy += [f"script-src {_hash(code)}"] if script else []
    policy += ["connect-src 'self'"] if connect else []
    policy += ["base-uri 'none'", "form-action 'none'"]
    # All three are ours; the text of style and script elements is never unescaped.
    assets = {"style": Markup(style), "script": Markup(code), "policy": Markup("; ".join(policy))}  # noqa: S704
    return environment(package).get_template(template).render(assets, **content)


@cache
def environment(package: str) -> Environment:
    """The templates of *package* and the shared ones, with everything escaped."""
    # Here, since most commands write no page and should start without the template engine.
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    loaders = [PackageLoader(name, "") for name in dict.fromkeys((package, _SHARED))]
    made = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.filters["prose"] = _prose
    made.filters["breakable"] = _breakable
    return made


@cache
def _text(package: str, name: str) -> str:
    return "\n" + importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _prose(text: str) -> Markup:
    """*text* escaped, with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped before)


def _breakable(text: str) -> Markup:
    """*text* escaped, with hints where a long line of URL and JSON breaks best; copying gives the text unchanged."""
    return Markup(re.sub(r"(?=&amp;|(?<=,)&#34;)", "<wbr>", str(escape(text))))  # noqa: S704 (escaped before)
