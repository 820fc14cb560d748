"""What the run page and the comparison page say alike: titles, tones and signs of verdicts, and links to sources."""

from __future__ import annotations

from typing import Final

from roomhook.contract_tests.model.register import load_groups, load_register
from roomhook.contract_tests.model.verdicts import RunOutcome, Verdict
from roomhook.contract_tests.reports.labels import DONE
from roomhook.contract_tests.reports.run_report import sources_of
from roomhook.pages.rendering import render

__all__ = ["TITLES", "TONES", "render_page"]

TITLES: Final = {
    RunOutcome.CONFORMS: "Conforms",
    RunOutcome.VIOLATES: "Does not conform",
    RunOutcome.UNREACHABLE: "Unreachable",
    RunOutcome.NOTHING_RAN: "Nothing judged",
    RunOutcome.SETUP_FAILED: "Set-up failed",
    RunOutcome.INTERRUPTED: "Interrupted",
}
"""The verdict on a target."""

TONES: Final = {
    RunOutcome.CONFORMS: "pass",
    RunOutcome.VIOLATES: "fail",
    RunOutcome.UNREACHABLE: "fail",
    RunOutcome.NOTHING_RAN: "warn",
    RunOutcome.SETUP_FAILED: "warn",
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


def render_page(template: str, **content: object) -> str:
    """The page that *template* of this folder makes of *content* and of the words that both pages share."""
    words = {
        "titles": TITLES,
        "tones": TONES,
        "signs": _SIGNS,
        "done": DONE,
        "groups": load_groups(),
        "register": load_register(),
        "sources_of": _links,
    }
    return render("roomhook.contract_tests.reports.html", template, {**words, **content}, script="page.js")


def _links(keys: str) -> list[tuple[str, str]]:
    """The title of each source in *keys* and its first web address, which may be empty."""
    return [
        (f"{one.key}: {one.title}" if one.title else one.key, next((to for to in one.addresses if "://" in to), ""))
        for one in sources_of(keys)
    ]
