"""Several machines on one: Linux network namespaces, joined by a bridge, each with an address of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Machines", "machines"]

_NETWORK = "10.213.77"


class Machines:
    """Namespaces by name, ``address`` of each."""

    def __init__(self, prefix: str, names: tuple[str, ...]) -> None:
        self._prefix = prefix
        self.address = {name: f"{_NETWORK}.{number}" for number, name in enumerate(names, 1)}

    def on(self, name: str, *command: str) -> list[str]:
        """*command* as it runs on the machine *name*."""
        return ["ip", "netns", "exec", self._prefix + name, *command]


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def missing() -> str:
    """Why there can be no namespaces here, or nothing."""
    if os.name != "posix" or os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need iproute2"
    name = f"rh{os.getpid()}try"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return "this kernel or container allows no network namespaces"
    try:
        bridge = ["ip", "-n", name, "link", "add", "switch", "type", "bridge"]
        if subprocess.run(bridge, capture_output=True, check=False).returncode:
            return "this kernel or container allows no bridges"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)
    return ""


@contextmanager
def machines(*names: str) -> Iterator[Machines]:
    """One namespace for each of *names*; the first one holds the bridge as well."""
    prefix = f"rh{os.getpid()}"
    found = Machines(prefix, names)
    hub = prefix + names[0]
    made: list[str] = []
    try:
        for name in names:
            _ip("netns", "add", prefix + name)
            made.append(prefix + name)
        _ip("-n", hub, "link", "add", "switch", "type", "bridge")
        _ip("-n", hub, "addr", "add", f"{found.address[names[0]]}/24", "dev", "switch")
        _ip("-n", hub, "link", "set", "switch", "up")
        for name in names:
            _ip("-n", prefix + name, "link", "set", "lo", "up")
        for number, name in enumerate(names[1:]):
            there = prefix + name
            _ip("-n", hub, "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", there)
            _ip("-n", hub, "link", "set", f"port{number}", "master", "switch", "up")
            _ip("-n", there, "addr", "add", f"{found.address[name]}/24", "dev", "eth0")
            _ip("-n", there, "link", "set", "eth0", "up")
        yield found
    finally:
        for one in made:
            subprocess.run(["ip", "netns", "del", one], check=False, capture_output=True)
