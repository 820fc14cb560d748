"""The log of a journal: frames survive a torn end and damaged bytes, and nothing in a payload passes for a frame."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from roomhook.simulator.journal import log
from roomhook.simulator.journal.log import Frames, JournalError, LogWriter, read_frames, segment_path, segments

PAYLOADS = [b"", b"a" * 10, b"\xff" * 300, b"x" * 5000, b"end"]


def written(journal: Path, payloads: list[bytes] = PAYLOADS) -> Path:
    writer = LogWriter(journal, 1)
    for payload in payloads:
        writer.append(payload)
    writer.close()
    return segment_path(journal, 1)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def frames(path: Path, most: int = 1 << 20, offset: int = 0) -> Frames:
    with opened(path) as descriptor:
        return read_frames(descriptor, offset, most)


@pytest.mark.parametrize("most", [1, 20, 400, 1 << 20])
def test_what_was_appended_is_read_again_however_little_at_a_time(tmp_path: Path, most: int) -> None:
    path = written(tmp_path / "run.db")
    found: list[bytes] = []
    at = 0
    while (some := frames(path, most, at)).payloads:
        found += some.payloads
        at = some.end
    assert found == PAYLOADS
    assert at == path.stat().st_size


def test_an_end_torn_anywhere_costs_no_more_than_the_last_frame(tmp_path: Path) -> None:
    whole = written(tmp_path / "run.db").read_bytes()
    torn = tmp_path / "torn"
    for size in range(len(whole)):
        torn.write_bytes(whole[:size])
        found = frames(torn)
        assert found.payloads == PAYLOADS[: len(found.payloads)]
        assert found.lost == 0
        assert size < found.end + 16 + 5000


def test_a_flipped_bit_costs_one_frame_and_what_follows_is_recovered(tmp_path: Path) -> None:
    whole = written(tmp_path / "run.db").read_bytes()
    damaged, random = tmp_path / "damaged", Random(7)
    last_frame = len(whole) - 16 - len(PAYLOADS[-1])
    for _ in range(300):
        bit = random.randrange(8 * last_frame)
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(content)
        found = frames(damaged)
        assert len(found.payloads) >= len(PAYLOADS) - 1
        assert found.payloads[-1] == PAYLOADS[-1]
        assert (found.lost > 0) == (len(found.payloads) < len(PAYLOADS))


def test_a_payload_that_holds_frames_of_another_log_is_one_payload(tmp_path: Path) -> None:
    other = written(tmp_path / "other.db").read_bytes()
    path = written(tmp_path / "run.db", [b"1", other, b"2"])
    assert frames(path).payloads == [b"1", other, b"2"]
    path.write_bytes(path.read_bytes()[:-20])  # torn inside the payload that looks like frames
    assert frames(path).payloads == [b"1"]


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
    found = frames(segment_path(tmp_path / "run.db", 1))
    assert found.payloads == [b"kept", b"later"]
    assert found.lost == 0


def test_segments_are_found_by_their_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_SEGMENT_BYTES", 100)
    journal = tmp_path / "[a] run.db"
    writer = LogWriter(journal, 9)
    for _ in range(2):
        writer.append(b"x" * 100)
        assert writer.is_full
        writer.next_segment()
    writer.close()
    (tmp_path / "[a] run.db-log-x").touch()
    (tmp_path / "other.db-log-3").touch()
    assert segments(journal) == [9, 10, 11]


def test_a_durable_log_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    LogWriter(tmp_path / "quick.db", 1).append(b"x")
    assert not synced
    LogWriter(tmp_path / "sure.db", 1, durable=True).append(b"x")
    assert len(synced) == 1
