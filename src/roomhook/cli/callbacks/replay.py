"""``roomhook replay``: send again what was sent or received once, byte by byte."""

from __future__ import annotations

import re
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from roomhook.cli.callbacks.sending_options import SendingOptions, with_sending_options
from roomhook.cli.shared.options import Seed, Url, chosen_seed
from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_event import CallbackEvent, read_lines
from roomhook.simulator.transport.recorded import refreshed

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_SQLITE = b"SQLite format 3\0"
_ROOM = re.compile(rb'"RoomId"\s*:\s*"([^"]*)"')


@app.command()
@with_sending_options
def replay(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="A journal, or NDJSON as 'roomhook traffic' writes it; - is stdin.")
    ],
    url: Url,
    *,
    only_failed: Annotated[
        bool, typer.Option("--only-failed", help="Send only what was not delivered (in a listener's journal: refused).")
    ] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Give each packet a new EventTime, and with a token a new Sign.")
    ] = False,
    speed: Annotated[
        str, typer.Option("--speed", metavar="X", help="Play X times as fast as recorded, e.g. 60x; max does not wait.")
    ] = "1x",
    seed: Seed = None,
    sending: SendingOptions,
) -> None:
    """Send the callbacks in FILE to URL again, byte for byte, at the recorded pace or at --rate.

    Sends a recorded Sign unchanged, however old. --refresh, or --token or --sdkappid on the command line, renew the URL
    parameters.

    Exit code: 0 all delivered and acknowledged, 1 not all, 2 bad option, 3 target unreachable.

    Example: roomhook replay run.db http://127.0.0.1:8000/callback --only-failed
    """
    from roomhook.cli.callbacks.sending_run import send
    from roomhook.simulator.sending.pacing import parse_speed

    factor = parse_speed(speed)
    if file == "-" and sending.resume:
        raise ConfigurationError("--resume can't read stdin again; put the callbacks into a file")
    renewed = any(_on_command_line(context, name) for name in ("token", "sdkappid"))
    seed = chosen_seed(seed)
    start_ms = int(sending.given.get("refreshed_from") or time.time_ns() // 1_000_000)
    source = _Source(file, only_failed=only_failed, refresh_from_ms=start_ms if refresh else None, speed=factor)
    source.check(sending.processes)
    sources = [replace(source, part=(part, sending.processes)) for part in range(sending.processes)]
    order = sending.order(url, speed=factor, seed=seed, resolved={"seed": seed, "refreshed_from": start_ms})
    raise typer.Exit(send(replace(order, exact=not refresh and not renewed), sources, sending))


@dataclass(frozen=True)
class _Source:
    """The events in a journal, in a file of NDJSON or on stdin."""

    file: str
    only_failed: bool
    refresh_from_ms: int | None
    speed: float | None
    part: tuple[int, int] = (0, 1)

    def check(self, processes: int) -> None:
        """Raise ``ConfigurationError`` now for what can be seen now."""
        if self.file == "-" and processes > 1:
            raise ConfigurationError("--processes can't share stdin; put the callbacks into a file")
        journal = self.file != "-" and _is_journal(Path(self.file))
        if self.only_failed and not journal:
            raise ConfigurationError(
                f"--only-failed needs a journal, and {self.file} is none: NDJSON knows no outcomes"
            )

    def events(self) -> Iterator[CallbackEvent]:
        """All of them, in order."""
        part, parts = self.part
        events = self._recorded() if parts == 1 else (one for one in self._recorded() if _share_of(one, parts) == part)
        return events if self.refresh_from_ms is None else refreshed(events, self.refresh_from_ms, self.speed)

    def alive(self) -> None:
        """Nobody knows how many rooms were alive."""

    def _recorded(self) -> Iterator[CallbackEvent]:
        if self.file == "-":
            yield from read_lines(sys.stdin.buffer, "stdin")
            return
        path = Path(self.file)
        if _is_journal(path):
            from roomhook.simulator.journal.reader import Filters, reading

            with reading(path) as reader:
                yield from reader.events(Filters(state="failed" if self.only_failed else None))
            return
        with path.open("rb") as lines:
            yield from read_lines(lines, path.name)


def _share_of(event: CallbackEvent, parts: int) -> int:
    """The part that *event* belongs to: all of a room to the same, so that they keep their order."""
    room = _ROOM.search(event.body)
    return zlib.crc32(room[1] if room else event.body) % parts


def _is_journal(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be read: {error.strerror}; give a journal or NDJSON, or - for stdin"
        ) from None


def _on_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
