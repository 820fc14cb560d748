"""What ``roomhook traffic URL`` and ``roomhook replay`` share: the options of sending, the run, and how it ends."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_type_hints

import typer

from roomhook.cli.shared.options import (
    DEADLINE_S,
    CaCert,
    Cert,
    Deadline,
    Format,
    Header,
    Insecure,
    OutputFormat,
    SdkAppId,
    Token,
    parse_token,
)
from roomhook.errors import ConfigurationError
from roomhook.simulator.http_server.headers import parse_headers
from roomhook.simulator.protocol.callback_request import masked_url
from roomhook.simulator.transport.retry_policy import RetryProfile
from roomhook.simulator.util.defaults import SDKAPPID

if TYPE_CHECKING:
    from roomhook.simulator.sending.session import SendJob

__all__ = ["SendingOptions", "SendingReport", "Spacing", "first_given", "with_sending_options"]

_CLOSED_LOOP_CONNECTIONS: Final = 64
_OPEN_LOOP_CONNECTIONS: Final = 1024
_SECRET: Final = frozenset({"token", "header"})
_FREE_ON_RESUME: Final = frozenset({"url", "resume", "journal", "report", "report_dir", "format_"})
_MOST_PROCESSES: Final = 64


class Spacing(StrEnum):
    """How callbacks at a --rate are spaced."""

    CONSTANT = "constant"
    POISSON = "poisson"


class SendingReport(StrEnum):
    """A file about the run."""

    JSON = "json"
    HTML = "html"


@dataclass(frozen=True, kw_only=True)
class SendingOptions:
    """The options as they were given; ``order`` turns them into what is to be done."""

    sdkappid: SdkAppId = SDKAPPID
    token: Token = None
    header: Header = None
    deadline: Deadline = DEADLINE_S
    cacert: CaCert = None
    insecure: Insecure = False
    cert: Cert = None
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="HOST", help="Allow this remote target, e.g. staging.example.com; repeatable."
        ),
    ] = None
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            metavar="RATE",
            help="Send at e.g. 2000/s or 90/min (open loop); max sends after each response (closed loop).",
        ),
    ] = None
    arrivals: Annotated[
        Spacing,
        typer.Option("--arrivals", help="Space callbacks evenly, or randomly like independent people (poisson)."),
    ] = Spacing.CONSTANT
    connections: Annotated[
        int | None,
        typer.Option(
            "--connections",
            metavar="N",
            min=1,
            help="Send at most N at once, e.g. 256 (default: 64; open loop 1024).",
        ),
    ] = None
    max_late: Annotated[
        str | None,
        typer.Option("--max-late", metavar="TIME", help="Drop callbacks that are more than e.g. 5s late."),
    ] = None
    retry: Annotated[
        RetryProfile,
        typer.Option("--retry", help="Retry undelivered callbacks; trtc: at once, then every 10 s for 1 min."),
    ] = RetryProfile.NONE
    duplicate: Annotated[str, typer.Option("--duplicate", metavar="SHARE", help="Send e.g. 1% of callbacks twice.")] = (
        "0%"
    )
    reorder: Annotated[
        str, typer.Option("--reorder", metavar="SHARE", help="Let later callbacks overtake e.g. 5% of them.")
    ] = "0%"
    delay: Annotated[
        str, typer.Option("--delay", metavar="TIME", help="Send each callback later by e.g. 200ms, or by 50ms-2s.")
    ] = "0s"
    processes: Annotated[
        int,
        typer.Option(
            "--processes",
            metavar="N",
            min=1,
            max=_MOST_PROCESSES,
            help="Divide the work among N processes, e.g. one per core.",
        ),
    ] = 1
    journal: Annotated[
        Path | None,
        typer.Option("--journal", metavar="FILE", help="Record every callback and attempt in this file, e.g. run.db."),
    ] = None
    durable: Annotated[
        bool, typer.Option("--durable", help="Send a callback only when its --journal record is on disk.")
    ] = False
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the unfinished run in --journal, with its options.")
    ] = False
    report: Annotated[
        list[SendingReport] | None,
        typer.Option("--report", help="Write a file into --report-dir, e.g. --report html; repeatable."),
    ] = None
    report_dir: Annotated[
        Path, typer.Option("--report-dir", metavar="DIR", help="Folder for --report; created if missing.")
    ] = Path("roomhook-report")
    output: Format = OutputFormat.TEXT
    given: Mapping[str, Any] = field(default_factory=dict)
    """Every option of the command as it was given, for the journal."""

    def order(
        self, url: str, *, speed: float | None, seed: int, resolved: Mapping[str, Any], told_speed: float | None = None
    ) -> SendJob:
        """What is to be done at *speed* (*told_speed*, where that is another) unless there is a --rate.

        *resolved* are options that were left to us. Raises ``ConfigurationError`` for anything that can't be.
        """
        from roomhook.simulator.protocol.callback_url import CallbackUrl
        from roomhook.simulator.sending.network_faults import NetworkFaults
        from roomhook.simulator.sending.pacing import parse_rate
        from roomhook.simulator.sending.session import SendJob
        from roomhook.simulator.transport.allowed_hosts import require_allowed

        target = CallbackUrl.configured(url)
        require_allowed(target, self.allow_host or ())
        rate = parse_rate(self.rate) if self.rate is not None else None
        closed = self.rate == "max" or (rate is None and speed is None)
        delay_ms = _range_ms(self.delay)
        if closed and (delay_ms[1] or self.max_late or self.arrivals is Spacing.POISSON):
            option = "--delay" if delay_ms[1] else "--max-late" if self.max_late else "--arrivals"
            raise ConfigurationError(
                f"{option} needs callbacks that have a time: give a --rate such as 2000/s, or a --speed"
            )
        if self.arrivals is Spacing.POISSON and rate is None:
            raise ConfigurationError(
                "--arrivals poisson needs a --rate such as 2000/s: at a --speed, callbacks keep their times"
            )
        self._refuse_journals_that_do_not_fit()
        return SendJob(
            url=target,
            sdkappid=self.sdkappid,
            token=parse_token(self.token),
            headers=parse_headers(self.header),
            cacert=self.cacert,
            insecure=self.insecure,
            cert=self.cert,
            deadline_ms=self.deadline * 1000,
            connections=self.connections or _connections(closed=closed),
            rate=rate,
            poisson=self.arrivals is Spacing.POISSON,
            speed=None if closed else speed,
            told_speed=told_speed,
            retry=self.retry.value,
            disorder=NetworkFaults(_share("--duplicate", self.duplicate), _share("--reorder", self.reorder), delay_ms),
            max_late_ms=_time_ms("--max-late", self.max_late) if self.max_late else None,
            seed=seed,
            journal=self.journal,
            resume=self.resume,
            durable=self.durable,
            options={**self.given, **resolved},
        )

    def _refuse_journals_that_do_not_fit(self) -> None:
        from roomhook.simulator.journal.part_names import parts_there

        if self.journal is None:
            if self.resume:
                raise ConfigurationError("--resume needs the --journal that is to be gone on with")
            if self.durable:
                raise ConfigurationError("--durable needs a --journal, e.g. --journal run.db")
            return
        if self.journal.is_dir():
            raise ConfigurationError(f"--journal {self.journal} is a folder; name a file in it, such as run.db")
        if self.journal.exists() and not self.journal.is_file():
            raise ConfigurationError(f"--journal {self.journal} is no file that keeps what is written; name another")
        if not self.resume and (parts := parts_there(self.journal)):
            raise ConfigurationError(f"{parts[0]} exists; add --resume to go on with it, or choose another --journal")


def with_sending_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """*command* with a parameter for each option of ``SendingOptions``, which it gets together as ``sending``.

    An option that the command declares itself is left to it.
    With --resume, options that are not given are those that the journal was begun with; given ones must agree with
    them, except for how and where to send.
    """
    own = get_type_hints(command, include_extras=True)
    ours = get_type_hints(SendingOptions, include_extras=True)
    names = [one.name for one in fields(SendingOptions) if one.name != "given"]
    taken = [one for name, one in inspect.signature(command).parameters.items() if name != "sending"]
    parameters = [one.replace(annotation=own[one.name]) for one in taken if one.name != "context"]
    parameters += [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=_default(one), annotation=ours[one.name])
        for one in fields(SendingOptions)
        if one.name != "given" and one.name not in own
    ]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)

    @functools.wraps(command)
    def wrapped(context: typer.Context, **values: Any) -> Any:
        if values["resume"] and values["journal"] is not None:
            values = _resumed(context, values, free=frozenset(names) - {"processes"}, hints=own | ours)
        given = {name: _plain(value) for name, value in values.items() if name not in _SECRET}
        if given.get("url"):
            given["url"] = masked_url(given["url"])
        mine = {name: values[name] for name in names}
        theirs = {one.name: context if one.name == "context" else values[one.name] for one in taken}
        return command(**theirs, sending=SendingOptions(**mine, given=given))

    del wrapped.__wrapped__  # its signature is not the one to look at
    every = [context, *sorted(parameters, key=lambda one: one.kind)]
    wrapped.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {one.name: one.annotation for one in every}
    return wrapped


def first_given(context: typer.Context, *, but: Collection[str] = ()) -> str | None:
    """The first option of sending on the command line, except those named in *but*, or None."""
    for one in fields(SendingOptions):
        source = context.get_parameter_source(one.name)
        if one.name not in ("output", *but) and source is not None and source.name == "COMMANDLINE":
            return f"--{one.name.replace('_', '-')}"
    return None


def _resumed(
    context: typer.Context, values: dict[str, Any], *, free: frozenset[str], hints: Mapping[str, Any]
) -> dict[str, Any]:
    """*values* with those that the journal was begun with in place of defaults; *free* ones may have changed."""
    from roomhook.simulator.journal.part_names import parts_there, whole_of
    from roomhook.simulator.journal.reader import reading

    path: Path = values["journal"]
    whole = whole_of(path)
    if not path.exists() and (parts := parts_there(path)):
        path, whole = parts[0], None
    with reading(path) as reader:
        runs = reader.runs()
    stored: dict[str, Any] = runs[0]["options"] if runs else {}
    if whole is not None and stored.get("processes", 1) > 1:
        raise ConfigurationError(f"{path} is one of several journals of one run; go on with all: --journal {whole}")
    merged = dict(values)
    if merged.get("url") is None:
        merged["url"] = stored.get("url")
        if "=***" in (merged["url"] or ""):
            raise ConfigurationError(f"the URL of {path} has a secret, which no journal holds: give the URL again")
    for name in (name for name in stored if name in values and name not in _FREE_ON_RESUME):
        source = context.get_parameter_source(name)
        if source is None or source.name in {"DEFAULT", "DEFAULT_MAP"}:
            merged[name] = _restored(hints[name], stored[name])
        elif name not in free and _plain(values[name]) != stored[name]:
            option, right = f"--{name.replace('_', '-')}", "leave it out to go on"
            if name == "file":
                option, right = "the file", "name that to go on"
            raise ConfigurationError(
                f"{path} was begun with {option} {stored[name]}, not {_plain(values[name])}: {right}"
            )
    return {**merged, **{name: value for name, value in stored.items() if name not in merged}}


def _connections(*, closed: bool) -> int:
    """How many connections there are unless somebody says so: in the open loop as many as a second's worth may need."""
    from roomhook.simulator.transport.sender import most_connections

    wanted = _CLOSED_LOOP_CONNECTIONS if closed else _OPEN_LOOP_CONNECTIONS
    return min(wanted, most_connections() or wanted)


def _default(one: Any) -> Any:
    return inspect.Parameter.empty if one.default is MISSING else one.default


def _plain(value: Any) -> Any:
    """*value* as JSON can hold it, and as the option would be written."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _restored(hint: Any, value: Any) -> Any:
    """The value of an option of the type *hint* that ``_plain`` has made *value* of."""
    if isinstance(value, list):
        return [_restored(hint, one) for one in value]
    if value is None:
        return None
    if isinstance(hint, type):
        return hint(value) if issubclass(hint, Enum | Path) else value
    inner = [one for one in get_args(hint) if isinstance(one, type) or get_args(one)]
    for one in inner:
        value = _restored(one, value)
    return value


def _share(option: str, text: str) -> float:
    """A share such as ``1%`` or ``0.01``, from 0 to 1."""
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)(%)?", text)
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= share <= 1:
        raise ConfigurationError(f"{option} {text!r} is no share; write it as 1% or 0.01")
    return share


def _time_ms(option: str, text: str) -> float:
    from roomhook.simulator.util.durations import parse_duration

    try:
        return parse_duration(text)
    except ConfigurationError:
        raise ConfigurationError(f"{option} {text!r} is no time; write it as 200ms, 5s or 1m") from None


def _range_ms(text: str) -> tuple[float, float]:
    first, separator, last = text.partition("-")
    if not first:
        raise ConfigurationError(f"--delay {text!r} is no time; write it as 200ms, or 50ms-2s")
    low = _time_ms("--delay", first)
    high = _time_ms("--delay", last) if separator else low
    if high < low:
        raise ConfigurationError(f"--delay {text!r} ends before it begins; write it as 50ms-2s")
    return low, high
