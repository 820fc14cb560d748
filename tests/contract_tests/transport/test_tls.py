"""Certificates and protocol versions: each defect is blamed on the one requirement that it breaks."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome, Verdict

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def cacert(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def judge(context: ssl.SSLContext, *, only: str = "", **options: object) -> RunFinished:
    with BackendServer(tls=context) as server:
        settings = Settings(server.url(), only=(only,) if only else (), **options)  # type: ignore[arg-type]
        last = list(run_suite(settings))[-1]
    assert isinstance(last, RunFinished)
    return last


def blamed(finished: RunFinished) -> Iterator[str]:
    return (case.requirement.id for case in finished.cases if case.verdict in {Verdict.FAIL, Verdict.WARN})


def test_certificate_of_a_private_authority_passes_with_cacert(authority: trustme.CA, cacert: Path) -> None:
    finished = judge(server_context(authority.issue_cert("127.0.0.1")), cacert=cacert)

    assert list(blamed(finished)) == []
    passed = {case.requirement.id for case in finished.with_verdict(Verdict.PASS)}
    assert {"tls.chain", "tls.hostname", "tls.expiry", "tls.version", "url.https"} <= passed


def test_unknown_authority_is_blamed_on_the_chain_alone(authority: trustme.CA) -> None:
    finished = judge(server_context(authority.issue_cert("127.0.0.1")))

    assert list(blamed(finished)) == ["tls.chain"]
    assert finished.summary.outcome is RunOutcome.VIOLATES


def test_certificate_for_another_host_is_blamed_on_the_host_name_alone(authority: trustme.CA, cacert: Path) -> None:
    finished = judge(server_context(authority.issue_cert("app.example.com")), cacert=cacert)

    assert list(blamed(finished)) == ["tls.hostname"]


def test_expired_certificate_is_blamed_on_its_expiry_alone(authority: trustme.CA, cacert: Path) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    expired = authority.issue_cert("127.0.0.1", not_before=yesterday - timedelta(days=30), not_after=yesterday)

    assert list(blamed(judge(server_context(expired), cacert=cacert))) == ["tls.expiry"]


def test_two_defects_of_one_certificate_are_both_named(authority: trustme.CA) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    expired = authority.issue_cert("127.0.0.1", not_before=yesterday - timedelta(days=30), not_after=yesterday)

    assert list(blamed(judge(server_context(expired)))) == ["tls.chain", "tls.expiry"]


def test_insecure_judges_the_answers_and_not_the_certificate(authority: trustme.CA) -> None:
    finished = judge(server_context(authority.issue_cert("app.example.com")), insecure=True, only="tls,type")

    assert finished.summary.outcome is RunOutcome.CONFORMS
    reasons = {case.requirement.id: case.reason for case in finished.with_verdict(Verdict.NOT_JUDGED)}
    assert reasons["tls.chain"] == "--insecure accepts any certificate"


def test_outdated_protocol_version_is_noticed(authority: trustme.CA, cacert: Path) -> None:
    context = server_context(authority.issue_cert("127.0.0.1"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            context.minimum_version = ssl.TLSVersion.TLSv1
        except ValueError:
            pytest.skip("this machine's OpenSSL can't speak the old versions")

    assert list(blamed(judge(context, cacert=cacert, only="tls"))) == ["tls.version"]


def test_https_url_of_a_plain_server_is_unreachable() -> None:
    with BackendServer() as server:
        finished = list(run_suite(Settings(server.url().replace("http:", "https:"))))[-1]

    assert isinstance(finished, RunFinished)
    assert finished.summary.outcome is RunOutcome.UNREACHABLE


class HangsOnChunks(Variant):
    async def read_request(self, head: bytes, reader: asyncio.StreamReader) -> tuple[IncomingCallback, str, str]:
        if b"chunked" in head:
            await asyncio.Event().wait()
        return await super().read_request(head, reader)


def test_a_raw_request_that_is_never_answered_ends_in_time_over_tls_as_well(
    authority: trustme.CA, cacert: Path
) -> None:
    with listening(HangsOnChunks(), tls=server_context(authority.issue_cert("127.0.0.1"))) as url:
        settings = Settings(url, SDKAPPID, cacert=cacert, only=("http.chunked",), deadline_ms=300)
        last = list(run_suite(settings))[-1]
    assert isinstance(last, RunFinished)
    assert [finding.actual for case in last.cases for finding in case.findings] == [
        "it gave no whole answer in time (The read operation timed out)"
    ]
