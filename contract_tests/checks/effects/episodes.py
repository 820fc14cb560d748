"""Events of one room whose order, time or list is unusual, yet lawful, by the requirement that they are about."""

from __future__ import annotations

from typing import Final

from roomhook.contract_tests.harness.effects import BEGAN_AGO_MS, Enter, Episode, Leave

__all__ = [
    "AHEAD",
    "BACK_AFTER_REPEAT",
    "COUNTS",
    "EMPTY_IN_BETWEEN",
    "EPISODES",
    "JOINED",
    "KICKED",
    "LAST_CAME_BACK",
    "STILL_INSIDE",
]

KICKED: Final = (("Type", "Kicked"), ("Operator_Account", "administrator"))
_EXPIRED: Final = (("Type", "Expired"),)
_TWENTY: Final = tuple(f"m{number}" for number in range(20))
_TWELVE: Final = _TWENTY[:12]


EPISODES: Final[dict[str, tuple[Episode, ...]]] = {
    "effect.late-enter": (
        Episode("after a leave that arrived before its enter", (Leave(2000), Enter(1000))),
        Episode("after a leave, and then an older enter that arrived late", (Enter(0), Leave(2000), Enter(1000))),
        Episode(
            "after a kick, and then an older enter that arrived late",
            (Enter(0), Leave(2000, ("a",), KICKED), Enter(1000)),
        ),
        Episode(
            "after two leaves, and then an enter between them in time",
            (Enter(0), Leave(1000), Leave(3000), Enter(2000)),
        ),
        Episode(
            "after a leave, an older leave that arrived late, and then an enter between them in time",
            (Enter(0), Leave(3000), Leave(1000), Enter(2000)),
        ),
        Episode(
            "after twelve left, and then older enters of them arrived late",
            (
                *(Leave(2000 + number, (one,)) for number, one in enumerate(_TWELVE)),
                *(Enter(1000 + number, (one,)) for number, one in enumerate(_TWELVE)),
            ),
            before=_TWELVE,
        ),
    ),
    "effect.second-leave": (
        Episode(
            "after an enter, a leave, an enter again and a leave again",
            (Enter(0), Leave(1000), Enter(2000), Leave(3000)),
        ),
        Episode(
            "after three visits",
            (Enter(0), Leave(1000), Enter(2000), Leave(3000), Enter(4000), Leave(5000)),
        ),
        Episode(
            "after somebody who was kicked came back and left",
            (Enter(0), Leave(1000, ("a",), KICKED), Enter(2000), Leave(3000)),
        ),
        Episode("after somebody came back", (Enter(0), Leave(1000), Enter(2000)), frozenset("a")),
        Episode(
            "after somebody whose heartbeat had expired came back",
            (Enter(0), Leave(1000, ("a",), _EXPIRED), Enter(2000)),
            frozenset("a"),
        ),
        Episode(
            "after somebody who was kicked came back",
            (Enter(0), Leave(1000, ("a",), KICKED), Enter(2000)),
            frozenset("a"),
        ),
    ),
    "effect.reconnect": (
        Episode("after two enters and one leave", (Enter(0), Enter(1000), Leave(2000))),
        Episode("after three enters and one leave", (Enter(0), Enter(500), Enter(1500), Leave(2500))),
        Episode("after two enters", (Enter(0), Enter(1000)), frozenset("a")),
    ),
    "effect.repeated-account": (
        Episode("after a leave that lists one account twice", (Enter(0), Leave(1000, ("a", "a")))),
        Episode(
            "after a leave that lists one account twice beside another",
            (Leave(1000, ("a", "a", "b")),),
            frozenset("c"),
            ("a", "b", "c"),
        ),
    ),
    "effect.unknown-account": (
        Episode(
            "after a leave that lists an unknown account between two members",
            (Leave(1000, ("a", "nobody", "b")),),
            frozenset("c"),
            ("a", "b", "c"),
        ),
        Episode(
            "after a leave that lists an unknown account first",
            (Leave(1000, ("nobody", "a")),),
            frozenset("c"),
            ("a", "c"),
        ),
        Episode(
            "after a leave of two, one of whom has come back since",
            (Enter(0, ("a",)), Enter(1, ("b",)), Enter(2000, ("a",)), Leave(1000, ("a", "b"))),
            frozenset("a"),
        ),
        Episode(
            "after a leave of somebody who was not inside",
            (Leave(1000, ("nobody",)),),
            frozenset("a"),
            ("a",),
        ),
    ),
    "effect.kick-twenty": (
        Episode(
            "after twenty were kicked by one callback",
            (Leave(1000, _TWENTY, KICKED),),
            frozenset("xy"),
            (*_TWENTY, "x", "y"),
        ),
        Episode(
            "after twenty were kicked by one callback with a Reason of 1000 control characters",
            (Leave(1000, _TWENTY, (*KICKED, ("Reason", "\x01" * 1000))),),
            frozenset("x"),
            (*_TWENTY, "x"),
        ),
    ),
    "effect.same-time": (
        Episode(
            "after two left by callbacks with the same EventTime",
            (Leave(1000, ("a",)), Leave(1000, ("b",))),
            frozenset("c"),
            ("a", "b", "c"),
        ),
        Episode(
            "after two lists left with the same EventTime that begin alike and are equally long",
            (Leave(1000, ("a", "b")), Leave(1000, ("a", "c"))),
            frozenset("d"),
            ("a", "b", "c", "d"),
        ),
        Episode(
            "after one left and another entered with the same EventTime",
            (Enter(0, ("a",)), Leave(1000, ("a",)), Enter(1000, ("b",))),
            frozenset("b"),
        ),
        Episode(
            "after one entered and another left with the same EventTime",
            (Enter(0, ("a",)), Enter(1000, ("b",)), Leave(1000, ("a",))),
            frozenset("b"),
        ),
    ),
}
"""Requirement to its episodes, which share a room and tell people apart."""

EMPTY_IN_BETWEEN: Final = Episode(
    "after the last one in a room left, another entered, and then an older enter of the first arrived late",
    (Enter(0), Leave(2000), Enter(4500, ("b",)), Enter(1000)),
    frozenset("b"),
    alone=True,
)

JOINED: Final = Episode(
    "after one with a comma in the account left, and with the same EventTime two whose accounts are its parts",
    (Leave(1000, ("a,b",)), Leave(1000, ("a", "b"))),
    frozenset("c"),
    ("a,b", "a", "b", "c"),
)

LAST_CAME_BACK: Final = Episode(
    "after one of the two in a room left and came back, and then the other left",
    (Leave(1000), Enter(2000), Leave(3000, ("b",))),
    frozenset("a"),
    ("a", "b"),
    alone=True,
)

STILL_INSIDE: Final = (
    Episode(
        "after an old leave that arrived late, and then the first enter once more",
        (Enter(0), Enter(3000), Leave(2000), Enter(0)),
        frozenset("a"),
    ),
    Episode(
        "after an older enter that arrived late, and then a leave between the two in time",
        (Enter(3000), Enter(0), Leave(2000)),
        frozenset("a"),
    ),
)

BACK_AFTER_REPEAT: Final = Episode(
    "after somebody whose leave arrived twice came back",
    (Enter(0), Leave(1000), Leave(1000), Enter(2000)),
    frozenset("a"),
)

AHEAD: Final = Episode(
    "after an enter again whose EventTime is 4 s ahead of the clock, and then a leave a second before it",
    (Enter(0), Enter(BEGAN_AGO_MS + 4000), Leave(BEGAN_AGO_MS + 3000)),
    frozenset("a"),
)


def _counted(count: int, did: str = "left", fields: tuple[tuple[str, str], ...] = ()) -> Episode:
    return Episode(
        f"after one of three {did} with MemberCount {count}",
        (Leave(1000, ("a",), (*fields, ("MemberCount", count))),),
        frozenset("bc"),
        ("a", "b", "c"),
    )


COUNTS: Final = (
    (
        _counted(0),
        _counted(0, "was kicked", KICKED),
        _counted(0, "dropped out", _EXPIRED),
        Episode(
            "after a third entered with MemberCount 1",
            (Enter(1000, ("c",), (("MemberCount", 1),)),),
            frozenset("abc"),
            ("a", "b"),
        ),
    ),
    (_counted(1), _counted(2), _counted(4321), _counted(1, "was kicked", KICKED)),
)
"""Episodes of effect.count, by room: no more in one than are repeated alone, since each may empty it."""
