"""User-supplied ways to list a room's members and to add some."""

from __future__ import annotations

import json
import re
import shlex
import ssl
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import urllib3

from roomhook.contract_tests.model.settings import Settings
from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.util.tls import client_context

__all__ = [
    "EnterMembers",
    "Listing",
    "Probe",
    "RoomAccess",
    "SetupError",
    "accounts_in",
    "command_enter",
    "command_probe",
    "filled",
    "http_probe",
]

Probe = Callable[[str], set[str]]
"""RoomId to the accounts that are in the room; raises ``SetupError`` if it can't tell."""

EnterMembers = Callable[[str, Sequence[str]], None]
"""Brings accounts into a room."""

_TIMEOUT_S: Final = 10
_AT_ONCE: Final = 8
_SHORTEST_WAIT_S: Final = 0.4
_PLACE: Final = "{RoomId}"
_ACCOUNT: Final = "{Account}"
_DEEPEST: Final = 4
"""Levels of objects in which a list of accounts is looked for."""
_ACCOUNT_KEYS: Final = (
    *("memberaccount", "account", "accountid", "useraccount", "userid", "uid", "user", "memberid", "member"),
    *("username", "name", "id"),
)
"""Where an object keeps its account, by the likeliest name: in lower case, without signs."""


class Listing(set[str]):
    """The accounts in a room; ``repeated`` those listed more than once, ``missing`` whether the probe answered 404."""

    def __init__(self, accounts: Iterable[str], *, missing: bool = False) -> None:
        counted = Counter(accounts)
        super().__init__(counted)
        self.repeated = {one for one, count in counted.items() if count > 1}
        self.missing = missing

    def among(self, accounts: set[str]) -> Listing:
        """This listing without anybody but *accounts*."""
        kept = Listing(self & accounts, missing=self.missing)
        kept.repeated = self.repeated & accounts
        return kept


class SetupError(ConfigurationError):
    """The probe, or the way in, does not do what it is there for: nothing was learnt about the App backend."""


@dataclass
class RoomAccess:
    """How a run looks into rooms and brings people in; ``failure`` says that the user's set-up does not work."""

    probe: Probe | None = None
    enter: EnterMembers | None = None
    failure: str = ""
    proven: bool = False
    """Whether people have been brought in, and listed, before."""
    by_list: bool = False
    """Whether one enter may list several people."""
    slowest_s: float = 0.0
    """The longest that an effect has taken so far until it showed."""
    at_once: int = 1
    """How many rooms may be looked into at a time: a function of the user's need not be safe for threads."""

    @classmethod
    def of(cls, settings: Settings, *, probe: Probe | None = None, enter: EnterMembers | None = None) -> RoomAccess:
        """As *settings* say, unless *probe* or *enter* is given."""
        command = settings.enter_command
        entering = enter or (command_enter(command) if command else None)
        return cls(probe or _probe_of(settings), entering, at_once=1 if probe else _AT_ONCE)

    @property
    def usual_s(self) -> float:
        """How long to wait at least for an effect that is as slow as those so far, with a wide margin."""
        return _SHORTEST_WAIT_S + 4 * self.slowest_s

    def took(self, seconds: float, *, came: bool) -> None:
        """Note how long an effect has taken until it showed, if it *came*."""
        if came:
            self.slowest_s = max(self.slowest_s, seconds)

    def set_up_failed(self, why: str) -> None:
        """Note that the user's set-up is at fault, not the target: the run can't be a success."""
        self.failure = f"set-up failed: {why}"


def _probe_of(settings: Settings) -> Probe | None:
    if settings.probe:
        secure = settings.probe.startswith("https:")
        tls = client_context(cacert=settings.cacert, insecure=settings.insecure) if secure else None
        return http_probe(settings.probe, pointer=settings.probe_pointer, headers=settings.headers, tls=tls)
    return command_probe(settings.probe_command, pointer=settings.probe_pointer) if settings.probe_command else None


def http_probe(
    template: str, *, pointer: str = "", headers: Sequence[tuple[str, str]] = (), tls: ssl.SSLContext | None = None
) -> Probe:
    """Ask *template* (a URL with ``{RoomId}``) by GET; *pointer* (RFC 6901) leads to the list; 404, 204: nobody."""
    if _PLACE not in template or not template.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"--probe {template!r} is no URL with {_PLACE} in it, as in http://127.0.0.1:8000/rooms/{_PLACE}"
        )
    try:
        CallbackUrl.parse(template.replace(_PLACE, "x"))
    except ConfigurationError as error:
        raise ConfigurationError(f"--probe {template!r}: {error}") from None
    pool = urllib3.PoolManager(
        maxsize=_AT_ONCE, ssl_context=tls, headers=dict(headers), retries=False, timeout=_TIMEOUT_S
    )

    def members(room: str) -> set[str]:
        url = template.replace(_PLACE, quote(room, safe=""))
        try:
            response = pool.request("GET", url)
        except urllib3.exceptions.HTTPError:
            try:
                response = pool.request("GET", url)  # a connection that was kept open may be closed by now
            except urllib3.exceptions.HTTPError as error:
                raise SetupError(f"the probe {url} can't be reached: {error}") from None
        if response.status == HTTPStatus.NOT_FOUND:
            return Listing((), missing=True)
        if response.status == HTTPStatus.NO_CONTENT:
            return Listing(())
        if response.status != HTTPStatus.OK:
            raise SetupError(f"the probe {url} answers HTTP {response.status}; it must answer 200 with JSON")
        return accounts_in(response.data.decode(errors="replace"), pointer, f"the probe {url}")

    return members


def command_probe(command: str, *, pointer: str = "") -> Probe:
    """Run *command* in a shell with ``{RoomId}`` (as ``filled``) in it; it prints JSON, or one account a line."""
    if _PLACE not in command:
        raise ConfigurationError(
            f"--probe-command {command!r} lacks {_PLACE}, as in 'redis-cli smembers room:{_PLACE}'"
        )

    def members(room: str) -> set[str]:
        printed = _run(filled(command, {_PLACE: room}), "--probe-command")
        if printed.strip() == "null" or printed.lstrip().startswith(("[", "{")):
            return accounts_in(printed, pointer, "--probe-command")
        return Listing(line.strip() for line in printed.splitlines() if line.strip())

    return members


def command_enter(command: str) -> EnterMembers:
    """Run *command* once for each account, with ``{RoomId}`` and ``{Account}`` (as ``filled``) in it."""
    if _PLACE not in command or _ACCOUNT not in command:
        raise ConfigurationError(f"--enter-command {command!r} lacks {_PLACE} or {{Account}}")

    def enter(room: str, accounts: Sequence[str]) -> None:
        for account in accounts:
            _run(filled(command, {_PLACE: room, _ACCOUNT: account}), "--enter-command")

    return enter


def filled(command: str, values: Mapping[str, str]) -> str:
    """The shell's *command* with *values* in their places, each quoted as the quotes around its place need it.

    Where it is a whole text of SQL, as in ``sqlite3 app.db "SELECT … WHERE room = '{RoomId}'"``, it stays one there.
    """
    done, quotes, at = "", "", 0
    while at < len(command):
        place = next((one for one in values if command.startswith(one, at)), "")
        if not place:
            sign = command[at : at + 2] if command[at] == "\\" and quotes != "'" else command[at]
            if sign in {"'", '"'} and quotes in {"", sign}:
                quotes = "" if quotes else sign
            done, at = done + sign, at + len(sign)
            continue
        before, at = command[:at], at + len(place)
        value, inner = values[place], {"'": '"', '"': "'"}.get(quotes, "")
        if inner and before.endswith(inner) and command.startswith(inner, at):
            value = value.replace(inner, 2 * inner)
        if quotes == "'":
            done += value.replace("'", "'\\''")
        else:
            done += re.sub(r'([\\"$`])', r"\\\1", value) if quotes else shlex.quote(value)
    return done


def accounts_in(text: str, pointer: str, source: str) -> Listing:
    """The accounts in the JSON *text*: null, a list of strings, or of objects with one each, at *pointer*."""
    try:
        found = json.loads(text)
        for step in pointer.split("/")[1:] if pointer else ():
            key = step.replace("~1", "/").replace("~0", "~")
            found = found[int(key)] if isinstance(found, list) else found[key]
    except (ValueError, KeyError, IndexError, TypeError):
        where = f" at {pointer}" if pointer else ""
        raise SetupError(f"{source} gives no JSON list of accounts{where}, but {text[:80]!r}") from None
    accounts = _accounts(found)
    if accounts is None:
        hint = "" if pointer else _hint(found)
        raise SetupError(f"{source} gives no JSON list of accounts, but {text[:80]!r}{hint}")
    return Listing(accounts)


def _accounts(found: Any) -> list[str] | None:
    """*found* as a list of accounts, if it is one; some languages write an empty list as null."""
    if found is None:
        return []
    if not isinstance(found, list):
        return None
    key = _key_of_accounts([one for one in found if isinstance(one, dict)])
    accounts = [one.get(key) if isinstance(one, dict) else one for one in found]
    named = [one for one in accounts if isinstance(one, str)]
    return named if len(named) == len(accounts) else None


def _key_of_accounts(objects: Sequence[dict[str, Any]]) -> str:
    """The key of the accounts in *objects*: by its name, or as the only one with texts; empty if there is none."""
    texts = [key for key in (objects or [{}])[0] if all(isinstance(one.get(key), str) for one in objects)]
    named = {re.sub("[^a-z]", "", key.lower()): key for key in reversed(texts)}
    found = next((named[name] for name in _ACCOUNT_KEYS if name in named), "")
    return found or (texts[0] if len(texts) == 1 else "")


def _hint(found: Any) -> str:
    """What to say about JSON that is no list of accounts: where one is, or how to make one."""
    pointers = [pointer for pointer, list_ in _lists_in(found) if _accounts(list_) is not None]
    if len(pointers) == 1:
        return f"; the list is further inside: say --probe-pointer {pointers[0]}"
    if isinstance(found, list) and {str, int} <= {type(one) for one in found}:
        return (
            "; accounts that look like numbers are kept as numbers: keep every account as text, or some become others"
        )
    if isinstance(found, list) or not isinstance(found, dict):
        return (
            "; list the accounts as strings or as Member_Account, or make them so with --probe-command, e.g. by jq -r"
        )
    return "; if the list is further inside, say where: --probe-pointer /data/members"


def _lists_in(found: Any, pointer: str = "", depth: int = _DEEPEST) -> Iterator[tuple[str, list[Any]]]:
    """The lists in the objects of *found*, each with its JSON pointer."""
    if isinstance(found, dict) and depth:
        for key, value in found.items():
            yield from _lists_in(value, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}", depth - 1)
    elif isinstance(found, list) and pointer:
        yield pointer, found


def _run(command: str, option: str) -> str:
    try:
        done = subprocess.run(  # noqa: S602 (the user's own command line, as in a shell)
            command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise SetupError(f"{option} took over {_TIMEOUT_S} s: {command}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise SetupError(f"{option} ended with {done.returncode}: {said[-1] if said else command}")
    return done.stdout.decode(errors="replace")
