"""TLS contexts of clients and servers, from the options that commands share."""

from __future__ import annotations

import ssl
from pathlib import Path

from roomhook.errors import ConfigurationError

__all__ = ["client_context", "server_context"]


def client_context(*, cacert: Path | None = None, insecure: bool = False, cert: Path | None = None) -> ssl.SSLContext:
    """Trust the system's authorities, those in *cacert* or, if *insecure*, anybody; *cert* is our own pair."""
    try:
        context = ssl.create_default_context(cafile=str(cacert) if cacert else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"--cacert {cacert} can't be used: {error}; give a PEM file of CA certificates"
        ) from None
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert:
        _load_certificate(context, cert)
    return context


def server_context(cert: Path) -> ssl.SSLContext:
    """A context for a server that shows *cert* (PEM, with its key); raises ``ConfigurationError`` for a bad file."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load_certificate(context, cert)
    return context


def _load_certificate(context: ssl.SSLContext, cert: Path) -> None:
    try:
        context.load_cert_chain(cert)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"--cert {cert} can't be used: {error}; give a PEM file with certificate and key"
        ) from None
