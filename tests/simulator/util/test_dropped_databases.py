"""Databases that nobody closes are closed with the object that holds them: Python 3.13 warns of each that is not."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable

import pytest

from roomhook.contract_tests.app_backends.reference.room_members import RoomMembers
from roomhook.simulator.room_backend.runtime.store import Store


@pytest.mark.parametrize(
    "make", [RoomMembers, lambda: Store(None)], ids=["members of an App backend", "rooms of serve"]
)
def test_a_database_is_closed_with_what_holds_it(make: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []

    class Noted(sqlite3.Connection):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            opened.append(self)

    monkeypatch.setattr(sqlite3, "connect", Noted)
    holder = make()
    del holder
    gc.collect()
    (connection,) = opened
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
