"""Requirements on the certificate and the protocol version, each judged by a handshake that can fail for it alone."""

from __future__ import annotations

import socket
import ssl
import warnings
from contextlib import closing
from typing import Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case
from roomhook.simulator.protocol.response_check import Violation

__all__ = ["CERTIFICATE"]

CERTIFICATE: Final = ("tls.chain", "tls.hostname", "tls.expiry")

_NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python does not name."""

_MISMATCH: Final = frozenset({62, 64})
"""OpenSSL's verify codes for a host name and an address that the certificate does not hold."""


@check("tls.chain")
def chain(case: Case) -> None:
    """The chain leads to an authority that is trusted; name and dates are left aside."""
    _need_verification(case)
    context = ssl.create_default_context(cafile=str(case.run.settings.cacert) if case.run.settings.cacert else None)
    context.check_hostname = False
    context.verify_flags |= _NO_CHECK_TIME
    error = _handshake(case, context)
    if isinstance(error, ssl.SSLCertVerificationError):
        trusted = "--cacert" if case.run.settings.cacert else "the system's authorities"
        _blame(case, f"a chain to one of {trusted}", error)


@check("tls.hostname")
def hostname(case: Case) -> None:
    """The certificate names the host of the callback URL; who signed it and when are left aside."""
    _need_verification(case)
    context = _trusting_this_certificate(case)
    context.verify_flags |= _NO_CHECK_TIME
    context.check_hostname = True
    error = _handshake(case, context)
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _MISMATCH:
        _blame(case, f"a certificate for {case.run.url.host}", error)


@check("tls.expiry")
def expiry(case: Case) -> None:
    """The certificate is valid today; who signed it and for whom are left aside."""
    _need_verification(case)
    error = _handshake(case, _trusting_this_certificate(case))
    if isinstance(error, ssl.SSLCertVerificationError):
        _blame(case, "a certificate that is valid today", error)


@check("tls.version")
def version(case: Case) -> None:
    """TLS 1.2 or 1.3 is spoken, and nothing older."""
    _need_direct(case)
    context = _unverified()
    context.set_ciphers("ALL:@SECLEVEL=0")  # otherwise our own side would refuse the old versions
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        except ValueError:
            raise NotJudgedError("this machine's OpenSSL can't speak the old versions at all") from None
    spoken = _handshake(case, context)
    if isinstance(spoken, str):
        case.note("an outdated protocol version is spoken", expected="TLS 1.2 or 1.3 only", actual=spoken)


def _need_direct(case: Case) -> None:
    if case.run.settings.proxy:
        raise NotJudgedError("handshakes are not tried through --proxy")


def _need_verification(case: Case) -> None:
    _need_direct(case)
    if case.run.settings.insecure:
        raise NotJudgedError("--insecure accepts any certificate")


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _trusting_this_certificate(case: Case) -> ssl.SSLContext:
    """A context that trusts the target's own certificate as it is, so that only its name and dates can fail."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with (
        closing(_connect(case)) as plain,
        _unverified().wrap_socket(plain, server_hostname=case.run.url.host) as connection,
    ):
        certificate = connection.getpeercert(binary_form=True)
    if not certificate:
        raise NotJudgedError("the target shows no certificate")
    context.load_verify_locations(cadata=certificate)
    return context


def _connect(case: Case) -> socket.socket:
    return socket.create_connection((case.run.url.host, case.run.url.port), timeout=case.run.settings.give_up_ms / 1000)


def _handshake(case: Case, context: ssl.SSLContext) -> str | Exception:
    """The version that a handshake agreed on, or why it failed."""
    try:
        with (
            closing(_connect(case)) as plain,
            context.wrap_socket(plain, server_hostname=case.run.url.host) as connection,
        ):
            return connection.version() or "TLS"
    except OSError as error:
        return error


def _blame(case: Case, expected: str, error: ssl.SSLCertVerificationError) -> None:
    case.blame(None, "the Room backend would not get past the handshake", Violation("", expected, error.verify_message))
