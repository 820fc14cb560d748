"""Load from several machines, as docs/howto-distributed.md shows it, in network namespaces of this one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from locust_runs import ENVIRONMENT, LOCUSTFILE, wait_for
from machines import Machines, machines, missing

pytestmark = [pytest.mark.long, pytest.mark.exhaustive]

_PORT = 8000
START = "2026-01-02T18:00:00Z"


@pytest.fixture(scope="module")
def network() -> Iterator[Machines]:
    why = missing()
    if why:
        pytest.skip(why)
    with machines("control", "load1", "load2", "target") as found:
        yield found


@contextmanager
def started(command: list[str], folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    with (
        (folder / name).open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT, cwd=folder) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def listening(network: Machines, folder: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a listener on the machine *target*, and its log: one line a callback."""
    address = network.address["target"]
    listen = ("-m", "roomhook", "listen", "--listen", f"{address}:{_PORT}")
    with started(network.on("target", sys.executable, *listen), folder, "target"):
        log = folder / "target"
        wait_for(lambda: f"http://{address}:{_PORT}" in log.read_text())
        yield f"http://{address}:{_PORT}/callback", log


def test_a_master_says_which_of_two_workers_died_and_totals_hold_what_it_reported(
    network: Machines, tmp_path: Path
) -> None:
    control, target = network.address["control"], network.address["target"]
    verdict = tmp_path / "verdict.json"
    with ExitStack() as stack:
        url, log = stack.enter_context(listening(network, tmp_path))
        locust = (sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--host", url, "--engine", "fast")
        leader = stack.enter_context(
            started(
                network.on(
                    "control", *locust, "--master", "--expect-workers", "2", "--headless", "--allow-host", target,
                    *("-u", "20", "-r", "20", "-t", "60s", "--callback-rate", "5", "--verdict-json", str(verdict)),
                ),
                tmp_path,
                "control",
            )
        )  # fmt: skip
        workers = [
            stack.enter_context(
                started(network.on(name, *locust, "--worker", "--master-host", control), tmp_path, name)
            )
            for name in ("load1", "load2")
        ]
        wait_for(lambda: len(log.read_text().splitlines()) > 100)
        workers[0].kill()
        assert leader.wait(60) == 4, (tmp_path / "control").read_text()
    found = json.loads(verdict.read_text())
    assert len(found["lost"]) == 1
    assert "is gone; totals hold what it has reported" in found["lost"][0]
    assert found["requests"] == found["delivered"] > 0


def test_two_machines_send_the_shards_of_one_world_and_together_send_all_of_it(
    network: Machines, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        url, _ = stack.enter_context(listening(network, tmp_path))
        world = ("--seed", "7", "--duration", "10m", "--start", START)
        traffic = (sys.executable, "-m", "roomhook", "traffic", url, *world, "--speed", "max")
        options = ("--allow-host", network.address["target"], "--format", "json")
        senders = [
            subprocess.Popen(
                network.on(f"load{number}", *traffic, "--shard", f"{number}/2", *options),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
                cwd=tmp_path,
            )
            for number in (1, 2)
        ]
        ended = [(*one.communicate(timeout=60), one.returncode) for one in senders]
    assert [code for *_, code in ended] == [0, 0], ended
    alone = subprocess.run(
        [sys.executable, "-m", "roomhook", "traffic", "--seed", "7", "--duration", "10m", "--start", START],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    parts = [json.loads(out)["delivered"] for out, *_ in ended]
    assert all(parts)
    assert sum(parts) == len(alone.stdout.splitlines())
