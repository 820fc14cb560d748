"""The log of a journal: frames survive a torn end and damaged bytes, and nothing in a payload passes for a frame."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from roomhook.simulator.journal import log
from roomhook.simulator.journal.index import open_indexed
from roomhook.simulator.journal.log import JournalError, LogWriter, damaged_end, frames_in, segment_path, segments
from roomhook.simulator.journal.schema import create

PAYLOADS = [b"", b"a" * 10, b"\xff" * 300, b"x" * 5000, b"end"]


def written(journal: Path, payloads: list[bytes] = PAYLOADS) -> Path:
    writer = LogWriter(journal, 1)
    for payload in payloads:
        writer.append(payload)
    writer.close()
    return segment_path(journal, 1)


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    content = written(tmp_path / "run.db").read_bytes()
    found = list(frames_in(content))
    assert [one.payload for one in found] == PAYLOADS
    assert found[-1].end == len(content)
    assert damaged_end(content, found[-1].end) == 0


def test_an_end_torn_anywhere_costs_no_more_than_the_last_frame_and_is_no_damage(tmp_path: Path) -> None:
    whole = written(tmp_path / "run.db").read_bytes()
    ends = [one.end for one in frames_in(whole)]
    for size in range(len(whole)):
        found = list(frames_in(whole[:size]))
        assert [one.payload for one in found] == PAYLOADS[: sum(end <= size for end in ends)]
        assert sum(one.lost for one in found) == 0
        assert damaged_end(whole[:size], found[-1].end if found else 8) == 0


def test_a_flipped_bit_costs_one_frame_and_what_follows_is_recovered(tmp_path: Path) -> None:
    whole, random = written(tmp_path / "run.db").read_bytes(), Random(7)
    last_frame = len(whole) - 16 - len(PAYLOADS[-1])
    for _ in range(300):
        bit = random.randrange(8 * last_frame)
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        found = list(frames_in(bytes(content)))
        assert len(found) >= len(PAYLOADS) - 1
        assert found[-1].payload == PAYLOADS[-1]
        assert (sum(one.lost for one in found) > 0) == (len(found) < len(PAYLOADS))


def test_a_flipped_bit_in_the_last_payload_is_damage_and_no_torn_end(tmp_path: Path) -> None:
    content = bytearray(written(tmp_path / "run.db").read_bytes())
    content[-1] ^= 1
    *_, last = frames_in(bytes(content))
    assert last.payload == PAYLOADS[-2]
    assert damaged_end(bytes(content), last.end) == 16 + len(PAYLOADS[-1])


def test_a_payload_that_holds_frames_of_another_log_is_one_payload(tmp_path: Path) -> None:
    other = written(tmp_path / "other.db").read_bytes()
    content = written(tmp_path / "run.db", [b"1", other, b"2"]).read_bytes()
    assert [one.payload for one in frames_in(content)] == [b"1", other, b"2"]
    torn = content[:-30]  # inside the payload that looks like frames
    assert [one.payload for one in frames_in(torn)] == [b"1"]


def test_a_frame_that_the_disk_has_no_room_for_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(tmp_path / "run.db", 1)
    writer.append(b"kept")
    writev = os.writev
    with monkeypatch.context() as patched:
        patched.setattr(os, "writev", lambda file, pieces: writev(file, [b"".join(pieces)[:9]]))
        with pytest.raises(JournalError, match="No space left"):
            writer.append(b"refused")
    writer.append(b"later")
    writer.close()
    found = list(frames_in(segment_path(tmp_path / "run.db", 1).read_bytes()))
    assert [(one.payload, one.lost) for one in found] == [(b"kept", 0), (b"later", 0)]


def test_segments_are_found_by_their_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_SEGMENT_BYTES", 100)
    journal = tmp_path / "[a] run.db"
    writer = LogWriter(journal, 9)
    for _ in range(2):
        assert not writer.append(b"x")
        assert writer.append(b"x" * 100)
    writer.close()
    (tmp_path / "[a] run.db-log-x").touch()
    (tmp_path / "other.db-log-3").touch()
    assert segments(journal) == [9, 10, 11]


def test_a_durable_log_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    LogWriter(tmp_path / "quick.db", 1).append(b"x")
    assert not synced
    writer = LogWriter(tmp_path / "sure.db", 1, durable=True)
    assert len(synced) == 1, "the name of its file"
    writer.append(b"x")
    assert len(synced) == 2


def test_rows_are_on_the_disk_before_their_log_is_removed(tmp_path: Path) -> None:
    create(tmp_path / "run.db", "sender").close()
    connection = open_indexed(tmp_path / "run.db", is_over=True)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    connection.close()
