"""What a run of the contract suite is told: the target, its identity and how strictly to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from roomhook.contract_tests.model.known_failures import KnownFailure
from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.identifiers import LONGEST_ACCOUNT, LONGEST_ROOM_ID, check_sdkappid
from roomhook.simulator.util.defaults import DEADLINE_MS, SDKAPPID

__all__ = ["RefusalStyle", "Settings"]


class RefusalStyle(StrEnum):
    """How the target refuses a foreign callback: by anything but ActionStatus OK, or by OK after dropping it."""

    EXPLICIT = "explicit"
    SILENT = "silent"


@dataclass(frozen=True)
class Settings:
    """Everything a run depends on, apart from the clock.

    ``deadline_ms`` is the Room backend's time-out (2 s, OV-CHAT); ``refusal`` says how the target treats a callback
    that is not for it: "explicit" (anything but OK) or "silent" (it drops it and answers OK); ``clock_skew_s``
    is how far the target's clock is ahead of ours; ``room`` and ``members`` are existing ones to use.

    ``probe`` (a URL with ``{RoomId}``) or ``probe_command`` tells who is in a room, ``enter_command`` brings people in,
    and ``settle_s`` is how long the target may take until an effect shows. ``known`` are the failures that do not fail
    the run; ``fuzz`` is how many packets each ``fuzz.*`` requirement generates, 0 for a run without them.

    ``exec_command`` starts the target, on the free port ``exec_port`` (0 for a port of the user's own); the two only
    tell how to repeat the run.
    """

    target: str
    sdkappid: int = SDKAPPID
    token: str | None = None
    deadline_ms: float = DEADLINE_MS
    strict: bool = False
    refusal: str = RefusalStyle.EXPLICIT
    seed: int = 0
    only: Sequence[str] = ()
    exclude: Sequence[str] = ()
    headers: Sequence[tuple[str, str]] = ()
    cacert: Path | None = None
    insecure: bool = False
    cert: Path | None = None
    proxy: str | None = None
    wait_for_s: float = 0
    clock_skew_s: float = 0
    enter_first: bool = False
    room: str | None = None
    members: Sequence[str] = ()
    probe: str | None = None
    probe_command: str | None = None
    probe_pointer: str = ""
    enter_command: str | None = None
    settle_s: float = 2.0
    known: Sequence[KnownFailure] = ()
    fuzz: int = 0
    exec_command: str | None = None
    exec_port: int = 0

    def __post_init__(self) -> None:
        """Refuse what no run can be made of; raises ``ConfigurationError``."""
        CallbackUrl.configured(self.target)
        if self.refusal not in set(RefusalStyle):
            raise ConfigurationError(f"--refusal is 'explicit' or 'silent', not {self.refusal!r}")
        if self.deadline_ms <= 0:
            raise ConfigurationError("--deadline is a number of seconds above 0, as in --deadline 2")
        check_sdkappid(self.sdkappid)
        for option, ids, longest in (
            ("--room", [self.room], LONGEST_ROOM_ID),
            ("--member", self.members, LONGEST_ACCOUNT),
        ):
            for one in ids:
                if one is not None and not 0 < len(one.encode()) <= longest:
                    raise ConfigurationError(f"{option} {one!r} is no id: it has 1 to {longest} bytes")
        if self.probe_pointer and not self.probe_pointer.startswith("/"):
            raise ConfigurationError(f"--probe-pointer {self.probe_pointer!r} begins with /, as in /data/members")
        if self.probe and self.probe_command:
            raise ConfigurationError("--probe and --probe-command both tell who is in a room; give one of them")
        if self.fuzz < 0:
            raise ConfigurationError("--fuzz is how many packets to generate, as in --fuzz 500")
        if self.token == "":
            raise ConfigurationError("the token is empty; leave it out, or give the one that the console shows")

    @property
    def give_up_ms(self) -> float:
        """How long to wait for an answer before it counts as hung: long enough to tell a late one from none."""
        return self.deadline_ms * 1.5 + 1000
