"""Refuses remote targets that the user has not named, so that no machine is flooded by mistake."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_url import CallbackUrl

__all__ = ["is_this_machine", "require_allowed"]


def require_allowed(url: CallbackUrl, allowed: Collection[str]) -> None:
    """Raise ``ConfigurationError`` unless *url* is on this machine or its host is among *allowed*."""
    if url.host.lower() in {host.lower().strip("[]") for host in allowed} or is_this_machine(url.host):
        return
    raise ConfigurationError(
        f"{url.host} is not this machine; add --allow-host {url.host} if you may send many callbacks to it"
    )


def is_this_machine(host: str) -> bool:
    """Whether every address of *host* (127.0.0.1, ::1, localhost, a name in /etc/hosts …) is on this machine."""
    try:
        return _is_local(host)
    except ValueError:
        pass
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(_is_local(str(address[4][0])) for address in found)


def _is_local(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return bool(mapped.is_loopback or mapped.is_unspecified)
