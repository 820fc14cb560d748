"""Settings of a load test, sent to workers and to the sender process."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Self

import msgspec

from roomhook.errors import ConfigurationError
from roomhook.loadtests.workload.worker_rooms import RoomShare
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.identifiers import LONGEST_ACCOUNT, LONGEST_ROOM_ID, read_ids
from roomhook.simulator.traffic.profiles import Profile
from roomhook.simulator.transport.target import Target
from roomhook.simulator.util.defaults import DEADLINE_MS, SDKAPPID
from roomhook.simulator.util.limits import LONGEST_WAIT_S, MOST, MOST_A_SECOND
from roomhook.simulator.util.tls import client_context

__all__ = ["LoadSettings", "parse_rooms"]


def parse_rooms(text: str | None) -> int | str | None:
    """What ``--rooms`` asks for: a number, or the file (its absolute path) with the ids of existing rooms.

    Raises ``ConfigurationError`` for a number that is out of range.
    """
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{1,99}", text):
        return str(Path(text).absolute())
    if not 1 <= int(text) <= MOST:
        raise ConfigurationError(f"--rooms {text} is out of range: use 1 to {MOST:,} rooms, e.g. 50")
    return int(text)


class LoadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One load test.

    ``rate`` is callbacks/s of each user, 0 for the closed loop: the next one as soon as the answer is there.
    ``connections`` bounds what one worker's sender has in flight. ``share`` says which of the rooms are this worker's.
    ``rooms`` is how many, or the file with their ids; None leaves the number to the profile. ``people`` is a file of
    accounts, ``attempts`` a file for a line about every attempt.
    """

    url: str
    sdkappid: int = SDKAPPID
    seed: int = 0
    token: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    profile: str = "steady"
    rooms: int | str | None = None
    people: str | None = None
    with_enter: bool = False
    deadline_s: float = DEADLINE_MS / 1000
    rate: float = 1.0
    connections: int = 256
    cacert: str | None = None
    insecure: bool = False
    cert: str | None = None
    attempts: str | None = None
    share: RoomShare = RoomShare()

    def check(self) -> Self:
        """These settings if they are consistent; raises ``ConfigurationError`` if not."""
        if not 0 < self.deadline_s <= LONGEST_WAIT_S:
            raise ConfigurationError(
                f"--deadline is out of range: use seconds above 0, e.g. 2.0, and {LONGEST_WAIT_S:,} at most"
            )
        if not 0 <= self.rate <= MOST_A_SECOND:
            raise ConfigurationError(
                f"--callback-rate is out of range: use 1.0, say, {MOST_A_SECOND:,} at most; 0 is the closed loop"
            )
        if not 1 <= self.connections <= MOST:
            raise ConfigurationError(f"--callback-connections is out of range: use 1 to {MOST:,}")
        if self.profile not in set(Profile):
            raise ConfigurationError(f"--callback-profile must be one of {', '.join(Profile)}")
        self.room_ids()
        self.accounts()
        self.target()
        return self

    def room_ids(self) -> tuple[str, ...]:
        """The ids of existing rooms, none if rooms are made up; raises ``ConfigurationError``."""
        return read_ids(Path(self.rooms), "--rooms", LONGEST_ROOM_ID) if isinstance(self.rooms, str) else ()

    def accounts(self) -> tuple[str, ...]:
        """Existing accounts, none if people are made up; raises ``ConfigurationError``."""
        return read_ids(Path(self.people), "--people", LONGEST_ACCOUNT) if self.people else ()

    @property
    def deadline_ms(self) -> float:
        """Time for a complete response (ms)."""
        return self.deadline_s * 1000

    @property
    def attempts_file(self) -> Path | None:
        """File for the attempts of this worker; each of several workers has its own."""
        if self.attempts is None:
            return None
        alone = self.share.number == self.share.parts == 1
        return Path(self.attempts if alone else f"{self.attempts}.{self.share.number}")

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
        """The App backend; raises ``ConfigurationError`` for an unusable URL, header or file."""
        return Target(CallbackUrl.parse(self.url), self.sdkappid, self.token, self.headers, tls=self.tls())
