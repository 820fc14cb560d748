"""What a load test sends and where, as one value that travels to workers and to the sender's process."""

from __future__ import annotations

import ssl
from pathlib import Path

import msgspec

from roomhook.loadtests.workload.worker_rooms import RoomShare
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.transport.target import Target
from roomhook.simulator.util.defaults import DEADLINE_MS
from roomhook.simulator.util.tls import client_context

__all__ = ["LoadSettings"]


class LoadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One load test.

    ``rate`` is callbacks/s of each user, 0 for the closed loop: the next one as soon as the answer is there.
    ``connections`` bounds what one worker's sender has in flight. ``place`` says which of the rooms are this worker's.
    ``rooms`` of None leaves their number to the profile. ``attempts`` is a file for a line about every attempt.
    """

    url: str
    sdkappid: int
    seed: int
    token: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    profile: str = "steady"
    rooms: int | None = None
    room_ids: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    with_enter: bool = False
    deadline_s: float = DEADLINE_MS / 1000
    rate: float = 1.0
    connections: int = 256
    cacert: str | None = None
    insecure: bool = False
    cert: str | None = None
    attempts: str | None = None
    place: RoomShare = RoomShare()

    @property
    def deadline_ms(self) -> float:
        """How late an answer may be (ms)."""
        return self.deadline_s * 1000

    @property
    def attempts_file(self) -> Path | None:
        """Where this worker writes its attempts: with several workers, each into a file of its own."""
        if self.attempts is None:
            return None
        alone = self.place.number == self.place.parts == 1
        return Path(self.attempts if alone else f"{self.attempts}.{self.place.number}")

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context that reaches the target, None for http; raises ``ConfigurationError`` for a bad file."""
        if not self.url.lower().startswith("https:"):
            return None
        return client_context(
            cacert=Path(self.cacert) if self.cacert else None,
            insecure=self.insecure,
            cert=Path(self.cert) if self.cert else None,
        )

    def target(self) -> Target:
        """The App backend; raises ``ConfigurationError`` for a URL, a header or a file that can't be used."""
        return Target(CallbackUrl.parse(self.url), self.sdkappid, self.token, self.headers, tls=self.tls())
