"""How an attempt ended, whatever library has wrapped the error."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl

import pytest
import requests
import urllib3.exceptions

from roomhook.simulator.protocol.outcomes import Outcome, outcome_of_error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ConnectionRefusedError(), Outcome.REFUSED),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Outcome.REFUSED),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Outcome.REFUSED),
        (PermissionError(errno.EACCES, "a firewall says no"), Outcome.REFUSED),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Outcome.DNS),
        (TimeoutError("timed out"), Outcome.TIMEOUT),
        (ConnectionResetError(), Outcome.RESET),
        (BrokenPipeError(), Outcome.RESET),
        (ConnectionAbortedError(), Outcome.RESET),
        (http.client.RemoteDisconnected("closed"), Outcome.CLOSED),
        (ssl.SSLEOFError(), Outcome.CLOSED),
        (ssl.SSLZeroReturnError(), Outcome.CLOSED),
        (http.client.IncompleteRead(b"half"), Outcome.INCOMPLETE),
        (http.client.BadStatusLine("SSH-2.0"), Outcome.NOT_HTTP),
        (http.client.LineTooLong("header line"), Outcome.NOT_HTTP),
        (ssl.SSLCertVerificationError(1, "self-signed"), Outcome.TLS),
        (ssl.SSLError(1, "wrong version number"), Outcome.TLS),
        (OSError(errno.ECONNREFUSED, "Connection refused"), Outcome.REFUSED),
        (Exception("never seen before"), Outcome.RESET),
    ],
    ids=repr,
)
def test_an_error_has_its_outcome(error: BaseException, outcome: Outcome) -> None:
    assert outcome_of_error(error) is outcome


def _caused(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError()), Outcome.RESET),
        (urllib3.exceptions.ProtocolError("Connection aborted.", http.client.RemoteDisconnected("x")), Outcome.CLOSED),
        (requests.ConnectionError(urllib3.exceptions.ProtocolError("x", ConnectionRefusedError())), Outcome.REFUSED),
        (requests.ReadTimeout(_caused(OSError("read"), TimeoutError())), Outcome.TIMEOUT),
        (_caused(requests.exceptions.SSLError("x"), ssl.SSLCertVerificationError(1, "expired")), Outcome.TLS),
    ],
    ids=repr,
)
def test_the_innermost_known_error_decides(error: BaseException, outcome: Outcome) -> None:
    assert outcome_of_error(error) is outcome


def test_errors_that_cause_each_other_end_nevertheless() -> None:
    first, second = Exception("first"), ConnectionRefusedError()
    first.__cause__, second.__context__ = second, first
    assert outcome_of_error(first) is Outcome.REFUSED


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_reads_as_part_of_a_sentence(outcome: Outcome) -> None:
    assert outcome.explained
    assert not outcome.explained.endswith(".")
    assert outcome.value == outcome.value.lower()
