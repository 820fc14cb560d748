"""This checkout beside another one, usually the commit before: sender, listener, generator, load and check in turn.

    git worktree add ../before COMMIT && (cd ../before && python -m venv .venv && .venv/bin/pip install -e '.[dev]')
    python benchmarks/before.py ../before            # rounds in turn, medians of the ratios; about 8 minutes
    python benchmarks/before.py ../before --only sender --rounds 3

Needs what benchmarks/sender.py and benchmarks/load.py need. Each checkout runs its own benchmarks in its own ``.venv``;
the listener of either gets its callbacks from this checkout's sender. A ratio above 1 means that this one is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from sender import Bench, listening, nginx

HERE = Path(__file__).resolve().parent.parent
LOWEST = 0.97


class Checkout:
    """One of the two; its measures return a speed: the larger the better."""

    def __init__(self, folder: Path, bench: Bench, cores: list[int]) -> None:
        self.python = str(folder / ".venv/bin/python")
        self._folder = folder
        self._bench = bench
        self._cores = cores

    def sender(self, *options: str) -> float:
        """Callbacks a second of the sender."""
        said = self._said("sender.py", "--sender", self._bench.url, str(self._bench.seconds), *options, pinned=True)
        return float(json.loads(said)["rate"])

    def sender_cpu(self, *options: str) -> float:
        """Callbacks a CPU second of the sender."""
        said = self._said("sender.py", "--sender", self._bench.url, str(self._bench.seconds), *options, pinned=True)
        return float(json.loads(said)["cpu_rate"])

    def listener(self) -> float:
        """Callbacks a second that a listener takes and journals."""
        return _number(r"([\d,]+)/s", listening(self._bench, self._cores[1], python=self.python))

    def generator(self) -> float:
        """Packets a second."""
        return _number(r"1,000 people +([\d,]+)", self._said("generator.py", "--rounds", "5", "--many", "1000"))

    def load(self) -> float:
        """Requests a second of the fast users."""
        said = self._said("load.py", "--only", "fast", "--rounds", "1", "--seconds", "4")
        return _number(r"([\d,]+)/s", said)

    def check(self) -> float:
        """Runs of ``roomhook check`` a second."""
        return 1 / _number(r"roomhook check +([\d.]+) s", self._said("check.py", "1"))

    def _said(self, script: str, *options: str, pinned: bool = False) -> str:
        """What a benchmark prints; what it says of its promises by its exit code is not of interest here."""

        def pin() -> None:
            if pinned:
                os.sched_setaffinity(0, {self._cores[0]})

        command = [self.python, str(self._folder / "benchmarks" / script), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=pin, cwd=self._folder)
        if done.returncode not in {0, 1}:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")
        return done.stdout + done.stderr


MEASURES: dict[str, Callable[[Checkout], float]] = {
    "sender": Checkout.sender,
    "sender, with a journal": lambda one: one.sender("--journal"),
    "sender, a CPU second": Checkout.sender_cpu,
    "listener": Checkout.listener,
    "generator": Checkout.generator,
    "load": Checkout.load,
    "check": Checkout.check,
}


def _number(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"nothing like {pattern!r} in: {text[-500:]}")
    return float(match[1].replace(",", ""))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="folder of the other checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", action="append", default=[], help=f"{', '.join(MEASURES)}; repeatable, by its start")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    chosen = {
        name: measure
        for name, measure in MEASURES.items()
        if not given.only or any(name.startswith(one) for one in given.only)
    }
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as name, nginx(Path(name), cores[1], https=False) as url:
        bench = Bench(Path(name), url, given.seconds, cores[0], https=False)
        before, now = (Checkout(folder, bench, cores) for folder in (given.before.resolve(), HERE))
        for number in range(1, given.rounds + 1):
            for what, measure in chosen.items():
                pairs[what].append((measure(before), measure(now)))
                print(f"round {number}: {what}: {pairs[what][-1]}", file=sys.stderr)
    print("\n| | before | now | now / before |\n|---|---|---|---|")
    for what, found in pairs.items():
        old, new = (statistics.median(pair[side] for pair in found) for side in (0, 1))
        ratio = statistics.median(new / old for old, new in found)
        missed = "" if ratio >= LOWEST else f" (below {LOWEST})"
        print(f"| {what} | {old:,.4g} | {new:,.4g} | {ratio:.2f}{missed} |")


if __name__ == "__main__":
    main()
