"""How an attempt ended, whatever library has wrapped the error."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl

import pytest
import requests
import urllib3.exceptions

from roomhook.simulator.protocol.outcomes import DeliveryOutcome, outcome_of_error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ConnectionRefusedError(), DeliveryOutcome.REFUSED),
        (OSError(errno.EHOSTUNREACH, "No route to host"), DeliveryOutcome.REFUSED),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), DeliveryOutcome.REFUSED),
        (PermissionError(errno.EACCES, "a firewall says no"), DeliveryOutcome.REFUSED),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), DeliveryOutcome.DNS),
        (TimeoutError("timed out"), DeliveryOutcome.TIMEOUT),
        (ConnectionResetError(), DeliveryOutcome.RESET),
        (BrokenPipeError(), DeliveryOutcome.RESET),
        (ConnectionAbortedError(), DeliveryOutcome.RESET),
        (http.client.RemoteDisconnected("closed"), DeliveryOutcome.CLOSED),
        (ssl.SSLEOFError(), DeliveryOutcome.CLOSED),
        (ssl.SSLZeroReturnError(), DeliveryOutcome.CLOSED),
        (http.client.IncompleteRead(b"half"), DeliveryOutcome.INCOMPLETE),
        (http.client.BadStatusLine("SSH-2.0"), DeliveryOutcome.NOT_HTTP),
        (http.client.LineTooLong("header line"), DeliveryOutcome.NOT_HTTP),
        (ssl.SSLCertVerificationError(1, "self-signed"), DeliveryOutcome.TLS),
        (ssl.SSLError(1, "wrong version number"), DeliveryOutcome.TLS),
        (OSError(errno.ECONNREFUSED, "Connection refused"), DeliveryOutcome.REFUSED),
        (Exception("never seen before"), DeliveryOutcome.RESET),
    ],
    ids=repr,
)
def test_an_error_has_its_outcome(error: BaseException, outcome: DeliveryOutcome) -> None:
    assert outcome_of_error(error) is outcome


def _caused(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError()), DeliveryOutcome.RESET),
        (
            urllib3.exceptions.ProtocolError("Connection aborted.", http.client.RemoteDisconnected("x")),
            DeliveryOutcome.CLOSED,
        ),
        (
            requests.ConnectionError(urllib3.exceptions.ProtocolError("x", ConnectionRefusedError())),
            DeliveryOutcome.REFUSED,
        ),
        (requests.ReadTimeout(_caused(OSError("read"), TimeoutError())), DeliveryOutcome.TIMEOUT),
        (_caused(requests.exceptions.SSLError("x"), ssl.SSLCertVerificationError(1, "expired")), DeliveryOutcome.TLS),
    ],
    ids=repr,
)
def test_the_innermost_known_error_decides(error: BaseException, outcome: DeliveryOutcome) -> None:
    assert outcome_of_error(error) is outcome


def test_errors_that_cause_each_other_end_nevertheless() -> None:
    first, second = Exception("first"), ConnectionRefusedError()
    first.__cause__, second.__context__ = second, first
    assert outcome_of_error(first) is DeliveryOutcome.REFUSED


@pytest.mark.parametrize("outcome", list(DeliveryOutcome))
def test_every_outcome_reads_as_part_of_a_sentence(outcome: DeliveryOutcome) -> None:
    assert outcome.explained
    assert not outcome.explained.endswith(".")
    assert outcome.value == outcome.value.lower()
