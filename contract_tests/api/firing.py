"""``fire``: send one callback to an App backend from Python, and see what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from roomhook.contract_tests.api.app_server import reached
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.transport.client import Client
from roomhook.simulator.protocol.callback_request import JSON_CONTENT
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.curl import curl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.packets import EnterPacket, LeavePacket, encode
from roomhook.simulator.protocol.response_check import Violation
from roomhook.simulator.rooms.sample_callback import Fake, Given, Kind, RequestTemplate, fake
from roomhook.simulator.util.defaults import DEADLINE_MS, SDKAPPID

__all__ = ["Fired", "fire"]


@dataclass(frozen=True, repr=False)
class Fired:
    """What came of one callback."""

    exchange: Exchange

    @property
    def acknowledged(self) -> bool:
        """HTTP 200 in time with a compliant packet whose ActionStatus is OK."""
        return self.exchange.acknowledged

    @property
    def outcome(self) -> DeliveryOutcome:
        """How the attempt ended in the Room backend's terms."""
        return self.exchange.outcome

    @property
    def findings(self) -> tuple[Violation, ...]:
        """What the response breaks, by requirement id; empty for a compliant one."""
        return self.exchange.judgement.breaches

    @property
    def status(self) -> int | None:
        """The HTTP status, or None without a response."""
        return self.exchange.status

    @property
    def body(self) -> bytes:
        """The response's body."""
        return self.exchange.answer.body if self.exchange.answer else b""

    @property
    def headers(self) -> dict[str, str]:
        """The response's headers, names in lower case."""
        pairs = self.exchange.answer.headers if self.exchange.answer else ()
        return {name.lower(): value for name, value in pairs}

    def __repr__(self) -> str:
        """Everything that an ``assert fired.acknowledged`` which fails wants to show."""
        found = "; ".join(f"{one.requirement}: expected {one.expected}, actual {one.actual}" for one in self.findings)
        return (
            f"<Fired {self.outcome}, HTTP {self.status}, {found or 'compliant'}; again: {curl(self.exchange.callback)}>"
        )


def fire(
    url_or_app: str | Callable[..., Any],
    what: str | LeavePacket | EnterPacket = Kind.LEAVE,
    *,
    path: str = "/",
    interface: str = "auto",
    sdkappid: int = SDKAPPID,
    token: str | None = None,
    deadline_ms: float = DEADLINE_MS,
    headers: Sequence[tuple[str, str]] = (),
    seed: int = 0,
    member: str | Sequence[str] = (),
    **given: Any,
) -> Fired:
    """Send one callback to a URL, or to *path* of an ASGI or WSGI app of this process, and judge the response.

    *what* is "leave", "kicked", "expired" or "enter", or a whole packet. For the former, *given* fixes values of the
    packet: *room*, *member* (one or several), *operator*, *count* (people left in the room), *reason*, *event_time*
    (ms). The rest is made up from *seed*. Raises ``ConfigurationError`` for values that cannot be, and ``ValueError``
    for another *what*.
    """
    now = time.time()
    if isinstance(what, str):
        members = (member,) if isinstance(member, str) else tuple(member)
        made = fake(Kind(what), Given(members=members, **given), seed=seed, now_ms=int(now * 1000))
    else:
        client = fake(Kind.LEAVE, Given(), seed=seed, now_ms=int(now * 1000))
        made = Fake(what, client.client_ip, client.platform)
    with reached(url_or_app, path, interface) as url:
        request = RequestTemplate(
            url=CallbackUrl.configured(url),
            sdkappid=sdkappid,
            command=made.packet.callback_command,
            client_ip=made.client_ip,
            platform=made.platform,
            contenttype="json",
            token=token,
            headers=JSON_CONTENT,
            body=encode(made.packet),
        )
        give_up_ms = Settings(url, deadline_ms=deadline_ms).give_up_ms
        client_of_app = Client(headers=headers)
        return Fired(client_of_app.send(request.callback(int(now)), deadline_ms=deadline_ms, give_up_ms=give_up_ms))
