"""``roomhook selftest``: the suite against every deliberately broken App backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from roomhook.cli.shared import options
from roomhook.errors import ConfigurationError

if TYPE_CHECKING:
    from roomhook.contract_tests.engine.selftest import BackendResult

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def selftest(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Run only these broken backends, by id or glob, e.g. 'app-id.*'."),
    ] = None,
    seed: options.Seed = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Ask every backend also what is costly and far from its defect.")
    ] = False,
    format_: options.Format = options.OutputFormat.TEXT,
) -> None:
    """Run the suite against every broken backend and check that it finds exactly the planted defect.

    Exit code 1 if a defect is missed, or if another requirement fails.

    Example: roomhook selftest 'sign.*'
    """
    from roomhook.cli.shared.terminal import ticking_line
    from roomhook.contract_tests.engine import selftest as suite

    wanted = _wanted(ids or [])
    results: list[BackendResult] = []
    with ticking_line() as show:
        for result in suite.selftest(wanted, seed=options.chosen_seed(seed), thorough=thorough):
            results.append(result)
            show(f"{len(results)} of {len(wanted)}  {result.backend}")
    results.sort(key=lambda result: wanted.index(result.backend))
    _print(results, format_)
    raise typer.Exit(0 if all(result.right for result in results) else 1)


def _wanted(entries: list[str]) -> list[str]:
    from roomhook.contract_tests.app_backends.broken.catalogue import BROKEN
    from roomhook.contract_tests.engine.selftest import REFERENCE
    from roomhook.contract_tests.model.register import select

    if not entries:
        return [REFERENCE, *BROKEN]
    chosen = [requirement.id for requirement in select(entries) if requirement.id in BROKEN]
    if not chosen:
        raise ConfigurationError(
            f"no broken backend matches {', '.join(entries)}; 'roomhook backend --list' lists them"
        )
    return chosen


def _print(results: list[BackendResult], format_: options.OutputFormat) -> None:
    import json

    from rich.text import Text

    from roomhook.cli.shared.terminal import beside, console, list_width
    from roomhook.palette import Style

    if format_ is options.OutputFormat.JSON:
        rows = [
            {
                "backend": result.backend,
                "defect": result.defect,
                "expected": sorted(result.expected),
                "found": sorted(result.found),
                "right": result.right,
                "duration_s": round(result.duration_s, 2),
            }
            for result in results
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    stdout = console()
    width = list_width()
    ids = max(len(one) for one in ("broken backend", *(result.backend for result in results)))
    caught = max(len(one) for one in ("caught by", *map(_caught, results)))
    stdout.print(Text(f"{'broken backend':{ids}}  {'caught by':{caught}}  defect", Style.HEADING))
    for result in results:
        start = f"{result.backend:{ids}}  {_caught(result):{caught}}  "
        shown = beside(start, result.defect, width)
        if not result.right:
            shown.stylize(Style.BAD, ids + 2, ids + 2 + len(_caught(result)))
        stdout.print(shown)
    wrong = [result for result in results if not result.right]
    verdict = ("FAIL", Style.BAD) if wrong else ("PASS", Style.GOOD)
    stdout.print(Text.assemble("\n", verdict, f": {len(results) - len(wrong)} of {len(results)} backends as expected"))


def _caught(result: BackendResult) -> str:
    if result.right:
        return ", ".join(sorted(result.found)) or "nothing, as expected"
    parts = [f"MISSED {', '.join(sorted(result.missed))}"] if result.missed else []
    parts += [f"ALSO FAILED {', '.join(sorted(result.blamed))}"] if result.blamed else []
    return "; ".join(parts) or f"WRONG OUTCOME {result.outcome}, strict {result.strict_outcome}"
