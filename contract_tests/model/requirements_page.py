"""docs/requirements.md, made from the register: ``python -m roomhook.contract_tests.model.requirements_page``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from roomhook.contract_tests.model.register import (
    Level,
    Requirement,
    RequirementSource,
    load_glossary,
    load_groups,
    load_options,
    load_register,
    load_sources,
)

__all__ = ["anchor", "requirements_page"]

_INTRODUCTION: Final = """\
# Requirements on an App backend

What `roomhook check` holds an App backend to, group by group. This page is made from
`contract_tests/model/requirements.toml`; after a change there, run
`python -m roomhook.contract_tests.model.requirements_page > docs/requirements.md`.

`roomhook requirements` prints the list, `roomhook explain ID` one entry, and `roomhook check URL --only ID` checks one
entry alone. Ids are final: a requirement may be added or retired, but an id never changes its meaning.\
"""


def requirements_page() -> str:
    """The whole page, as Markdown."""
    return "\n\n".join([_INTRODUCTION, *_terms(), *_lists(), *_sections(), *_sources()]) + "\n"


def anchor(requirement_id: str) -> str:
    """The fragment that leads to a requirement's heading, as GitHub makes it."""
    return requirement_id.replace(".", "")


def _terms() -> Iterator[str]:
    yield "## Terms"
    meanings = {**{level.value: level.meaning for level in Level}, **load_glossary(), **_as_code(load_options())}
    yield "\n".join(f"- **{term}**: {_escaped(meaning)}" for term, meaning in meanings.items())


def _lists() -> Iterator[str]:
    yield "## All requirements"
    for group, about in load_groups().items():
        yield f"**{group}**: {about}"
        rows = [f"| [{one.id}](#{anchor(one.id)}) | {one.level} | {_escaped(one.text)} |" for one in _members(group)]
        yield "\n".join(["| id | level | |", "|---|---|---|", *rows])


def _sections() -> Iterator[str]:
    for group, about in load_groups().items():
        yield f"## {group}: {about}"
        for one in _members(group):
            yield from _section(one)


def _section(one: Requirement) -> Iterator[str]:
    yield f"### {one.id}"
    needs = f", needs {one.condition}" if one.condition else ""
    yield f"**{one.level}**{needs}. {_escaped(one.text)}"
    facts = {"Why": one.why, "Check": one.case, "Fix": one.fix}
    lines = [f"- *{label}*: {_escaped(text)}" for label, text in facts.items()]
    if one.options:
        lines.append(f"- *Options*: {', '.join(f'`{option}`' for option in one.options)}")
    lines.append(f"- *Source*: {', '.join(one.source)}")
    yield "\n".join(lines)


def _sources() -> Iterator[str]:
    yield "## Sources"
    yield "\n".join(f"- **{source.key}**: {_cited(source)}" for source in load_sources().values())


def _cited(source: RequirementSource) -> str:
    dated = f"{source.title} ({source.date})" if source.date else source.title
    links = (f"<{link}>" if "://" in link else f"[{link}]({link.removeprefix('docs/')})" for link in source.addresses)
    return ", ".join((_escaped(dated), *links))


def _members(group: str) -> list[Requirement]:
    return [one for one in load_register().values() if one.group == group]


def _as_code(options: Mapping[str, str]) -> dict[str, str]:
    return {f"`{option}`": meaning for option, meaning in options.items()}


def _escaped(text: str) -> str:
    """*text* with what Markdown would take for markup escaped outside of code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<|])", r"\\\1", part) for part in parts)


if __name__ == "__main__":
    sys.stdout.write(requirements_page())
