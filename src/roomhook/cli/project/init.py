"""``roomhook init``: a configuration for the app in the current folder, and a recipe for its pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from roomhook.cli.project.files import RECIPES, Pipeline, configuration, recipe
from roomhook.cli.project.stacks import Stack, detect
from roomhook.cli.shared.terminal import painter
from roomhook.errors import ConfigurationError
from roomhook.palette import Style

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_CONFIGURATION = Path("roomhook.toml")


@app.command()
def init(
    ci: Annotated[
        list[Pipeline] | None,
        typer.Option("--ci", help="Write a recipe for this pipeline too, e.g. --ci github; repeatable."),
    ] = None,
) -> None:
    """Write roomhook.toml for the app in this folder: how to start it, its callback URL, SDKAppID and probe.

    Recognises FastAPI, Flask, Django, Express and other Node frameworks, Go, Rust, Spring Boot, Rails and PHP.
    Existing files stay as they are.

    Example: roomhook init --ci github
    """
    stack = detect(Path())
    typer.echo(f"found {stack.name} ({stack.found})" if stack else "found no app that init knows; edit roomhook.toml")
    text = configuration(stack)
    written = _write(_CONFIGURATION, text)
    for pipeline in dict.fromkeys(ci or ()):
        if _write(Path(RECIPES[pipeline]), recipe(pipeline, stack)):
            typer.echo("  replace the address of roomhook in it")
    typer.echo("\n".join(_next_steps(stack if written else None, written=written)))
    raise typer.Exit


def _write(path: Path, text: str) -> bool:
    """Write *text* to a new file at *path*, and say so; False if there is one already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        typer.echo(f"kept {path}, which exists")
        return False
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}; run init in a folder of yours") from None
    typer.echo(f"wrote {path}")
    return True


def _next_steps(stack: Stack | None, *, written: bool) -> list[str]:
    if not written:
        return ["", f"{painter()('next:', Style.HEADING)} roomhook check"]
    steps = [] if stack and stack.sdkappid else ["set sdkappid in roomhook.toml to yours"]
    steps += [] if stack else ["start your app"]
    steps += ["roomhook check"]
    steps += [] if stack and stack.rooms else ["then set probe in roomhook.toml, and check the effects too"]
    return ["", painter()("next:", Style.HEADING), *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]
