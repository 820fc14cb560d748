"""The sender beside wrk, hey and locust against one nginx: callbacks a second on one core, with and without a journal.

    python benchmarks/sender.py                  # rounds in turn, medians, ratios to wrk; about 5 minutes
    python benchmarks/sender.py --https          # the same over TLS 1.3
    python benchmarks/sender.py --only ours --rounds 1

Installs nothing. Needs Linux with two cores and nginx; what is missing of wrk, hey and locust is left out and named.
nginx is pinned to one core and every client to another. wrk and hey repeat one request and look at no answer; locust's
FastHttpUser reads the answer's JSON; ours makes every callback (enters and leaves) from living rooms, unlike any other,
parses every answer and judges it by requirement id. All times include opening connections, and ours closing the
journal. An answer whose bytes have come before is recognised instead of parsed again; "unlike answers" has a new
X-Request-Id in every one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from roomhook.simulator.journal.index import bring_up_to_date
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.sending.processes import carry_out_together
from roomhook.simulator.sending.session import SendJob, carry_out, seldom_collecting
from roomhook.simulator.traffic.generator import FIXED_START_MS, TrafficRequest, TrafficSource
from roomhook.simulator.traffic.scenario import from_document
from roomhook.simulator.transport.sender import run_loop

CONNECTIONS = 64
PORT = 18321
QUERY = (
    "SdkAppid=1400000001&CallbackCommand=Room.CallbackAfterMemberLeave&contenttype=json&ClientIP=203.0.113.7"
    "&OptPlatform=iOS"
)
PACKET = (
    '{"CallbackCommand":"Room.CallbackAfterMemberLeave","Operator_Account":"user1","RoomId":"rid-123","MemberCount":20,'
    '"Type":"Leave","MemberList_Account":["user1"],"Reason":"xxxx","EventTime":1670574414123}'
)
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; multi_accept on; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600; client_body_in_single_buffer on;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; ssl_protocols TLSv1.3;
  server {{
    listen 127.0.0.1:{port}{tls};
    {certificate}
    default_type application/json;
    location / {{ return 200 '{{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}}'; }}
    location /unlike {{
      add_header X-Request-Id $request_id;
      return 200 '{{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}}';
    }}
  }}
}}
"""
LOCUST = """
from locust import FastHttpUser, task
class Sender(FastHttpUser):
    insecure = True
    @task
    def leave(self):
        headers = {{"Content-Type": "application/json"}}
        with self.client.post({path!r}, data={packet!r}, headers=headers, catch_response=True) as answer:
            if answer.json()["ActionStatus"] != "OK":
                answer.failure("not OK")
"""


@dataclass
class Bench:
    """Where everybody sends to, for how long, and on which core."""

    folder: Path
    url: str
    seconds: float
    core: int
    https: bool
    missing: list[str] = field(default_factory=list)

    def run(self, *command: str, pinned: bool = True) -> tuple[str, float]:
        """What *command* prints, run on the clients' core, and the CPU seconds that it took."""

        def pin() -> None:
            if pinned:
                os.sched_setaffinity(0, {self.core})

        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=pin)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in {0, 1}:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")
        return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@dataclass(frozen=True)
class Found:
    """Callbacks a second, and a CPU second of the client."""

    rate: float
    cpu_rate: float


def wrk(bench: Bench) -> Found:
    """Wrk."""
    script = bench.folder / "post.lua"
    script.write_text(f"wrk.method='POST'\nwrk.body='{PACKET}'\nwrk.headers['Content-Type']='application/json'\n")
    said, cpu_s = bench.run("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{bench.seconds}s", "-s", str(script), bench.url)
    return Found(_number(r"Requests/sec:\s+([\d.]+)", said), _number(r"(\d+) requests in", said) / cpu_s)


def hey(bench: Bench) -> Found:
    """Hey."""
    body = bench.folder / "packet.json"
    body.write_text(PACKET)
    options = ("-m", "POST", "-D", str(body), "-T", "application/json", "-cpus", "1")
    said, cpu_s = bench.run("hey", "-z", f"{bench.seconds:g}s", "-c", str(CONNECTIONS), *options, bench.url)
    return Found(_number(r"Requests/sec:\s+([\d.]+)", said), _number(r"\[200\]\s+(\d+) responses", said) / cpu_s)


def locust(bench: Bench) -> Found:
    """Locust's FastHttpUser, all users started before the count begins; its CPU time includes its start."""
    host, _, path = bench.url.partition(f":{PORT}")
    file = bench.folder / "locustfile.py"
    file.write_text(LOCUST.format(path=path, packet=PACKET))
    options = ("--headless", "-u", str(CONNECTIONS), "-r", str(CONNECTIONS), "--reset-stats", "--json")
    ours = (sys.executable, "-m", "locust", "-f", str(file), "--host", f"{host}:{PORT}")
    said, cpu_s = bench.run(*ours, *options, "-t", f"{bench.seconds:g}s")
    (row,) = [one for one in json.loads(said) if one["num_requests"]]
    took_s = row["last_request_timestamp"] - row["start_time"]
    return Found(row["num_requests"] / took_s, row["num_requests"] / cpu_s)


def ours(*arguments: str, unlike: bool = False) -> Callable[[Bench], Found]:
    """Our sender, in a process of its own; *unlike*: no two answers are alike."""

    def measure(bench: Bench) -> Found:
        pinned = "--processes" not in arguments
        url = bench.url.replace("/?", "/unlike?") if unlike else bench.url
        said, _ = bench.run(sys.executable, __file__, "--sender", url, str(bench.seconds), *arguments, pinned=pinned)
        found = json.loads(said)
        return Found(found["rate"], found["cpu_rate"])

    return measure


WANTED = (
    ("ours", "wrk", 0.5),
    ("ours, with a journal", "ours", 0.85),
    ("ours, with a journal", "wrk", 0.5),
    ("ours, with a journal", "locust FastHttpUser", 10),
    ("ours, with a journal", "hey", 1.5),
)
PEERS: dict[str, tuple[str, Callable[[Bench], Found]]] = {
    "wrk": ("wrk", wrk),
    "hey": ("hey", hey),
    "locust FastHttpUser": ("locust", locust),
    "ours": ("", ours()),
    "ours, with a journal": ("", ours("--journal")),
    "ours, unlike answers": ("", ours(unlike=True)),
    "ours, both": ("", ours("--journal", unlike=True)),
}


def send(url: str, seconds: float, *, journal: bool, processes: int, rate: float | None) -> dict[str, Any]:
    """Send from living rooms for so long; the rate (1/s) from the first connection to the closed log of the journal."""
    scenario = from_document({"phase": [{"profile": "steady", "members": 1_000, "duration": "3650d"}]}, "benchmark")
    traffic = TrafficRequest(scenario=scenario, seed=7, start_ms=FIXED_START_MS, with_enter=True)
    sources = [_Timed(traffic, (part, processes), seconds) for part in range(1, processes + 1)]
    with tempfile.TemporaryDirectory() as folder:
        order = SendJob(
            url=CallbackUrl.parse(url),
            sdkappid=1400000001,
            insecure=True,
            connections=CONNECTIONS if rate is None else 256,
            rate=rate,
            journal=Path(folder) / "run.db" if journal else None,
        )
        if processes == 1:
            sources[0].prepare()
        begun, cpu = time.perf_counter(), _cpu_s()
        with seldom_collecting():
            if processes == 1:
                tally = run_loop(carry_out(order, sources[0])).tally
            else:
                tally = carry_out_together(order, list(sources)).tally
        took, cpu = time.perf_counter() - begun if processes == 1 else tally.elapsed_s, _cpu_s() - cpu
        index = _index(order.journal, tally.attempts) if order.journal is not None else {}
    assert tally.acknowledged == tally.attempts, tally.outcome_counts()
    lateness = {f"p{percent:g}": tally.lateness.percentile_ms(percent) for percent in (50, 99, 99.9)}
    within = sum(count for bound, count in tally.lateness.buckets() if bound <= 2000) / max(1, tally.lateness.total)
    rates = {"rate": tally.attempts / took, "cpu_rate": tally.attempts / cpu}
    return rates | index | {"attempts": tally.attempts, "lateness_ms": lateness, "within_2_ms": within}


def _index(journal: Path, callbacks: int) -> dict[str, float]:
    """How long the tables take that were not written during the run, and how large log and tables are (bytes each)."""
    log = sum(one.stat().st_size for one in journal.parent.glob("*-log-*"))
    begun = time.perf_counter()
    bring_up_to_date(journal)
    took = time.perf_counter() - begun
    return {
        "index_us": took / callbacks * 1e6,
        "log_bytes": log / callbacks,
        "bytes": journal.stat().st_size / callbacks,
    }


def _cpu_s() -> float:
    every = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in every)


class _Timed(TrafficSource):
    """Traffic that ends after a while."""

    def __init__(self, traffic: TrafficRequest, part: tuple[int, int], seconds: float) -> None:
        super().__init__(TrafficSource.part(traffic, *part).traffic)
        self._seconds = seconds
        self._stream: Iterator[Any] | None = None

    def prepare(self) -> None:
        """Fill the rooms before the count begins."""
        stream = super().events()
        self._stream = chain([next(stream)], stream)

    def events(self) -> Iterator[Any]:
        if self._stream is None:
            self.prepare()
        assert self._stream is not None
        clock = time.monotonic
        end = clock() + self._seconds
        for event in self._stream:
            yield event
            if clock() > end:
                return


@contextmanager
def nginx(folder: Path, core: int, *, https: bool) -> Iterator[str]:
    """Nginx on a core of its own; the callback URL."""
    certificate = ""
    if https:
        pair = ("-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem")
        make = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *pair)
        subprocess.run((*make, "-days", "2", "-subj", "/CN=localhost"), check=True, capture_output=True)
        certificate = f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;"
    with socket.socket() as probe:  # else everybody would be measured against whoever is there
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            raise SystemExit(f"something listens on port {PORT} already: end it first")
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=PORT, tls=" ssl" if https else "", certificate=certificate))
    command = ["nginx", "-c", str(config), "-e", f"{folder}/error.log"]
    with subprocess.Popen(command, preexec_fn=lambda: os.sched_setaffinity(0, {core})) as process:  # noqa: PLW1509
        try:
            time.sleep(0.5)
            if process.poll() is not None:
                raise SystemExit(f"nginx did not start: {(folder / 'error.log').read_text()[-500:]}")
            yield f"{'https' if https else 'http'}://127.0.0.1:{PORT}/?{QUERY}"
        finally:
            process.terminate()
            process.wait()


def _number(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"nothing like {pattern!r} in: {text[-500:]}")
    return float(match[1])


def _available(only: list[str]) -> tuple[dict[str, Callable[[Bench], Found]], list[str]]:
    chosen: dict[str, Callable[[Bench], Found]] = {}
    missing: list[str] = []
    for name, (program, measure) in PEERS.items():
        if only and not any(name.startswith(one) for one in only):
            continue
        there = not program or (shutil.which(program) if program != "locust" else _has_locust())
        if there:
            chosen[name] = measure
        else:
            missing.append(f"{program} (Debian: apt-get install {program}; locust: pip install 'roomhook[load]')")
    return chosen, missing


def _has_locust() -> bool:
    done = subprocess.run([sys.executable, "-c", "import locust"], capture_output=True, check=False)
    return done.returncode == 0


def compare(bench: Bench, peers: dict[str, Callable[[Bench], Found]], rounds: int) -> None:
    """Everybody in turn, *rounds* times; medians, and medians of the ratios within the rounds."""
    founds: dict[str, list[Found]] = {name: [] for name in peers}
    for number in range(1, rounds + 1):
        for name, measure in peers.items():
            found = measure(bench)
            founds[name].append(found)
            said = f"{found.rate:>10,.0f}/s {found.cpu_rate:>10,.0f} a CPU second"
            print(f"round {number}: {name:<22} {said}", file=sys.stderr)

    def ratio(mine: str, theirs: str, what: str) -> float:
        pairs = zip(founds[mine], founds[theirs], strict=True)
        return float(statistics.median(getattr(one, what) / getattr(other, what) for one, other in pairs))

    bases = [name for name in ("wrk", "hey", "locust FastHttpUser") if name in founds]
    titles = ["client", "a second", "lowest to highest", "a CPU second", *(f"× {base}" for base in bases)]
    print("\n".join(["", _row(titles), "|" + "---|" * len(titles)]))  # as docs/performance.md has it
    for name, each in founds.items():
        rates = [one.rate for one in each]
        numbers = [f"{statistics.median(rates) / 1e3:.1f} k", f"{min(rates) / 1e3:.1f} to {max(rates) / 1e3:.1f} k"]
        numbers.append(f"{statistics.median(one.cpu_rate for one in each) / 1e3:.1f} k")
        print(_row([name, *numbers, *(f"{ratio(name, base, 'rate'):.2f}" for base in bases)]))
    print()
    for mine, theirs, wanted in WANTED:
        if mine in founds and theirs in founds:
            found_ratio = ratio(mine, theirs, "rate")
            missed = "" if found_ratio >= wanted else "  MISSED"
            print(f"{mine} / {theirs}: {found_ratio:.2f} (wanted: at least {wanted:g}){missed}")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def precision(bench: Bench) -> None:
    """How far from their time callbacks leave at 5,000/s, and what two processes reach on all cores."""
    said, _ = bench.run(sys.executable, __file__, "--sender", bench.url, str(bench.seconds), "--rate", "5000")
    found = json.loads(said)
    times = ", ".join(f"{name} {ms:.2f} ms" for name, ms in found["lateness_ms"].items())
    print(f"open loop at 5,000/s: {found['within_2_ms']:.2%} leave within 2 ms of their time ({times})")
    said, _ = bench.run(sys.executable, __file__, "--sender", bench.url, str(bench.seconds), "--journal")
    found = json.loads(said)
    sizes = f"{found['log_bytes']:.0f} bytes of log left at the end, {found['bytes']:.0f} bytes of tables"
    print(f"closing a journal: {found['index_us']:.1f} µs a callback; {sizes} a callback")
    two = ours("--processes", "2")(bench).rate
    one = ours("--processes", "1")(bench).rate
    print(f"--processes 2, unpinned: {two:,.0f}/s, {two / one:.2f} × one process ({one:,.0f}/s)")


def listening(bench: Bench, core: int, *options: str, python: str = sys.executable) -> str:
    """How many callbacks a second ``roomhook listen`` takes on one core, journalling all; both ends are counted.

    *python* is that of the listener's environment; the sender is ours in any case.
    """
    journal = bench.folder / "arrived.db"
    journal.unlink(missing_ok=True)
    command = [python, "-m", "roomhook", "listen", "--listen", "127.0.0.1:0", "--quiet"]
    command += ["--journal", str(journal), *options]
    pin = {"preexec_fn": lambda: os.sched_setaffinity(0, {core})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **pin) as process:  # type: ignore[call-overload]
        url = process.stdout.readline().strip()
        found = json.loads(bench.run(sys.executable, __file__, "--sender", url, str(bench.seconds))[0])
        process.terminate()
        _, said = process.communicate()
    received = int(_number(r"received (\d+), refused 0", said))
    lost = "none lost" if received == found["attempts"] else f"{found['attempts'] - received} LOST"
    return f"{found['rate']:,.0f}/s; {found['attempts']:,} sent, {lost}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="how long everybody sends in a round")
    parser.add_argument("--https", action="store_true")
    parser.add_argument("--only", action="append", default=[], help="wrk, hey, locust or ours; repeatable")
    parser.add_argument("--sender", nargs=2, metavar=("URL", "SECONDS"), help=argparse.SUPPRESS)
    parser.add_argument("--journal", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--processes", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.sender:
        url, seconds = given.sender
        found = send(url, float(seconds), journal=given.journal, processes=given.processes, rate=given.rate)
        print(json.dumps(found))
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or shutil.which("nginx") is None:
        raise SystemExit("this needs two cores, and nginx (Debian: apt-get install nginx-light)")
    peers, missing = _available(given.only)
    for one in missing:
        print(f"left out: {one}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as name, nginx(Path(name), cores[1], https=given.https) as url:
        bench = Bench(Path(name), url, given.seconds, cores[0], given.https)
        with contextlib.suppress(KeyboardInterrupt):
            compare(bench, peers, given.rounds)
            precision(bench)
            if not given.https:
                print(f"roomhook listen, one core, journalling: {listening(bench, cores[1])}")
                print(f"the same with --durable: {listening(bench, cores[1], '--durable')}")


if __name__ == "__main__":
    main()
