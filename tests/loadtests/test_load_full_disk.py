"""A load test whose reports find no room on the disk still says what it has found."""

from __future__ import annotations

from pathlib import Path

import pytest
from counting_target import counting_target
from locust_runs import locust

pytestmark = pytest.mark.long


def test_a_report_that_no_disk_has_room_for_is_one_line_below_the_verdicts(tmp_path: Path) -> None:
    with counting_target() as target:
        options = ("-u", "2", "-t", "1s", "--verdict-html", "/dev/full", "--fail-if", "requests<1")
        code, document, said = locust(target.url, tmp_path, *options)
    assert code == 2
    assert document["requests"] == target.answers
    assert "error: full can't be written: No space left on device" in said.splitlines()
    assert "Traceback" not in said
    assert Path("/dev/full").exists()
