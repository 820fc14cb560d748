"""How an attempt is shown: its request, its answer and the verdict on it, as text or JSON; and the exit code."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from roomhook.cli.shared.options import PrintAs, own_app_id_hint
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.palette import Painter, Style, plain
from roomhook.simulator.protocol.callback_request import CallbackRequest, masked, printable
from roomhook.simulator.protocol.curl import curl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.packets import ENTER_COMMAND
from roomhook.simulator.protocol.response_check import Violation, header
from roomhook.simulator.rooms.sample_callback import RequestTemplate

__all__ = ["FireSummary", "advice", "answer_text", "attempt_json", "attempt_line", "request_text"]

_UNREACHABLE: Final = {DeliveryOutcome.REFUSED, DeliveryOutcome.DNS}
_WITHOUT_ANSWER: Final = {
    DeliveryOutcome.REFUSED: "start your App backend, or try one of ours: roomhook backend",
    DeliveryOutcome.DNS: "check the host name in the URL.",
    DeliveryOutcome.TLS: "for a certificate of your own authority, say --cacert FILE, or --insecure to accept any.",
    DeliveryOutcome.TIMEOUT: "answer first and process later; --timeout 10 waits longer than the Room backend does.",
    DeliveryOutcome.NOT_HTTP: "check the port and the scheme, http or https.",
}
_ACKNOWLEDGED: Final = "acknowledged"
_LABEL: Final = 14
"""Columns of the label in front of a verdict."""
_MOST_SHOWN: Final = 4000
"""Characters of a body that are shown as text; JSON holds the whole."""


@dataclass
class FireSummary:
    """What became of several attempts."""

    labels: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    unreachable: int = 0

    def add(self, exchange: Exchange) -> None:
        """Count *exchange*."""
        self.labels[_label(exchange)] += 1
        self.acknowledged += exchange.acknowledged
        self.unreachable += exchange.outcome in _UNREACHABLE

    @property
    def exit_code(self) -> int:
        """0 if all were acknowledged, 3 if none reached the target, else 1."""
        whole = self.labels.total()
        return 0 if self.acknowledged == whole else 3 if self.unreachable == whole else 1

    def text(self, paint: Painter = plain) -> str:
        """How many attempts there were, and how many ended in each way."""
        counts = ", ".join(
            paint(f"{number} {label}", Style.GOOD if label == _ACKNOWLEDGED else Style.BAD)
            for label, number in self.labels.most_common()
        )
        return f"{self.labels.total()} attempts: {counts}"


def request_text(callback: CallbackRequest, print_as: PrintAs, body_file: Path | None = None) -> str:
    """*callback* as an HTTP request, a curl line or JSON, secrets masked; curl reads a *body_file* if there is one."""
    callback = masked(callback)
    if print_as is PrintAs.CURL:
        return curl(callback, body_file=None if body_file is None else str(body_file))
    if print_as is PrintAs.JSON:
        return json.dumps(_request_json(callback), ensure_ascii=False)
    url = urlsplit(callback.url)
    headers = list(callback.headers)
    if not any(name.lower() == "host" for name, _ in headers):
        headers.insert(0, ("Host", url.netloc))
    if callback.body is not None:
        headers.append(("Content-Length", str(len(callback.body))))
    lines = [f"{callback.method} {url.path}?{url.query} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\n".join([*lines, "", _body_text(callback.body or b"")])


def answer_text(exchange: Exchange, paint: Painter = plain) -> str:
    """The answer and the verdict on it, in several lines."""
    judgement = exchange.judgement
    if exchange.answer is None:
        lines = [f"no answer after {exchange.elapsed_ms:.0f} ms: {printable(exchange.detail)}", ""]
    else:
        lines = [f"HTTP {exchange.answer.status} after {exchange.answer.elapsed_ms:.0f} ms"]
        lines += [printable(f"{name}: {value}") for name, value in exchange.answer.headers]
        lines += ["", _body_text(exchange.answer.body), ""]
    delivered = exchange.outcome is DeliveryOutcome.DELIVERED
    lines.append(f"{_axis('delivered', delivered, paint)}  the App backend {exchange.outcome.explained}")
    if exchange.answer is not None:
        lines.append(_axis("compliant", _is_compliant(exchange), paint))
    lines.append(_axis("acknowledged", exchange.acknowledged, paint))
    if exchange.answer is not None:
        lines += [f"  {_breach_text(breach)}" for breach in judgement.breaches]
    return "\n".join(lines)


def attempt_line(number: int, exchange: Exchange, paint: Painter = plain) -> str:
    """The same in one line, for the *number*-th of several attempts."""
    style = Style.GOOD if exchange.acknowledged else Style.BAD
    return f"attempt {number}: {paint(_label(exchange), style)} after {exchange.elapsed_ms:.0f} ms"


def attempt_json(exchange: Exchange) -> str:
    """Request, answer and verdict as one line of JSON; times are in ms, bodies that are no UTF-8 are in base64."""
    judgement = exchange.judgement
    answer = exchange.answer and {
        "status": exchange.answer.status,
        "headers": [list(pair) for pair in exchange.answer.headers],
        **_body_json(exchange.answer.body),
        "elapsed_ms": round(exchange.answer.elapsed_ms, 3),
    }
    document = {
        "request": _request_json(exchange.callback),
        "answer": answer,
        "outcome": exchange.outcome,
        "detail": exchange.detail,
        "delivered": exchange.outcome is DeliveryOutcome.DELIVERED,
        "compliant": _is_compliant(exchange) if exchange.answer else None,
        "acknowledged": exchange.acknowledged,
        "breaches": [
            {"requirement": one.requirement, "path": one.path, "expected": one.expected, "actual": one.actual}
            for one in judgement.breaches
        ],
    }
    return json.dumps(document, ensure_ascii=False)


def advice(exchange: Exchange, shot: RequestTemplate) -> str:
    """What to try if *exchange* was not acknowledged, or an empty string."""
    if exchange.acknowledged:
        return ""
    if exchange.outcome is DeliveryOutcome.TLS and "WRONG_VERSION" in exchange.detail:
        return "the port speaks no TLS: check the port and the scheme, http or https."
    if exchange.outcome in _WITHOUT_ANSWER:
        return _WITHOUT_ANSWER[exchange.outcome]
    status = exchange.status or 0
    if 300 <= status < 400 and exchange.answer:
        location = printable(header(exchange.answer, "Location") or "nowhere")
        return f"give the final URL: this one redirects to {location}, and no redirect is followed."
    failed = exchange.judgement.action_status == "FAIL"
    found: list[str] = []
    if status in {404, 405}:
        found.append("check the path in the URL: callbacks come by POST.")
    if failed or status in {400, 401, 403, 404}:
        found += filter(None, [own_app_id_hint(shot.sdkappid)])
        if shot.token is None:
            found.append("If your App backend verifies Sign, give its token in ROOMHOOK_TOKEN.")
    if failed and shot.command != ENTER_COMMAND:
        found.append("If it knows only some rooms and members, fire enter with the same --room and --member first.")
    return " ".join(found)


def _is_compliant(exchange: Exchange) -> bool:
    """Whether the answer is a compliant response packet in time, be it OK or FAIL."""
    return all(breach.requirement == "ack.ok" for breach in exchange.judgement.breaches)


def _label(exchange: Exchange) -> str:
    if exchange.acknowledged:
        return _ACKNOWLEDGED
    ids = ", ".join(_ids(exchange.judgement.breaches))
    return f"{exchange.outcome}, not acknowledged ({ids})" if exchange.answer else f"{exchange.outcome}, no answer"


def _ids(breaches: Iterable[Violation]) -> list[str]:
    return list(dict.fromkeys(breach.requirement for breach in breaches))


def _breach_text(breach: Violation) -> str:
    where = f" at {breach.path}" if breach.path else ""
    return printable(f"{breach.requirement}: expected {breach.expected}, got {breach.actual}{where}")


def _axis(name: str, holds: bool, paint: Painter) -> str:
    said = paint("yes", Style.GOOD) if holds else f"{paint('no', Style.BAD)} "
    return f"{paint(name, Style.MUTED)}{'':{_LABEL - len(name)}}{said}"


def _request_json(callback: CallbackRequest) -> dict[str, Any]:
    shown = masked(callback)
    return {
        "method": shown.method,
        "url": shown.url,
        "headers": [list(pair) for pair in shown.headers],
        **_body_json(shown.body or b""),
    }


def _body_json(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def _body_text(body: bytes) -> str:
    text = body.decode(errors="backslashreplace")
    cut = f"\n… ({len(body)} bytes in all)" if len(text) > _MOST_SHOWN else ""
    return "\n".join(map(printable, text[:_MOST_SHOWN].splitlines())) + cut
