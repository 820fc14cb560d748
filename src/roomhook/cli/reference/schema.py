"""``roomhook schema``: print a JSON Schema, or hold JSON and NDJSON against it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from roomhook.cli.shared.terminal import painter, table
from roomhook.errors import ConfigurationError
from roomhook.palette import Style
from roomhook.schemas import loader

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_CONFIG = "config"
_STDIN = Path("-")
_LINE_SUFFIXES = {".ndjson", ".jsonl"}


@app.command()
def schema(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A schema, e.g. leave, or config for roomhook.toml; without it, list all."),
    ] = None,
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="More files for --validate, e.g. *.json.")
    ] = None,
    *,
    validate: Annotated[
        Path | None,
        typer.Option(
            "--validate", metavar="FILE", help="Validate this JSON or NDJSON file, e.g. packet.json; - is stdin."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every problem, not only the first (with --validate).")
    ] = False,
    openapi: Annotated[
        bool,
        typer.Option("--openapi", help="Print the OpenAPI 3.1 document of roomhook serve, callbacks as webhooks."),
    ] = False,
    asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="Print the AsyncAPI 3.0 document of the callbacks.")
    ] = False,
    postman: Annotated[
        bool, typer.Option("--postman", help="Print a Postman collection (2.1) of the callbacks and the REST.")
    ] = False,
    bruno: Annotated[
        Path | None,
        typer.Option("--bruno", metavar="DIR", help="Write the same as a Bruno collection into a new folder."),
    ] = None,
) -> None:
    """List the JSON Schemas, print the one called NAME, or validate documents against it.

    A name without a suffix describes what is sent, exactly as documented; .accepted is what a receiver must tolerate.
    NDJSON is validated line by line. A file is NDJSON if its name ends in .ndjson or .jsonl, or if its first line is a
    document.

    Exit code of --validate: 0 all match, 1 one does not match or is not JSON, 2 unknown schema or unreadable file.

    Example: roomhook schema leave --validate packet.json
    """
    documents = {"openapi": openapi, "asyncapi": asyncapi, "postman": postman, "bruno": bruno is not None}
    if chosen := [kind for kind, wanted in documents.items() if wanted]:
        if len(chosen) > 1 or name is not None or validate is not None or more or everything:
            raise ConfigurationError(f"--{chosen[0]} gives one document and takes nothing else; leave the rest out")
        if bruno is not None:
            _write_bruno(bruno)
        else:
            _print_document(chosen[0])
        raise typer.Exit
    if name == _CONFIG:
        if validate is not None or more or everything:
            raise ConfigurationError("'roomhook schema config' is for editors; every command checks the file itself")
        typer.echo(json.dumps(_config_schema(context), ensure_ascii=False, indent=2))
        raise typer.Exit
    if validate is not None:
        if name is None:
            raise ConfigurationError("name the schema too, as in 'roomhook schema leave --validate packet.json'")
        failed = [file for file in (validate, *(more or ())) if not _matches(name, file, everything=everything)]
        raise typer.Exit(1 if failed else 0)
    if more or everything:
        raise ConfigurationError("to validate files write 'roomhook schema leave --validate packet.json'")
    if name is None:
        _list()
    else:
        typer.echo(json.dumps(loader.schema(name), ensure_ascii=False, indent=2))
    raise typer.Exit


def _print_document(kind: str) -> None:
    from roomhook.simulator.room_backend.api import openapi
    from roomhook.simulator.room_backend.documents import asyncapi, postman

    made = {"openapi": openapi, "asyncapi": asyncapi, "postman": postman}[kind].document()
    typer.echo(json.dumps(made, ensure_ascii=False, indent=2))


def _write_bruno(folder: Path) -> None:
    from roomhook.simulator.room_backend.documents.bruno import files

    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigurationError(f"--bruno {folder} holds files already; name a new folder")
        for name, text in files().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(f"--bruno {folder} can't be written: {reason}; name another folder") from None
    typer.echo(f"wrote {len(files())} files into {folder}", err=True)


def _list() -> None:
    titles = {name: loader.schema(name)["title"] for name in loader.names()} | {_CONFIG: "The file roomhook.toml"}
    table(dict(sorted(titles.items())))


def _config_schema(context: typer.Context) -> dict[str, Any]:
    from typer.core import TyperCommand, TyperGroup

    from roomhook.cli.shared.config_schema import config_schema

    root = context.find_root()
    assert isinstance(root.command, TyperGroup)
    found = {name: root.command.get_command(root, name) for name in root.command.list_commands(root)}
    return config_schema({name: one for name, one in found.items() if isinstance(one, TyperCommand)})


def _matches(name: str, file: Path, *, everything: bool) -> bool:
    """Judge every document in *file*, print what is wrong, and say whether all of them match the schema *name*."""
    label = "stdin" if file == _STDIN else str(file)
    loader.validator(name)  # an unknown name comes before an unreadable file
    judged = wrong = number = 0
    try:
        with nullcontext(sys.stdin.buffer) if file == _STDIN else file.open("rb") as lines:
            for number, text in _documents(lines, one_a_line=file.suffix in _LINE_SUFFIXES):
                judged += 1
                complaints = _complaints(name, text)
                wrong += bool(complaints)
                _print(f"{label}:{number}" if number else label, complaints, everything=everything)
    except BrokenPipeError:
        raise  # the reader of our output has gone, which is no fault of the file's
    except OSError as error:
        raise ConfigurationError(f"{label} can't be read: {error.strerror}") from None
    if not judged:
        typer.echo(f"{painter()(f'{label}:', Style.BAD)} holds no document")
    elif number:
        counted = painter()(f"{judged - wrong} of {judged} lines", Style.BAD if wrong else Style.GOOD)
        typer.echo(f"{label}: {counted} match {name}")
    elif not wrong:
        typer.echo(f"{label}: {painter()('matches', Style.GOOD)} {name}")
    return judged > 0 and wrong == 0


def _documents(lines: Iterable[bytes], *, one_a_line: bool) -> Iterator[tuple[int, bytes]]:
    """Line number and text of each document, in one pass: NDJSON may come from a pipe that never ends.

    The number is 0 for a document that is the whole input.
    """
    rest = iter(lines)
    head: list[bytes] = []
    for line in rest:
        head.append(line)
        if sum(bool(one.strip()) for one in head) == 2:
            break
    written = [line for line in head if line.strip()]
    if one_a_line or (len(written) == 2 and _is_json(written[0])):
        yield from ((number, line) for number, line in enumerate(chain(head, rest), 1) if line.strip())
    elif written:
        yield 0, b"".join(chain(head, rest))


def _is_json(text: bytes) -> bool:
    from roomhook.simulator.protocol.response_check import parse_json

    try:
        parse_json(text)
    except ValueError:
        return False
    return True


def _complaints(name: str, text: bytes) -> list[str]:
    from roomhook.simulator.protocol.response_check import parse_json

    try:
        return [str(problem) for problem in loader.problems(name, parse_json(text))]
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if b"\n" in text.strip() else f"column {error.colno}"
        return [f"is not JSON: {error.msg} ({where})"]
    except ValueError as error:
        return [f"is not JSON: {error}"]
    except RecursionError:
        return ["is nested too deeply"]


def _print(where: str, complaints: list[str], *, everything: bool) -> None:
    shown = complaints if everything else complaints[:1]
    hidden = len(complaints) - len(shown)
    for complaint in shown:
        typer.echo(f"{painter()(f'{where}:', Style.BAD)} {complaint}{f'; {hidden} more with --all' if hidden else ''}")
