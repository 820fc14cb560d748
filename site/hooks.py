"""Hooks of MkDocs: pages made from data, the pages at the repository's root, and links that hold in the site."""

from __future__ import annotations

import html
import inspect
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

from roomhook.cli import main
from roomhook.contract_tests.model.register import Requirement, load_groups, load_register
from roomhook.schemas.errata import Erratum, select

ROOT: Final = Path(__file__).parents[1]
AT_THE_ROOT: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "ARCHITECTURE.md": "architecture.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples.md",
}
"""Pages outside of docs/, and their places in the site."""

SECTIONS: Final = {"Start": "tutorial", "How to": "howto-", "Reference": "reference-"}
"""Parts of the navigation, and how the names of their pages begin."""

_LINK: Final = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_ATTRIBUTE: Final = re.compile(r'(src|srcset|href)="docs/([^"]+)"')
_FENCE: Final = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
_WORDS_OF_TESTS: Final = re.compile(r"\A(```\w+) [^\n]*")
"""What stands behind a block's language: tests read it, and with it MkDocs takes the block for text."""


def on_config(config: Any) -> Any:
    """Put every page into the navigation, by the beginning of its name."""
    names = [path.name for path in sorted((ROOT / "docs").glob("*.md"), key=lambda path: path.stem)]
    parts = {title: [name for name in names if name.startswith(beginning)] for title, beginning in SECTIONS.items()}
    rest = [name for name in names if not any(name in part for part in parts.values()) and name != "requirements.md"]
    outside = [page for source, page in AT_THE_ROOT.items() if (ROOT / source).exists() and page != "index.md"]
    config.nav = [
        {"Start": ["index.md", *parts["Start"]]},
        {"How to": [*parts["How to"], "ci/README.md"]},
        {"Reference": parts["Reference"]},
        {"Commands": [f"cli/{name}.md" for name in main.COMMANDS]},
        {"Requirements": ["requirements.md", "errata.md"]},
        {"Background": [*rest, *outside]},
    ]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made from data, and those at the repository's root."""
    pages = {
        page: (ROOT / source).read_text(encoding="utf-8")
        for source, page in AT_THE_ROOT.items()
        if (ROOT / source).exists()
    }
    pages |= {f"requirements/{one.id}.md": requirement_page(one) for one in load_register().values()}
    pages |= {f"cli/{name}.md": command_page(name) for name in main.COMMANDS}
    pages["errata.md"] = errata_page()
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links that hold in the repository hold in the site; what the site does not have becomes plain text."""
    place = page.file.src_uri
    source = next((one for one, name in AT_THE_ROOT.items() if name == place), f"docs/{place}")
    if source == f"docs/{place}" and not (ROOT / source).exists():
        return markdown
    parts = _FENCE.split(markdown)
    told = "".join(
        _WORDS_OF_TESTS.sub(r"\1", part) if number % 2 else _relinked(part, source, place)
        for number, part in enumerate(parts)
    )
    return _ATTRIBUTE.sub(r'\1="\2"', told) if source == "README.md" else told


def _relinked(text: str, source: str, place: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        mark, label, target = found.groups()
        path, hash_, fragment = target.partition("#")
        if "://" in target or not path or path.startswith("mailto:"):
            return found[0]
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if (ROOT / wanted).is_dir() and (ROOT / wanted / "README.md").exists():
            wanted += "/README.md"
        there = AT_THE_ROOT.get(wanted, wanted.removeprefix("docs/") if wanted.startswith("docs/") else "")
        if there:
            return f"{mark}[{label}]({posixpath.relpath(there, posixpath.dirname(place) or '.')}{hash_}{fragment})"
        return f"{label} (`{wanted}`)" if (ROOT / wanted).exists() else found[0]

    return _LINK.sub(replaced, text)


def requirement_page(one: Requirement) -> str:
    """One requirement: what it asks for, why, how it is checked and fixed, and where it is written."""
    needs = f", needs {one.condition}" if one.condition else ""
    sources = "\n".join(
        f"- **{each.key}**: {each.title}" + "".join(f", <{link}>" for link in each.addresses if "://" in link)
        for each in one.sources
    )
    options = f"\n## Options\n\n{', '.join(f'`{option}`' for option in one.options)}\n" if one.options else ""
    return f"""# {one.id}

**{one.level}**{needs}. {one.text}

Group *{one.group}*: {load_groups()[one.group]}.

## Why it matters

{one.why}

## How it is checked

{one.case}

```console
roomhook check http://127.0.0.1:8000/callback --only {one.id}
```

## How to fix it

{one.fix}
{options}
## Source

{sources}
"""


def command_page(name: str) -> str:
    """One command: what it does, its usage, and a table of its arguments and options."""
    command: Any = main._load(name)  # noqa: SLF001 (the loader of the command line itself)
    context = command.context_class(command, info_name=f"roomhook {name}")
    with context:
        usage = command.get_usage(context).removeprefix("Usage: ")
        rows = [_row(parameter, context) for parameter in command.get_params(context)]
    about = inspect.cleandoc(command.help or "").replace("\f", "")
    table = "\n".join(["| option | meaning |", "|---|---|", *filter(None, rows)])
    return (
        f"# roomhook {name}\n\n{main.COMMANDS[name][1]}\n\n```text\n{usage}\n```\n\n{about}\n\n## Options\n\n{table}\n"
    )


def _row(parameter: Any, context: Any) -> str:
    record = parameter.get_help_record(context)
    if record is None:
        return ""
    names, text = (html.escape(re.sub(r"\s+", " ", one)).replace("|", "&#124;") for one in record)
    return f"| <code>{names}</code> | {_escaped(text)} |"


def errata_page() -> str:
    """What the vendor's pages contradict or leave unknown, area by area."""
    found = select(())
    lines = [
        "# Errata",
        "What the vendor's pages contradict or leave unknown, and what Roomhook chose. `roomhook errata ID` shows one.",
    ]
    for area, heading in found.areas.items():
        lines.append(f"## {heading}")
        for one in found.errata:
            if one.area == area:
                lines += _erratum(one)
    return "\n\n".join(lines) + "\n"


def _erratum(one: Erratum) -> Iterator[str]:
    yield f"### {one.id}"
    yield f"*{one.kind}*: {_escaped(one.title)}"
    yield "\n".join(f"- {_escaped(each.text)} ({_escaped(each.source)})" for each in one.statements)
    yield f"**Chosen**: {_escaped(one.chosen)}"
    yield f"**Why**: {_escaped(one.why)}"
    if one.touches.requirements:
        known = load_register()
        ids = (
            f"[{each}](requirements/{each}.md)" if each in known else f"`{each}`" for each in one.touches.requirements
        )
        yield f"**Touches**: {', '.join(ids)}"
    if one.touches.options:
        yield "**Options**: " + "; ".join(map(_escaped, one.touches.options))


def _escaped(text: str) -> str:
    """*text* with what Markdown would take for markup escaped outside of code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<_\[\]])", r"\\\1", part) for part in parts)
