"""What is seen in passing: points of form in answers to any callback, collected over the whole run."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from roomhook.contract_tests.model.exchange import Exchange
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import Response, header, parse_json, repeated_members

__all__ = ["FlakyAnswers", "Observation", "Observations", "leak_in"]

_FIELDS: Final = {"ActionStatus", "ErrorCode", "ErrorInfo"}
_STATUSES: Final = {"OK", "FAIL"}
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_LEAKS: Final = re.compile(
    r"Traceback \(most recent call last\)"
    r"|File \"[^\"]+\", line \d+"
    r"|\bat [\w$.<>\[\] ]+\([^()\s]+:\d+(?::\d+)?\)"  # Java, Node
    r"|\bat (?:&lt;anonymous&gt;|[\w.$]+) \(?/[^\s()]+:\d+:\d+"
    r"|goroutine \d+ \["
    r"|in (?:/|[A-Z]:\\)[^\s<]+ on line \d+"  # PHP
    r"|   at [\w.`<>]+\([^)]*\) in [^\s]+:line \d+"  # .NET
    r"|SQLSTATE\[|syntax error at or near|near \"[^\"]*\": syntax error|You have an error in your SQL syntax|ORA-\d{5}"
    r"|\b(?:sqlite3|psycopg2?|pymysql|MySQLdb|sqlalchemy)\.\w*(?:Error|exc)"
    r"|\b(?:SELECT .+ FROM|INSERT INTO|UPDATE .+ SET|DELETE FROM) \w+"
)
_SOURCE_FILE: Final = re.compile(
    r"(?:/[\w.@+-]+){2,}\.(?:py|js|mjs|ts|php|java|kt|rb|go|cs|ex|rs)\b|[A-Z]:\\(?:[\w.-]+\\)+[\w.-]+"
)


@dataclass(frozen=True)
class Observation:
    """One kind of observation: its first exchange, and how often it was made."""

    message: str
    expected: str
    actual: str
    exchange: Exchange
    path: str = ""
    count: int = 1


@dataclass
class Observations:
    """Everything seen, by requirement id and then by what was seen; *coding_allowed*: callbacks ask for a coding."""

    coding_allowed: bool = False
    _by_id: dict[str, dict[str, Observation]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def seen(self, requirement: str) -> tuple[Observation, ...]:
        """What was seen that touches *requirement*."""
        return tuple(self._by_id.get(requirement, {}).values())

    def add(self, requirement: str, seen: Observation) -> None:
        """Keep *seen*, or count it if the same was seen before."""
        with self._lock:
            known = self._by_id.setdefault(requirement, {})
            before = known.get(seen.actual)
            known[seen.actual] = replace(before, count=before.count + 1) if before else seen

    def look_at(self, exchange: Exchange) -> None:
        """Look at one exchange for everything that is noted in passing."""
        if exchange.answer is None:
            return
        for requirement, seen in _look(exchange):
            self.add(requirement, seen)
        if exchange.acknowledged and not self.coding_allowed:
            for seen in _look_at_coding(exchange, exchange.answer):
                self.add("ack.coding", seen)


@dataclass
class FlakyAnswers:
    """Valid callbacks that failed once and not again: ``seen`` holds what is worth a finding.

    What failed while another case ran beside it is in ``in_company``: it proves nothing if the target cannot handle
    several callbacks at once. ``clock`` gives s on a monotonic clock.
    """

    seen: list[Exchange] = field(default_factory=list)
    in_company: list[Exchange] = field(default_factory=list)
    _lost_connection: Exchange | None = None
    clock: Callable[[], float] = time.monotonic
    _beside: list[Exchange] = field(default_factory=list)
    _company: int = 0
    _company_ended: float = -math.inf
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look_at(self, exchange: Exchange) -> None:
        """Note whether *exchange*, which has just ended, failed in company: its repeat may well be alone."""
        if exchange.acknowledged:
            return
        with self._lock:
            if self._company or self.clock() - exchange.elapsed_ms / 1000 <= self._company_ended:
                self._beside.append(exchange)

    def add(self, exchange: Exchange) -> None:
        """Keep *exchange*; a lone loss or delay proves nothing."""
        lost = exchange.answer is None and exchange.outcome is not DeliveryOutcome.INCOMPLETE
        with self._lock:
            if not exchange.late and not (lost and self._lost_connection is None):
                (self.in_company if any(one is exchange for one in self._beside) else self.seen).append(exchange)
            if lost:
                self._lost_connection = exchange

    @contextmanager
    def company(self) -> Iterator[None]:
        """While this lasts, a case runs beside the others."""
        with self._lock:
            self._company += 1
        try:
            yield
        finally:
            with self._lock:
                self._company -= 1
                self._company_ended = self.clock()

    def __bool__(self) -> bool:
        """Whether anything has failed once and not again."""
        return bool(self.seen or self.in_company)


def _look(exchange: Exchange) -> Iterator[tuple[str, Observation]]:
    answer = exchange.answer
    assert answer is not None
    packet = _parsed(exchange) if exchange.status == 200 else None
    leak = leak_in(exchange)
    if leak:
        yield (
            "bad.no-leak",
            Observation("an answer shows the inside of the backend", "nothing of the inside", leak, exchange),
        )
    if isinstance(packet, dict) and "ActionStatus" in packet:
        yield from _look_at_label(exchange, answer)
        yield from _look_at_case(exchange, packet["ActionStatus"])
    if exchange.acknowledged:
        if answer.body.startswith(_BYTE_ORDER_MARK):
            yield (
                "ack.bom",
                Observation(
                    "an answer begins with a byte order mark", "nothing before the JSON", "EF BB BF before it", exchange
                ),
            )
        extra = sorted(set(packet) - _FIELDS) if isinstance(packet, dict) else []
        if extra:
            names = ", ".join(extra)
            yield (
                "ack.extra",
                Observation("an answer has members of its own (allowed)", "the three documented", names, exchange),
            )
    if isinstance(packet, dict):
        yield from _look_at_packet(exchange, packet)


def _look_at_label(exchange: Exchange, answer: Response) -> Iterator[tuple[str, Observation]]:
    kind = header(answer, "Content-Type")
    media = (kind or "").partition(";")[0].strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        yield (
            "ack.content-type",
            Observation("an answer is not labelled JSON", "application/json", kind or "none", exchange),
        )


def _look_at_case(exchange: Exchange, status: object) -> Iterator[tuple[str, Observation]]:
    if isinstance(status, str) and status not in _STATUSES and status.upper() in _STATUSES:
        expected, actual = f'"{status.upper()}"', f'"{status}"'
        message = "ActionStatus is spelled in the wrong letter case"
        yield "ack.consistent", Observation(message, expected, actual, exchange, "$.ActionStatus")


def _look_at_coding(exchange: Exchange, answer: Response) -> Iterator[Observation]:
    coding = header(answer, "Content-Encoding") or "identity"
    if coding.strip().lower() != "identity":
        actual = f"Content-Encoding: {coding}"
        yield Observation("an answer is compressed though nobody asked for it", "no Content-Encoding", actual, exchange)


def _look_at_packet(exchange: Exchange, packet: dict[str, Any]) -> Iterator[tuple[str, Observation]]:
    assert exchange.answer is not None
    for name, values in repeated_members(exchange.answer.body, sorted(_FIELDS)).items():
        actual = f"{name} {len(values)} times: {', '.join(values)}"
        yield (
            "ack.consistent",
            Observation("a field stands twice with different values", f"{name} once", actual, exchange, f"$.{name}"),
        )
    status, code, info = packet.get("ActionStatus"), packet.get("ErrorCode"), packet.get("ErrorInfo")
    if status == "OK" and isinstance(code, int) and code != 0:
        actual = f"OK with ErrorCode {code}"
        yield (
            "ack.consistent",
            Observation("ActionStatus and ErrorCode disagree", "OK with ErrorCode 0", actual, exchange, "$.ErrorCode"),
        )
    if status == "FAIL" and isinstance(code, int) and isinstance(info, str) and (code == 0 or not info):
        actual = "FAIL with ErrorCode 0" if code == 0 else "FAIL with an empty ErrorInfo"
        expected = "FAIL with a non-zero ErrorCode and an ErrorInfo"
        yield (
            "ack.consistent",
            Observation(
                "a FAIL says not why", expected, actual, exchange, "$.ErrorCode" if code == 0 else "$.ErrorInfo"
            ),
        )


def _parsed(exchange: Exchange) -> Any:
    """The packet; the quick way through ``judge`` keeps none."""
    if exchange.judgement.packet is not None or exchange.answer is None:
        return exchange.judgement.packet
    try:
        return parse_json(exchange.answer.body)
    except ValueError:
        return None


def leak_in(exchange: Exchange) -> str:
    """The part of the answer that shows a stack trace, a source file or SQL, or an empty string."""
    if exchange.answer is None or not exchange.answer.body:
        return ""
    text = exchange.answer.body[:65536].decode(errors="replace")
    found = _LEAKS.search(text)
    if not found:
        found = next((one for one in _SOURCE_FILE.finditer(text) if one[0] not in exchange.callback.url), None)
    return found[0][:160] if found else ""
