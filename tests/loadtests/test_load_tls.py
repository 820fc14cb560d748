"""``roomhook load`` on an https target: a private authority, none at all, and no trust in it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme
from counting_target import CountingTarget, counting_target
from locust_runs import roomhook

pytestmark = [pytest.mark.long, pytest.mark.exhaustive]


@pytest.fixture
def target(tmp_path: Path) -> Iterator[CountingTarget]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with counting_target(context) as found:
        yield found


def test_every_engine_trusts_the_authority_that_is_named_or_anybody_if_told_so(
    target: CountingTarget, tmp_path: Path
) -> None:
    runs = [
        ("fast", "--cacert", "ca.pem"),
        ("gevent", "--cacert", "ca.pem"),
        ("gevent", "--insecure"),
        ("requests", "--cacert", "ca.pem"),
    ]

    def run(options: tuple[str, ...]) -> str:
        engine, *trust = options
        quick = ("--duration", "2s", "--rate", "20/s", "--shape", "soak", "--fail-if", "requests<5")
        strict = ("--fail-if", "noncompliant>0", "--report-dir", "-".join(options).replace("/", ""))
        done = roomhook(target.url, tmp_path, "--engine", engine, *trust, *quick, *strict)
        return "" if done.returncode == 0 else f"{options}: {done.stdout} {done.stderr}"

    with ThreadPoolExecutor(len(runs)) as pool:
        assert list(pool.map(run, runs)) == [""] * len(runs)


def test_a_target_that_nobody_vouches_for_is_refused_before_the_run(target: CountingTarget, tmp_path: Path) -> None:
    done = roomhook(target.url, tmp_path)
    assert done.returncode == 3
    assert "certificate verify failed" in done.stderr
    assert target.answers == 0
