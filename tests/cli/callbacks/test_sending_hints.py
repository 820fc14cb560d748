"""What a run that failed says: one response of each kind in words, and what to try."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from listening_backend import Backend
from recording_target import recording_target

from roomhook.cli.main import main
from roomhook.contract_tests.app_backends.server import BackendServer

ONE = ("--events", "1", "--rate", "max")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ROOMHOOK_")]:
        monkeypatch.delenv(name)


def test_a_run_that_fails_shows_one_response_for_each_kind_of_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with Backend("fail") as backend:
        assert main(["traffic", backend.url, "--events", "20", "--rate", "max"]) == 1
    samples = [line for line in capsys.readouterr().out.splitlines() if line.startswith("e.g. ")]
    assert len(samples) == 1
    assert samples[0].startswith("e.g.          delivered, ack.ok: HTTP/1.1 200 OK")


def test_a_sample_that_is_an_html_page_shows_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    with recording_target() as target:
        target.status, target.answer = 500, b"<!doctype html><title>500</title><h1>Internal Server Error</h1>"
        assert main(["traffic", target.url, *ONE]) == 1
    assert "HTTP/1.1 500 Internal Server Error 500 Internal Server Error\n" in capsys.readouterr().out


def test_a_forgotten_sdkappid_is_what_a_refused_run_hints_at(capsys: pytest.CaptureFixture[str]) -> None:
    said = "SdkAppid was 1400000001, our own default: give yours with --sdkappid."
    with BackendServer(sdkappid=1400123456) as server:
        assert main(["traffic", server.url(), *ONE]) == 1
        assert f"hint          {said}" in capsys.readouterr().out.splitlines()
        assert main(["traffic", server.url(), *ONE, "--sdkappid", "1400999999"]) == 1
        assert "hint" not in capsys.readouterr().out
