"""Who may reach a server of ours: rules from --listen, --auth and --allow-host."""

from __future__ import annotations

from collections.abc import Sequence

from roomhook.errors import ConfigurationError
from roomhook.simulator.http_server.http_guard import GuardRules, is_loopback_name

__all__ = ["guard_rules"]


def guard_rules(host: str, auth: str | None, hosts: Sequence[str], *, lenient: bool) -> GuardRules:
    """What web pages may do; raises ``ConfigurationError`` for an address beyond loopback without a token."""
    unspecified = host in {"0.0.0.0", "::"}  # noqa: S104 (compared, not listened on)
    if auth is None and (unspecified or not is_loopback_name(host)):
        raise ConfigurationError(
            f"--listen {host} can be reached from other machines; add --auth TOKEN, which /sim will demand"
        )
    return GuardRules(
        hosts=(host, *hosts),
        token=auth,
        without_token=("/v4/", "/console/login", "/console/static/"),
        login="/console/login",
        json_only=() if lenient else ("/v4/", "/sim/"),
    )
