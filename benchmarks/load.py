"""The fast lane beside locust's own users, hey and wrk against one nginx that counts: callbacks a second on one core.

    python benchmarks/load.py                  # rounds in turn, medians, ratios; about 3 minutes
    python benchmarks/load.py --rounds 1 --only fast --only FastHttpUser
    python benchmarks/load.py --exact          # the tables against every single attempt
    python benchmarks/load.py --two            # two workers on two cores against one, nothing pinned
    python benchmarks/load.py --memory         # what a worker and its sender hold over a million requests

Installs nothing. Needs Linux with two cores and nginx; what is missing of wrk and hey is left out and named. nginx is
pinned to one core, every client with all its processes to another. wrk and hey repeat one request and look at no
answer; locust's users repeat one and read the answer's JSON; the fast lane plays the callbacks of living rooms and
judges every answer. All are measured alike, by the growth of nginx's log once they are under way. A CPU second is one
of the client with all its processes: on a machine that others use, too, it says more than a rate. After each run of the
fast lane its own count is compared with nginx's log.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

CONNECTIONS = 64
PORT = 18322
WARM_S = 3.0
FIRST_CALLBACKS = 20_000
"""The fast lane makes so many from living rooms, and plays those again."""
PATH = (
    "/callback?SdkAppid=1400000001&CallbackCommand=Room.CallbackAfterMemberLeave&contenttype=json"
    "&ClientIP=203.0.113.7&OptPlatform=iOS"
)
PACKET = (
    '{"CallbackCommand":"Room.CallbackAfterMemberLeave","Operator_Account":"user1","RoomId":"rid-123","MemberCount":20,'
    '"Type":"Leave","MemberList_Account":["user1"],"Reason":"xxxx","EventTime":1670574414123}'
)
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; multi_accept on; }}
http {{
  log_format one "x"; access_log {folder}/access.log one buffer=2k flush=1s;
  keepalive_requests 1000000000; keepalive_timeout 600; client_body_in_single_buffer on;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    default_type application/json;
    location / {{ return 200 '{{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}}'; }}
  }}
}}
"""
LOCUSTFILE = """
from locust import FastHttpUser, HttpUser, task
class Sender({user}):
    @task
    def leave(self):
        headers = {{"Content-Type": "application/json"}}
        with self.client.post({path!r}, data={packet!r}, headers=headers, catch_response=True) as answer:
            if answer.json()["ActionStatus"] != "OK":
                answer.failure("not OK")
"""
OURS = Path(__file__).resolve().parent.parent / "loadtests" / "locustfile.py"
ORIGIN = f"http://127.0.0.1:{PORT}"
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("LOCUST_", "ROOMHOOK_"))}


@dataclass
class Bench:
    """Where files go, how long a run is (s), and the clients' core."""

    folder: Path
    seconds: float
    core: int

    def start(self, *command: str, pinned: bool = True) -> subprocess.Popen[str]:
        """*command*, on the clients' core with all that it starts."""
        pin = ("taskset", "-c", str(self.core)) if pinned else ()
        return subprocess.Popen(
            [*pin, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT
        )

    def run(self, *command: str, pinned: bool = True) -> str:
        """What *command* prints."""
        process = self.start(*command, pinned=pinned)
        said, _ = process.communicate()
        if process.returncode not in {0, 1}:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        return said

    def logged(self) -> int:
        """How many requests nginx has logged; it writes within a second."""
        time.sleep(1.5)
        return self.counted()

    def counted(self) -> int:
        """How many requests nginx's log holds by now, within about a thousand."""
        return (self.folder / "access.log").stat().st_size // 2


def fast_command(bench: Bench, *more: str) -> list[str]:
    """The fast lane in the closed loop."""
    users = ("-u", str(CONNECTIONS), "-r", str(CONNECTIONS), "--callback-rate", "0", "--engine", "fast")
    verdict = ("--verdict-json", str(bench.folder / "verdict.json"), "--fail-if", "noncompliant>0")
    ours = (sys.executable, "-m", "locust", "-f", str(OURS), "--host", f"{ORIGIN}/callback", "--headless")
    return [*ours, "--only-summary", "-t", f"{bench.seconds:g}s", *users, *verdict, *more]


def fast(bench: Bench, *more: str, pinned: bool = True) -> dict[str, Any]:
    """A run of the fast lane, held against nginx's log: the verdict."""
    before = bench.logged()
    bench.run(*fast_command(bench, *more), pinned=pinned)
    found: dict[str, Any] = json.loads((bench.folder / "verdict.json").read_text())
    logged = bench.logged() - before
    assert found["requests"] == logged, f"{found['requests']} counted, {logged} in nginx's log"
    assert found["noncompliant"] == 0
    return found


def fast_client(bench: Bench) -> list[str]:
    """The fast lane until it is told to stop."""
    return fast_command(bench, "-t", "1h")


def plain(user: str) -> Callable[[Bench], list[str]]:
    """A user of locust's own until it is told to stop."""

    def command(bench: Bench) -> list[str]:
        file = bench.folder / f"{user}.py"
        file.write_text(LOCUSTFILE.format(user=user, path=PATH, packet=PACKET))
        users = ("-u", str(CONNECTIONS), "-r", str(CONNECTIONS), "-t", "1h")
        locust = (sys.executable, "-m", "locust", "-f", str(file), "--host", ORIGIN)
        return [*locust, "--headless", "--only-summary", *users]

    return command


def hey(_: Bench) -> list[str]:
    """Hey until it is told to stop."""
    options = ("-m", "POST", "-d", PACKET, "-T", "application/json", "-cpus", "1", "-c", str(CONNECTIONS))
    return ["hey", "-z", "1h", *options, ORIGIN + PATH]


def wrk(bench: Bench) -> list[str]:
    """Wrk until it is told to stop."""
    script = bench.folder / "post.lua"
    script.write_text(f"wrk.method='POST'\nwrk.body='{PACKET}'\nwrk.headers['Content-Type']='application/json'\n")
    return ["wrk", "-t1", f"-c{CONNECTIONS}", "-d1h", "-s", str(script), ORIGIN + PATH]


CLIENTS: dict[str, Callable[[Bench], list[str]]] = {
    "wrk": wrk,
    "hey": hey,
    "HttpUser": plain("HttpUser"),
    "FastHttpUser": plain("FastHttpUser"),
    "fast": fast_client,
}


def steady(bench: Bench, name: str) -> tuple[float, float]:
    """Requests a second, and a CPU second, of client *name* once it is under way, by nginx's log."""
    before = bench.logged()
    process = bench.start(*CLIENTS[name](bench))
    try:
        while bench.logged() - before <= (FIRST_CALLBACKS if name == "fast" else 0):
            assert process.poll() is None, f"{name} has ended"
        time.sleep(WARM_S)
        samples = []
        for pause in (bench.seconds, 0):
            samples.append((time.monotonic(), cpu_of(process.pid), bench.counted()))
            time.sleep(pause)
    finally:
        process.terminate()
        process.communicate()
    if name == "fast":
        found = json.loads((bench.folder / "verdict.json").read_text())
        logged = bench.logged() - before
        assert found["requests"] == logged, f"{found['requests']} counted, {logged} in nginx's log"
    (begin, cpu_before, count_before), (end, cpu_after, count_after) = samples
    count = count_after - count_before
    return count / (end - begin), count / (cpu_after - cpu_before)


def cpu_of(pid: int) -> float:
    """CPU time of *pid* and all below it (s)."""
    root = psutil.Process(pid)
    times = [one.cpu_times() for one in (root, *root.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def compare(bench: Bench, names: list[str], rounds: int) -> None:
    """Print medians of interleaved rounds, and ratios to FastHttpUser."""
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number_ in range(rounds):
        for name in names:
            measured[name].append(steady(bench, name))
            said = "{:,.0f}/s, {:,.0f} a CPU second".format(*measured[name][-1])
            print(f"round {number_ + 1}: {name} {said}", file=sys.stderr)
    for name in names:
        shown = [f"{name:<14}"]
        for which, unit in ((0, "/s"), (1, " a CPU second")):
            mine = [one[which] for one in measured[name]]
            others = [one[which] for one in measured.get("FastHttpUser", [])]
            ratios = [one / other for one, other in zip(mine, others, strict=False)]
            ratio = f" ({statistics.median(ratios):.1f} x FastHttpUser)" if ratios else ""
            shown.append(f"{statistics.median(mine):>9,.0f}{unit}{ratio}")
        print("  ".join(shown))


def exact(bench: Bench) -> None:
    """Compare the percentiles of locust's own statistics with those of every single attempt."""
    attempts = bench.folder / "attempts.csv"
    said = bench.run(*fast_command(bench, "--attempts", str(attempts), "--json"))
    rows = json.loads(said[said.index("[") : said.rindex("]") + 1])
    merged: dict[float, int] = {}
    for row in rows:
        for time_ms, count in row["response_times"].items():
            merged[float(time_ms)] = merged.get(float(time_ms), 0) + count
    with attempts.open(encoding="utf-8") as file:
        latencies = sorted(int(row["latency_us"]) for row in csv.DictReader(file))
    assert len(latencies) == sum(merged.values())
    for percent in (50, 99, 99.9):
        truth = latencies[min(len(latencies) - 1, int(len(latencies) * percent / 100))] / 1000
        seen, table = 0, 0.0
        for table in sorted(merged):
            seen += merged[table]
            if seen > len(latencies) * percent / 100:
                break
        print(f"p{percent:g}: table {table:.3f} ms, attempts {truth:.3f} ms, {100 * (table / truth - 1):+.2f} %")
    print(f"{len(latencies):,} attempts")


def two(bench: Bench, rounds: int) -> None:
    """Print what two workers reach against one; nginx shares the two cores with them."""
    ratios = []
    for _ in range(rounds):
        one = fast(bench, pinned=False)["rate_per_s"]
        both = fast(bench, "--processes", "2", pinned=False)["rate_per_s"]
        ratios.append(both / one)
        print(f"one worker {one:,.0f}/s, two {both:,.0f}/s", file=sys.stderr)
    print(f"two workers against one: {statistics.median(ratios):.2f}")


def memory(bench: Bench, requests: int) -> None:
    """Print what worker and sender hold (MiB), from the first tenth of so many requests to the last."""
    before = bench.logged()
    worker = bench.start(*fast_client(bench))
    milestones = [requests * tenth // 10 for tenth in (1, 4, 7, 10)]
    try:
        for milestone in milestones:
            while bench.logged() - before < milestone:
                assert worker.poll() is None, "the worker has ended"
            children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
            sizes = [f"{name} {resident(pid):.1f} MiB" for name, pid in (("worker", worker.pid), ("sender", *children))]
            print(f"after {milestone:,} requests: {', '.join(sizes)}")
    finally:
        worker.terminate()
        worker.communicate()


def resident(pid: int | str) -> float:
    """Resident memory of *pid* (MiB)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return number(r"VmRSS:\s+(\d+)", status) / 1024


def number(pattern: str, text: str) -> float:
    """The number that *pattern* captures in *text*."""
    match = re.search(pattern, text)
    assert match, text[-500:]
    return float(match[1])


@contextmanager
def nginx(folder: Path, core: int) -> Iterator[None]:
    """Run nginx on *core*."""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=PORT))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    command = ["taskset", "-c", str(core), program, "-e", f"{folder}/error.log", "-c", str(configuration)]
    with subprocess.Popen(command) as process:
        time.sleep(1)
        assert process.poll() is None, "nginx did not start"
        try:
            yield
        finally:
            process.terminate()


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--only", action="append", choices=CLIENTS, default=[])
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--two", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--requests", type=int, default=1_000_000, help="for --memory")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    names = [name for name in options.only or CLIENTS if name not in {"wrk", "hey"} or shutil.which(name)]
    for name in set(options.only or CLIENTS) - set(names):
        print(f"{name} is not installed", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder, nginx(Path(folder), cores[-1]):
        bench = Bench(Path(folder), options.seconds, cores[0])
        if options.exact:
            exact(bench)
        elif options.two:
            two(bench, options.rounds)
        elif options.memory:
            memory(bench, options.requests)
        else:
            compare(bench, names, options.rounds)


if __name__ == "__main__":
    main()
