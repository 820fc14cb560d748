"""The shell of every HTML page: one self-contained file that loads nothing, and the pieces that pages share."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re
from collections.abc import Iterable
from functools import cache
from html import escape
from typing import Final

from roomhook.contract_tests.model.register import RequirementSource
from roomhook.contract_tests.model.verdicts import RunOutcome, Verdict
from roomhook.contract_tests.reports.labels import DONE
from roomhook.contract_tests.reports.run_report import sources_of

__all__ = [
    "TITLES",
    "TONES",
    "breakable",
    "cell",
    "copyable",
    "definitions",
    "escape",
    "legend",
    "page",
    "prose",
    "source_links",
]

TITLES: Final = {
    RunOutcome.CONFORMS: "Conforms",
    RunOutcome.VIOLATES: "Does not conform",
    RunOutcome.UNREACHABLE: "Unreachable",
    RunOutcome.NOTHING_RAN: "Nothing judged",
    RunOutcome.INTERRUPTED: "Interrupted",
}
TONES: Final = {
    RunOutcome.CONFORMS: "pass",
    RunOutcome.VIOLATES: "fail",
    RunOutcome.UNREACHABLE: "fail",
    RunOutcome.NOTHING_RAN: "warn",
    RunOutcome.INTERRUPTED: "warn",
}
"""The class that colours the verdict on a target."""

_SIGNS: Final = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✕",
    Verdict.WARN: "!",
    Verdict.KNOWN: "~",
    Verdict.INFO: "i",
    Verdict.NOT_JUDGED: "–",
}


def page(title: str, body: Iterable[str]) -> str:
    """The whole document; its policy forbids any request, and any script or style but its own."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            *body,
            f"<script>{script}</script>",
            "</body>",
            "</html>\n",
        ]
    )


def prose(text: str) -> str:
    """*text* escaped, with what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def breakable(text: str) -> str:
    """*text* escaped, with hints where a long line of URL and JSON breaks best; what is copied stays the same."""
    return re.sub(r"(?=&amp;|(?<=,)&quot;)", "<wbr>", escape(text))


def cell(verdict: Verdict, label: str, *, href: str = "") -> str:
    """The sign of *verdict* in its colour, which says *label* to who points at it or hears the page."""
    words = f'class="cell {verdict}" title="{escape(label)}"'
    inside = f'<span aria-hidden="true">{_SIGNS[verdict]}</span><span class="unseen">{escape(label)}</span>'
    return f'<a {words} href="#{escape(href)}">{inside}</a>' if href else f"<span {words}>{inside}</span>"


def legend(verdicts: Iterable[Verdict]) -> str:
    """What the signs mean."""
    present = set(verdicts)
    signs = ((verdict, done) for verdict, done in DONE.items() if verdict in present)
    items = (
        f'<li><span class="cell {verdict}" aria-hidden="true">{_SIGNS[verdict]}</span>{done}</li>'
        for verdict, done in signs
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def copyable(label: str, text: str) -> str:
    """Text to be copied whole; the script adds the button."""
    caption = f'<figcaption class="label">{escape(label)}</figcaption>'
    return f'<figure class="copy">{caption}<pre>{breakable(text)}</pre></figure>'


def definitions(rows: Iterable[tuple[str, str]]) -> str:
    """Labels and HTML side by side; a row without a label or without HTML is left out or continues the one above."""
    told = "".join(f"{f'<dt>{escape(name)}</dt>' if name else ''}<dd>{html}</dd>" for name, html in rows if html)
    return f'<dl class="advice">{told}</dl>'


def source_links(keys: str) -> str:
    """Where a requirement is written, each source with its first address."""
    return "<br>".join(_source(one) for one in sources_of(keys))


def _source(one: RequirementSource) -> str:
    link = next((address for address in one.addresses if "://" in address), "")
    title = f"{one.key}: {one.title}" if one.title else one.key
    return f'<a href="{escape(link)}" rel="noreferrer">{escape(title)}</a>' if link else escape(title)


@cache
def _asset(name: str) -> str:
    file = importlib.resources.files("roomhook.contract_tests.reports.html").joinpath(name)
    return f"\n{file.read_text(encoding='utf-8')}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
