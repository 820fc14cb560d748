"""The TLS context of a client, from the options that every sending command shares."""

from __future__ import annotations

import ssl
from pathlib import Path

from roomhook.errors import ConfigurationError

__all__ = ["client_context"]


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
        try:
            context.load_cert_chain(cert)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"--cert {cert} can't be used: {error}; give a PEM file with certificate and key"
            ) from None
    return context
