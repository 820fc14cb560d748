"""How long a user waits for ``roomhook --help`` and for ``roomhook check`` of a healthy local target.

    python benchmarks/check.py [ROUNDS]

Needs nothing but an environment with roomhook. The commands run in turn, so that a drifting machine drifts for all
of them; printed are medians in seconds, and each as a multiple of starting the same Python.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from roomhook.contract_tests.app_backends.server import BackendServer

ROOMHOOK = (sys.executable, "-m", "roomhook")


def main(rounds: int) -> None:
    """Measure *rounds* rounds and print the table."""
    with BackendServer() as server:
        target, probe = server.url(), server.probe()
        commands = {
            "python -c pass": (sys.executable, "-c", "pass"),
            "roomhook --help": (*ROOMHOOK, "--help"),
            "roomhook check": (*ROOMHOOK, "check", target),
            "roomhook check --probe": (*ROOMHOOK, "check", target, "--probe", probe),
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                if number:  # the first round warms the caches
                    times[name].append(time.perf_counter() - started)
    python = statistics.median(times["python -c pass"])
    print(f"{'command':<26} {'median':>9} {'slowest':>9} {'× python':>9}   ({rounds} rounds)")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:<26} {median:>7.2f} s {max(taken):>7.2f} s {median / python:>9.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
